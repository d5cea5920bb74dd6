//! Programs as a person would type them.

use std::borrow::Cow;
use std::fmt;

use super::{Program, Variable};

/// A command line for a POSIX shell. A secret is taken from a variable of the same name, so that the line can be
/// shown to anybody and still be run by whoever has set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellLine(String);

impl ShellLine {
    /// The line that starts `program` in a shell of its host.
    pub fn of(program: &Program) -> Self {
        let mut before = Vec::new();
        if let Some(directory) = &program.directory {
            before.push(format!("cd -- {}", quoted(directory.as_str())));
        }
        let mut words = Vec::new();
        for (name, variable) in &program.environment {
            match variable {
                Variable::Set(value) => words.push(format!("{name}={}", quoted(value))),
                Variable::Secret(_) => words.push(format!("{name}=\"${name}\"")),
                Variable::Unset => before.push(format!("unset {name}")),
            }
        }
        if let Some(limit) = program.limit {
            words.push(format!("timeout -s KILL {}", limit.as_secs_f64()));
        }
        words.extend(program.argv.iter().enumerate().map(|(at, word)| match at {
            0 => quoted_program(word).into_owned(),
            _ => quoted(word).into_owned(),
        }));
        before.push(words.join(" "));
        // In a shell of its own, so that whoever pastes the line keeps folder and variables.
        Self(if before.len() > 1 { format!("({})", before.join(" && ")) } else { before.concat() })
    }

    /// The line that has `inner` read by the shell which the program `outer` hands its last argument to: ssh's.
    pub(super) fn handed_to(outer: &[String], inner: &Self) -> Self {
        let outer: Vec<_> = outer.iter().map(|word| quoted(word)).collect();
        // In one piece, which a person can read.
        Self(format!("{} '{}'", outer.join(" "), inner.0.replace('\'', r"'\''")))
    }

    /// The same with a variable of its own.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        Self(format!("{name}={} {}", quoted(value), self.0))
    }

    /// The line of these words, the first of which is the program.
    pub(super) fn of_words(words: &[Word]) -> Self {
        let written: Vec<Cow<'_, str>> = words
            .iter()
            .enumerate()
            .map(|(at, word)| match word {
                Word::Plain(word) if at == 0 => quoted_program(word),
                Word::Plain(word) => quoted(word),
                // Not within the quotes, where no shell would look for a home.
                Word::BelowHome(rest) => Cow::Owned(format!("~/{}", quoted(rest))),
            })
            .collect();
        Self(written.join(" "))
    }
}

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// It reaches the program as it is.
    Plain(String),
    /// It reaches the program behind the home of whoever runs the shell, and a `/`.
    BelowHome(String),
}

impl Word {
    pub(super) fn plain(word: impl Into<String>) -> Self {
        Self::Plain(word.into())
    }
}

impl fmt::Display for ShellLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn quoted(word: &str) -> Cow<'_, str> {
    // A zero byte, the one thing that cannot be quoted, is refused by every host.
    shlex::try_quote(word).unwrap_or_else(|_| Cow::Owned(format!("{word:?}")))
}

/// A program's name may be a word that shells keep for themselves, unless it is quoted.
fn quoted_program(word: &str) -> Cow<'_, str> {
    // POSIX, and those that bash and zsh add.
    const RESERVED: [&str; 17] = [
        "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
        "select", "then", "time", "until", "while",
    ];
    if RESERVED.contains(&word) { Cow::Owned(format!("'{word}'")) } else { quoted(word) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::HostPath;
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn plain_programs_are_plain_lines() {
        let program = Program::new("/opt/python", ["-m", "spark_worker"]);
        assert_eq!(ShellLine::of(&program).to_string(), "/opt/python -m spark_worker");
        let whole = Program {
            directory: Some(HostPath::new("/srv/it's here")),
            limit: Some(Duration::from_millis(1500)),
            ..program
        };
        let whole = whole
            .with("A", Variable::Set("b c".into()))
            .with("PYTHONHOME", Variable::Unset)
            .with("HF_TOKEN", Variable::Secret(Secret::new("hush")));
        let line = ShellLine::of(&whole).to_string();
        assert_eq!(
            line,
            "(cd -- \"/srv/it's here\" && unset PYTHONHOME && A='b c' HF_TOKEN=\"$HF_TOKEN\" \
             timeout -s KILL 1.5 /opt/python -m spark_worker)"
        );
    }

    /// What a shell makes of the line: the arguments of the program, or the value of `V`.
    fn read_by_a_shell(program: &Program) -> Vec<u8> {
        let output = Command::new("sh").arg("-c").arg(ShellLine::of(program).to_string()).output().unwrap();
        assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn a_shell_reads_awkward_words_as_they_are() {
        let awkward = [
            "",
            " ",
            "'",
            "\"",
            "\\",
            "$HOME",
            "`id`",
            "a\nb",
            "*",
            "~",
            "#",
            "!",
            "a=b",
            "-n",
            "{a,b}",
            "ä",
            "&&",
            "\t",
            "''",
            "$'x'",
            "\u{1b}[0m",
        ];
        let said = read_by_a_shell(&Program::new("/usr/bin/printf", ["%s|"].iter().chain(&awkward).copied()));
        assert_eq!(String::from_utf8(said).unwrap(), awkward.map(|word| format!("{word}|")).concat());
    }

    #[test]
    fn a_program_with_a_shells_own_name_is_a_program() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a=b", "if", "time", "with space", "-dash"] {
            let path = dir.path().join(name);
            std::fs::write(&path, "#!/bin/sh\necho ran\n").unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
            let program = Program::new(name, ["x"]).with("PATH", Variable::Set(path));
            assert_eq!(read_by_a_shell(&program), b"ran\n", "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_any_words_as_they_are(
            words in prop::collection::vec("[^\0]{0,12}", 0..6),
            value in "[^\0]{0,12}",
        ) {
            let program = Program::new("/bin/sh", ["-c", "printf '%s\\001' \"$V\" \"$@\"", "sh"]);
            let mut program = program.with("V", Variable::Set(value.clone()));
            program.argv.extend(words.iter().cloned());
            let expected: String = std::iter::once(&value).chain(&words).map(|word| format!("{word}\u{1}")).collect();
            prop_assert_eq!(String::from_utf8(read_by_a_shell(&program)).unwrap(), expected);
        }
    }
}
