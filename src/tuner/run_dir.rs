//! Where a run lives: its directory, its journal and what the journal held when it was opened.

use std::path::{Path, PathBuf};

use super::asked::Asked;
use super::error::RunError;
use super::plan::Plan;
use super::record::Record;
use crate::journal::{self, Journal, JournalError};
use crate::worker::CompilerIdentity;

/// The directory of one run.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Open for what comes.
    pub(super) journal: Journal<Record>,
    /// What earlier sessions left.
    pub(super) records: Vec<Record>,
    /// For a new run, whether its directory was made for it; none for a resumed one.
    made: Option<bool>,
}

impl RunDir {
    /// Start a run in `path`, made if it is not there.
    pub fn start(path: &Path, plan: &Plan) -> Result<Self, RunError> {
        let made = !path.exists();
        fs_err::create_dir_all(path)
            .map_err(|source| RunError::Directory { path: path.to_owned(), source })?;
        let journal = Journal::create(path, plan).map_err(|error| {
            if made {
                // Nothing of ours is in it: leave no empty folder behind.
                let _ = std::fs::remove_dir(path);
            }
            match error {
                // Where a run cannot even begin, the directory is the wrong one.
                JournalError::Io { source, .. } => RunError::Directory { path: path.to_owned(), source },
                other => other.into(),
            }
        })?;
        Ok(Self { path: path.to_owned(), journal, records: Vec::new(), made: Some(made) })
    }

    /// Undo [`start`](Self::start) for a run that could not begin; a resumed run stays as it is.
    pub fn abandon(self) {
        let Some(made) = self.made else { return };
        // Whatever cannot be removed is at worst an empty run that can be resumed.
        let _ = std::fs::remove_file(self.path.join(journal::FILE_NAME));
        if made {
            let _ = std::fs::remove_dir(&self.path);
        }
    }

    /// The plan that the run in `path` was started with, where it is what is `asked`. Nothing is touched.
    pub fn recorded_plan(path: &Path, asked: &Asked) -> Result<Plan, RunError> {
        let plan = Journal::<Record>::plan(path)?;
        asked.hold_against(&plan, path)?;
        Ok(plan)
    }

    /// Go on with the run in `path` under the plan it was started with.
    pub fn resume(path: &Path, plan: &Plan) -> Result<Self, RunError> {
        let (records, journal) = Journal::resume(path, plan)?;
        Ok(Self { path: path.to_owned(), journal, records, made: None })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run was compiled with so far.
    pub(super) fn compiler(&self) -> Option<&CompilerIdentity> {
        self.records.iter().find_map(|record| match record {
            Record::Joined { compiler, .. } => Some(compiler),
            _ => None,
        })
    }
}
