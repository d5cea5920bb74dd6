//! A command line held against the options that there are.
//!
//! As argparse reads it: a name may be cut short where that leaves one option, `--name=value` is one word, and a word
//! with a space in it is a value whatever it begins with.

use std::fmt;

use serde::Serialize;

use super::{OptionList, ServerOption, Values};
use crate::spelling::nearest;

/// Something in a command line that the command would not take, or will not for long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// The word, as it stands there.
    pub word: String,
    /// What is wrong.
    #[serde(flatten)]
    pub trouble: Trouble,
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum Trouble {
    /// There is no such option.
    Unknown {
        /// The one that is spelled most like it.
        near: Option<String>,
    },
    /// It is the beginning of several.
    Ambiguous {
        /// Of these.
        of: Vec<String>,
    },
    /// It needs a value.
    NoValue,
    /// It takes none.
    TakesNone {
        /// The one it was given.
        value: String,
    },
    /// It takes others.
    NoChoice {
        /// What it was given.
        value: String,
        /// What it takes.
        choices: Vec<String>,
        /// The one that is spelled most like it.
        near: Option<String>,
    },
    /// Nothing without a name is taken, or no more of it.
    Unnamed,
    /// The command takes it still.
    Deprecated,
}

impl Complaint {
    /// Whether the command would end over it.
    pub fn is_fatal(&self) -> bool {
        self.trouble != Trouble::Deprecated
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = &self.word;
        let meant = |f: &mut fmt::Formatter<'_>, near: &Option<String>| match near {
            Some(near) => write!(f, " (did you mean `{near}`?)"),
            None => Ok(()),
        };
        match &self.trouble {
            Trouble::Unknown { near } => {
                write!(f, "`{word}` is no option")?;
                meant(f, near)
            }
            Trouble::Ambiguous { of } => write!(f, "`{word}` may be {}", of.join(" or ")),
            Trouble::NoValue => write!(f, "`{word}` needs a value"),
            Trouble::TakesNone { value } => write!(f, "`{word}` takes no value, and is given `{value}`"),
            Trouble::NoChoice { value, choices, near } => {
                write!(f, "`{word}` does not take `{value}`")?;
                meant(f, near)?;
                write!(f, "; accepted: {}", choices.join(", "))
            }
            Trouble::Unnamed => write!(f, "`{word}` belongs to no option"),
            Trouble::Deprecated => write!(f, "`{word}` is deprecated"),
        }
    }
}

/// What comes before a command's own words.
const COMMANDS: [&[&str]; 4] = [
    &["-m", "sglang.launch_server"],
    &["-m", "vllm.entrypoints.openai.api_server"],
    &["sglang", "serve"],
    &["vllm", "serve"],
];

impl OptionList {
    /// What the command would not understand of `line`: its arguments, or all of it from the program on.
    pub fn complaints(&self, line: &[String]) -> Vec<Complaint> {
        let mut found = Vec::new();
        let mut words = arguments(line);
        let mut unnamed = 0;
        while let Some((word, behind)) = words.split_first() {
            words = behind;
            if !is_named(word) {
                unnamed += 1;
                if unnamed > self.positional.len() {
                    found.push(Complaint { word: word.clone(), trouble: Trouble::Unnamed });
                }
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let mut complain = |trouble| found.push(Complaint { word: name.to_owned(), trouble });
            let Named { option, attached } = match self.named(name) {
                Ok(named) => named,
                Err(trouble) => {
                    complain(trouble);
                    // Whatever it was meant to take is not for others.
                    words = &words[values_in(words)..];
                    continue;
                }
            };
            if option.deprecated {
                complain(Trouble::Deprecated);
            }
            let value = value.or(attached);
            let available = if value.is_some() { 0 } else { values_in(words) };
            let taken = match option.values {
                Values::None => 0,
                Values::One | Values::Optional => available.min(1),
                Values::Many | Values::Any | Values::Unknown => available,
            };
            let (given, behind) = words.split_at(taken);
            words = behind;
            match (option.values, value) {
                (Values::None, Some(value)) => complain(Trouble::TakesNone { value: value.to_owned() }),
                (Values::One | Values::Many, None) if given.is_empty() => complain(Trouble::NoValue),
                _ => {}
            }
            let Some(choices) = &option.choices else { continue };
            for value in value.into_iter().chain(given.iter().map(String::as_str)) {
                if !choices.iter().any(|choice| choice == value) {
                    let near = nearest(value, choices.iter().map(String::as_str)).map(str::to_owned);
                    complain(Trouble::NoChoice { value: value.to_owned(), choices: choices.clone(), near });
                }
            }
        }
        found
    }

    fn named<'a>(&'a self, word: &'a str) -> Result<Named<'a>, Trouble> {
        let spelled = if self.flexible { flexible(word) } else { word.to_owned() };
        let whole = |option| Named { option, attached: None };
        if let Some(option) = self.option(&spelled) {
            return Ok(whole(option));
        }
        let names =
            || self.options.iter().flat_map(|option| option.names.iter().map(move |name| (name, option)));
        if spelled.starts_with("--") {
            let begun: Vec<_> = names().filter(|(name, _)| name.starts_with(&spelled)).collect();
            match begun.as_slice() {
                [] => {}
                [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => {
                    return Ok(whole(first));
                }
                several => {
                    return Err(Trouble::Ambiguous {
                        of: several.iter().map(|(name, _)| (*name).clone()).collect(),
                    });
                }
            }
        } else if let Some((name, option)) = names().find(|(name, option)| {
            name.len() == 2 && word.starts_with(*name) && option.values != Values::None
        }) {
            // `-O3`
            return Ok(Named { option, attached: Some(&word[name.len()..]) });
        }
        Err(Trouble::Unknown {
            near: nearest(&spelled, names().map(|(name, _)| name.as_str())).map(str::to_owned),
        })
    }
}

/// An option that was named, and a value in the same word.
struct Named<'a> {
    option: &'a ServerOption,
    attached: Option<&'a str>,
}

/// `--max_model_len` and `--option.key`, as vLLM's `FlexibleArgumentParser` takes them.
fn flexible(word: &str) -> String {
    let name = word.split('.').next().unwrap_or(word).trim_end_matches('+');
    if name.starts_with("--") { name.replace('_', "-") } else { name.to_owned() }
}

/// Whether argparse takes `word` for an option's name.
fn is_named(word: &str) -> bool {
    let number = word.strip_prefix('-').is_some_and(|rest| rest.parse::<f64>().is_ok());
    // What stands behind `=` is a value, whatever is in it.
    let name = word.split('=').next().unwrap_or(word);
    word.len() > 1 && word.starts_with('-') && !number && !name.contains(' ')
}

/// How many of the next words are values.
fn values_in(words: &[String]) -> usize {
    words.iter().position(|word| is_named(word)).unwrap_or(words.len())
}

/// `line` without the program that it may begin with.
fn arguments(line: &[String]) -> &[String] {
    for command in COMMANDS {
        let at = line.windows(command.len()).position(|words| words.iter().zip(command).all(|(a, b)| a == b));
        // Behind a program or two, such as `env python3`.
        if let Some(at) = at.filter(|at| line[..*at].iter().all(|word| !is_named(word))) {
            return &line[at + command.len()..];
        }
    }
    line
}
