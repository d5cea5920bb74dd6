//! The options that a server's command takes, and what of a command line it would not understand.
//!
//! Releases differ by hundreds of options. So nothing is listed here: the lists are had from the release itself, by the
//! help of its command or by its source.

mod check;
mod help;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use check::{Complaint, Trouble};
pub use help::NoHelp;

/// What a command takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OptionList {
    /// Its options, in the order it names them.
    pub options: Vec<ServerOption>,
    /// What it takes without a name, each at most once.
    pub positional: Vec<String>,
    /// Whether it has vLLM's ways: `_` for `-` in names, and `--option.key value` for JSON.
    pub flexible: bool,
}

/// An option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerOption {
    /// Its names, dashes included.
    pub names: Vec<String>,
    /// How many values it takes.
    pub values: Values,
    /// What the values must be among; none where anything goes, or where that is not known.
    pub choices: Option<Vec<String>>,
    /// What it is without being given, in the command's own words.
    pub default: Option<String>,
    /// Whether the command calls it deprecated.
    pub deprecated: bool,
}

/// How many values an option takes, in argparse's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// None: it is a switch.
    None,
    /// One.
    One,
    /// One or none.
    Optional,
    /// One or more.
    Many,
    /// Any number.
    Any,
    /// Nobody could tell.
    Unknown,
}

impl OptionList {
    /// The option of this name, as it is written in full.
    pub fn option(&self, name: &str) -> Option<&ServerOption> {
        self.options.iter().find(|option| option.names.iter().any(|own| own == name))
    }
}

impl ServerOption {
    /// `--help`, which argparse has by itself.
    pub fn help() -> Self {
        let names = ["-h", "--help"].map(str::to_owned).to_vec();
        Self { names, values: Values::None, choices: None, default: None, deprecated: false }
    }
}
