//! Prompts from files: opened once, read piece by piece, every problem named by file and place.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bench::plan::DataFile;
use crate::failure::{Failure, Kind};

/// A file of prompts that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line is no request.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
    /// It is not in ShareGPT's format.
    #[error("`{}`: conversation {entry}: {problem}; the format is [{{\"conversations\": [{{\"from\": \"human\", \"value\": \"...\"}}, {{\"from\": \"gpt\", \"value\": \"...\"}}]}}]", path.display())]
    Sharegpt {
        /// The file.
        path: PathBuf,
        /// Which conversation, from 1.
        entry: usize,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// It holds too little.
    #[error("`{}` holds {usable} usable requests, and the plan wants {wanted}", path.display())]
    TooFew {
        /// The file.
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

/// Name and content of a file, as they stand in a plan.
///
/// # Errors
/// A file that cannot be read.
pub fn identify(path: &Path) -> Result<DataFile, BadFile> {
    let unreadable = |source| BadFile::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece).map_err(unreadable)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(DataFile { name, sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect() })
}
