//! What is started on a host.

use std::collections::BTreeMap;
use std::time::Duration;

use super::HostPath;
use crate::secret::Secret;

/// A program to start: what, with which variables, where, and for how long at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program, then its arguments, as it receives them: no shell reads them.
    pub argv: Vec<String>,
    /// Variables changed from what the host gives its programs.
    pub environment: BTreeMap<String, Variable>,
    /// The folder it starts in; the host's choice where not given.
    pub directory: Option<HostPath>,
    /// How long it may run before the host kills it; for ever where not given.
    pub limit: Option<Duration>,
}

/// What becomes of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// It has this value.
    Set(String),
    /// It has this value, which nobody may see.
    Secret(Secret),
    /// It is not there.
    Unset,
}

/// A program that no host can start. Values are not shown: they may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProgram {
    /// Nothing to start.
    #[error("a program needs a name")]
    Nameless,
    /// POSIX keeps such names from being set in a shell, which is how some hosts set them.
    #[error("`{0}` is no name of a variable: letters, digits and `_`, not beginning with a digit")]
    VariableName(String),
    /// Arguments, values and paths end at a zero byte.
    #[error("{0} holds a zero byte")]
    ZeroByte(String),
}

impl Program {
    /// `program` with `arguments`, in the host's own environment.
    pub fn new<A: Into<String>>(program: impl Into<String>, arguments: impl IntoIterator<Item = A>) -> Self {
        let argv = std::iter::once(program.into()).chain(arguments.into_iter().map(Into::into)).collect();
        Self { argv, environment: BTreeMap::new(), directory: None, limit: None }
    }

    /// The program without its arguments; empty where there is none.
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Change the variable `name`.
    #[must_use]
    pub fn with(mut self, name: &str, variable: Variable) -> Self {
        self.environment.insert(name.to_owned(), variable);
        self
    }

    /// The variables that are set, secrets among them, and those that are not to be there: for whoever starts it.
    pub(super) fn changes(&self) -> (BTreeMap<&str, &str>, Vec<&str>) {
        let mut set = BTreeMap::new();
        let mut unset = Vec::new();
        for (name, variable) in &self.environment {
            match variable {
                Variable::Set(value) => _ = set.insert(name.as_str(), value.as_str()),
                Variable::Secret(secret) => _ = set.insert(name.as_str(), secret.reveal()),
                Variable::Unset => unset.push(name.as_str()),
            }
        }
        (set, unset)
    }

    /// What every host refuses before it starts anything.
    pub fn check(&self) -> Result<(), BadProgram> {
        if self.name().is_empty() {
            return Err(BadProgram::Nameless);
        }
        if let Some(at) = self.argv.iter().position(|word| word.contains('\0')) {
            return Err(BadProgram::ZeroByte(match at {
                0 => "the program's name".to_owned(),
                at => format!("argument {at}"),
            }));
        }
        if self.directory.as_ref().is_some_and(|path| path.as_str().contains('\0')) {
            return Err(BadProgram::ZeroByte("the folder it starts in".to_owned()));
        }
        for (name, variable) in &self.environment {
            if !is_variable_name(name) {
                return Err(BadProgram::VariableName(name.clone()));
            }
            let value = match variable {
                Variable::Set(value) => value,
                Variable::Secret(secret) => secret.reveal(),
                Variable::Unset => continue,
            };
            if value.contains('\0') {
                return Err(BadProgram::ZeroByte(format!("the variable {name}")));
            }
        }
        Ok(())
    }
}

/// Whether POSIX lets a shell set a variable of that name.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_host_can_start_is_refused_by_name() {
        let ok = Program::new("true", ["a"]);
        assert_eq!(ok.check(), Ok(()));
        let set = |name: &str, value: &str| ok.clone().with(name, Variable::Set(value.into()));
        let bad = [
            (Program { argv: Vec::new(), ..ok.clone() }, "needs a name"),
            (Program::new("", ["a"]), "needs a name"),
            (Program::new("a\0", ["a"]), "the program's name"),
            (Program::new("a", ["b", "\0"]), "argument 2"),
            (Program { directory: Some(HostPath::new("/\0")), ..ok.clone() }, "the folder"),
            (set("A=B", "x"), "`A=B`"),
            (set("1A", "x"), "`1A`"),
            (set("", "x"), "``"),
            (set("A", "\0"), "the variable A"),
        ];
        for (program, words) in bad {
            let error = program.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let program = Program::new("a", ["b"]).with("TOKEN", Variable::Secret(Secret::new("hush")));
        assert!(!format!("{program:?}").contains("hush"));
    }
}
