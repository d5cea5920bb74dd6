//! What Python's argparse prints for `--help`.
//!
//! Its form is that of `HelpFormatter` in Lib/argparse.py: an option begins after two spaces, its explanation after two
//! or more spaces or on the next line, which is further in. Up to Python 3.12 each name of an option is followed by its
//! values, later only the last.

use super::{OptionList, ServerOption, Values};

/// A text without any option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its help names no options")]
pub struct NoHelp;

impl OptionList {
    /// The options that `help` speaks of. What comes before its usage is somebody else's: a runtime logs there.
    ///
    /// # Errors
    /// A text without any option.
    pub fn of_help(help: &str, flexible: bool) -> Result<Self, NoHelp> {
        let mut list = Self { flexible, ..Self::default() };
        let mut section = None;
        let mut explained: Option<(ServerOption, String)> = None;
        for line in help.lines().skip_while(|line| !line.starts_with("usage:")).skip(1) {
            let inside = line.trim_start();
            let depth = line.len() - inside.len();
            match (depth, section) {
                (_, _) if inside.is_empty() => {}
                (0, _) => {
                    list.options.extend(explained.take().map(finished));
                    section = line.strip_suffix(':');
                }
                (2, Some(_)) if inside.starts_with('-') => {
                    list.options.extend(explained.take().map(finished));
                    let (invocation, help) = split_off_help(inside);
                    explained = Some((invoked(invocation), help.to_owned()));
                }
                (2, Some("positional arguments")) => {
                    list.positional.extend(inside.split_whitespace().next().map(str::to_owned));
                }
                (_, Some(_)) => {
                    if let Some((_, help)) = &mut explained {
                        help.push(' ');
                        help.push_str(inside.trim_end());
                    }
                }
                (_, None) => {}
            }
        }
        list.options.extend(explained.map(finished));
        if list.options.is_empty() { Err(NoHelp) } else { Ok(list) }
    }
}

/// How an option is written, and the explanation on the same line.
fn split_off_help(line: &str) -> (&str, &str) {
    let end = outermost(line).find(|at| line[*at..].starts_with("  "));
    let (invocation, help) = end.map_or((line, ""), |at| line.split_at(at));
    (invocation.trim_end(), help.trim())
}

/// Where in `text` a character is within no brackets.
fn outermost(text: &str) -> impl Iterator<Item = usize> {
    let mut depth = 0_usize;
    text.char_indices().filter_map(move |(at, c)| {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => return (depth == 0).then_some(at),
        }
        None
    })
}

/// `-q X, --quant X`, without its explanation.
fn invoked(text: &str) -> ServerOption {
    let mut option = ServerOption {
        names: Vec::new(),
        values: Values::None,
        choices: None,
        default: None,
        deprecated: false,
    };
    let mut rest = text;
    while !rest.is_empty() {
        let end = outermost(rest).find(|at| rest[*at..].starts_with(", -"));
        let (part, behind) = end.map_or((rest, ""), |at| (&rest[..at], &rest[at + 2..]));
        rest = behind;
        let (name, values) = part.split_once(' ').unwrap_or((part, ""));
        option.names.push(name.to_owned());
        if !values.is_empty() {
            option.values = count(values);
            option.choices = choices(values);
        }
    }
    option
}

/// How many values stand there.
fn count(values: &str) -> Values {
    // A list in quotes is one value's name: vLLM's way of saying what else there is.
    let bracketed = values.starts_with('[') && !values.starts_with("['");
    match (bracketed, values.trim_end_matches(']').ends_with("...")) {
        (true, true) => Values::Any,
        (true, false) => Values::Optional,
        (false, true) => Values::Many,
        (false, false) if repeated(values) => Values::Many,
        (false, false) => Values::One,
    }
}

/// `X X`: one name for each of several values. Other words are one value's name in plain English.
fn repeated(values: &str) -> bool {
    let mut words = values.split(' ');
    let first = words.next();
    let rest: Vec<_> = words.collect();
    !rest.is_empty() && rest.iter().all(|word| Some(*word) == first)
}

/// `{a,b}`: what argparse holds values against. Where words follow, they say what else there is.
fn choices(values: &str) -> Option<Vec<String>> {
    let (inside, behind) = values.trim_start_matches('[').strip_prefix('{')?.split_once('}')?;
    if !["", "]", " ...", " ...]"].contains(&behind) && !behind.starts_with(" [{") {
        return None;
    }
    Some(inside.split(',').map(|word| word.trim().to_owned()).collect())
}

fn finished((mut option, help): (ServerOption, String)) -> ServerOption {
    let help = help.trim();
    if let Some((_, default)) = help.strip_suffix(')').and_then(|help| help.rsplit_once("(default: ")) {
        option.default = Some(default.to_owned()).filter(|default| default != "None");
    }
    // Nothing of argparse's own says so before Python 3.13; these are the words in use.
    let lower = help.to_lowercase();
    let itself = option.names.iter().any(|name| lower.contains(&format!("{name} is deprecated")));
    option.deprecated = itself || lower.trim_start_matches(['[', '(']).starts_with("deprecated");
    option
}
