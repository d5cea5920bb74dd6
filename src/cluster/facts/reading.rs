//! What a node answered: its files and its tools' words, not yet understood.
//!
//! The document is what `worker/node/facts.py` writes. A whole node is one such document, so a file of a test is one.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::Doubts;
use crate::failure::{Failure, Kind};
use crate::host::ask::beginning;

/// The form of document that is understood.
const FORMAT: u32 = 1;

/// A node's answer. What was not there is left out.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NodeReading {
    format: u32,
    pub(super) system: System,
    /// Text of files by their paths, without white space around it.
    files: BTreeMap<String, String>,
    /// Files that are there and could not be read, with the reason.
    unreadable: BTreeMap<String, String>,
    /// Whether there were more files than are read.
    cut: bool,
    /// Names in folders.
    folders: BTreeMap<String, Vec<String>>,
    /// Where links lead.
    links: BTreeMap<String, String>,
    /// What became of commands.
    commands: BTreeMap<String, Captured>,
    /// File systems by a path on them.
    pub(super) disks: BTreeMap<String, DiskReading>,
    /// Programs that guard memory and run.
    pub(super) guards: Vec<String>,
    /// Soft and hard limits of the user by name, bytes; none where there is no limit.
    pub(super) limits: BTreeMap<String, [Option<u64>; 2]>,
    /// The node's clock, seconds since 1970, the last thing it read.
    pub(super) time_s: f64,
}

/// What the node's kernel calls things (`uname`).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct System {
    pub(super) host_name: String,
    pub(super) kernel: String,
    pub(super) machine: String,
}

/// A file system's size, bytes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct DiskReading {
    pub(super) total: u64,
    /// What a user without privileges may still write.
    pub(super) free: u64,
}

/// What became of a command.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Captured {
    /// It ended.
    Exit {
        /// Its status; negative where a signal ended it.
        status: i32,
        stdout: String,
        stderr: String,
        /// Whether it wrote more than is kept.
        cut: bool,
    },
    /// There is no such program.
    Missing,
    /// It could not be started.
    Refused { why: String },
    /// It was given up.
    TimedOut { limit_s: f64 },
}

/// An answer that is no document of ours.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum BadAnswer {
    /// Nothing at all.
    #[error("the node answered nothing")]
    Empty,
    /// A document, and text that is not ours.
    #[error("the node's answer comes with other text: `{said}`")]
    Greeting {
        /// How that text begins.
        said: String,
    },
    /// No document.
    #[error("the node answered `{said}`, where one JSON document was expected")]
    Garbage {
        /// How it begins.
        said: String,
    },
    /// A document that is cut short.
    #[error("the node's answer ends in its middle, after {bytes} bytes")]
    Cut {
        /// Bytes that came.
        bytes: usize,
    },
    /// A document with something missing or wrong.
    #[error("the node's answer: {field}: {why}")]
    Field {
        /// Where.
        field: String,
        /// What.
        why: String,
    },
    /// A document of another form.
    #[error("the node's answer has format {found}; this version reads {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
}

impl Failure for BadAnswer {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        matches!(self, BadAnswer::Greeting { .. }).then(|| {
            "a start-up file of the node's shell prints something; let it be silent where there is no terminal"
                .to_owned()
        })
    }
}

impl NodeReading {
    /// Read an answer.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self, BadAnswer> {
        let text = answer.trim_ascii();
        if text.is_empty() {
            return Err(BadAnswer::Empty);
        }
        let bad = match document(text) {
            Ok(reading) if reading.format == FORMAT => return Ok(reading),
            Ok(reading) => return Err(BadAnswer::Format { found: reading.format }),
            Err(bad) => bad,
        };
        match bad {
            Unread::Cut if text.starts_with(b"{") => Err(BadAnswer::Cut { bytes: text.len() }),
            Unread::Field { field, why } if text.starts_with(b"{") => Err(BadAnswer::Field { field, why }),
            _ => {
                let lines = || text.split(|byte| *byte == b'\n');
                let other = |line: &&[u8]| document(line).is_err();
                let said = beginning(lines().find(other).unwrap_or(text));
                match lines().any(|line| document(line).is_ok()) {
                    true => Err(BadAnswer::Greeting { said }),
                    false => Err(BadAnswer::Garbage { said }),
                }
            }
        }
    }

    /// What could not be read, but for files that say by this that they have nothing to tell: those of `/sys` do, of a
    /// link that is down and of a radio's speed.
    pub(super) fn doubt_unreadable(&self, doubts: &mut Doubts) {
        let nothing = |why: &str| matches!(why, "Invalid argument" | "Operation not supported");
        for (path, why) in self.unreadable.iter().filter(|(_, why)| !nothing(why)) {
            doubts.add(path, why.clone());
        }
        if self.cut {
            doubts.add(
                "/sys",
                "there are more files than are read: some of what follows is missing".to_owned(),
            );
        }
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The number that is a file's text.
    ///
    /// None where there is no such file. What is there and is no number is a doubt.
    pub(super) fn number<T: FromStr>(&self, path: &str, doubts: &mut Doubts) -> Option<T> {
        let text = self.text(path)?;
        let number = text.parse().ok();
        if number.is_none() {
            doubts.add(path, format!("`{}` is no number that was expected", beginning(text.as_bytes())));
        }
        number
    }

    /// Paths and texts of the files whose paths begin so.
    pub(super) fn texts_below<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.files.range(start.to_owned()..);
        let below = from.take_while(move |(path, _)| path.starts_with(start));
        below.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The names in a folder; none where it is not there.
    pub(super) fn names(&self, path: &str) -> impl Iterator<Item = &str> {
        self.folders.get(path).into_iter().flatten().map(String::as_str)
    }

    /// Whether a folder is there.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.folders.contains_key(path)
    }

    /// Where a link leads.
    pub(super) fn link(&self, path: &str) -> Option<&str> {
        self.links.get(path).map(String::as_str)
    }

    /// What became of a command; one that an answer leaves out is missing.
    pub(super) fn command(&self, name: &str) -> &Captured {
        self.commands.get(name).unwrap_or(&Captured::Missing)
    }

    /// What a command wrote that ended well. Anything else but its absence is a doubt.
    pub(super) fn output(&self, name: &str, doubts: &mut Doubts) -> Option<&str> {
        match self.command(name) {
            Captured::Exit { status: 0, stdout, cut: false, .. } => return Some(stdout),
            Captured::Exit { status: 0, .. } => doubts.add(name, "wrote more than is read".to_owned()),
            Captured::Exit { status, stdout, stderr, .. } => {
                // nvidia-smi tells what is wrong on stdout.
                let said = if stderr.trim().is_empty() { stdout } else { stderr };
                doubts
                    .add(name, format!("ended with status {status}: {}", beginning(said.trim().as_bytes())));
            }
            Captured::Refused { why } => doubts.add(name, why.clone()),
            Captured::TimedOut { limit_s } => doubts.add(name, format!("did not end within {limit_s} s")),
            Captured::Missing => {}
        }
        None
    }
}

/// Why a text is no document.
enum Unread {
    /// It ends too early.
    Cut,
    /// It is JSON, and this is missing or wrong.
    Field { field: String, why: String },
    /// It is no JSON, or goes on behind it.
    Other,
}

fn document(text: &[u8]) -> Result<NodeReading, Unread> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let reading = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        match error.into_inner() {
            why if why.is_eof() => Unread::Cut,
            why if why.is_data() => Unread::Field { field, why: why.to_string() },
            _ => Unread::Other,
        }
    })?;
    json.end().map_err(|_| Unread::Other)?;
    Ok(reading)
}
