//! Prompts from files: opened once, read piece by piece, every problem named by file and place.

use std::path::PathBuf;

use crate::failure::{Failure, Kind};

/// A file of prompts that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadFile {
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// A line is no request.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
    /// It is not in ShareGPT's format.
    #[error("`{}`: conversation {entry}: {problem}; the format is [{{\"conversations\": [{{\"from\": \"human\", \"value\": \"...\"}}, {{\"from\": \"gpt\", \"value\": \"...\"}}]}}]", path.display())]
    Sharegpt {
        path: PathBuf,
        /// Which conversation, from 1.
        entry: usize,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// It holds too little.
    #[error("`{}` holds {usable} usable requests, and the plan wants {wanted}", path.display())]
    TooFew {
        path: PathBuf,
        /// In the file.
        usable: usize,
        /// In the plan.
        wanted: usize,
    },
}

impl Failure for BadFile {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            BadFile::TooFew { usable, .. } if *usable > 0 => Some(format!(
                "ask for {usable} requests: a prompt sent twice would be answered from a prefix cache"
            )),
            _ => None,
        }
    }
}
