//! A run that is open for more: its directory, its journal and what the journal held when it was opened.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::RunError;
use super::plan::Plan;
use super::record::Record;
use crate::journal::{self, Journal, JournalError, JournalRecord};
use crate::run_dir::{CannotMake, Place, RunDirectory};
use crate::worker::CompilerIdentity;

/// A run of our own tuner, open for more.
pub(crate) type OpenRun = RunOf<Record>;

/// A run whose journal holds `R`s, open for more.
#[derive(Debug)]
pub(crate) struct RunOf<R> {
    path: PathBuf,
    /// Open for what comes.
    pub(super) journal: Journal<R>,
    /// What earlier sessions left.
    pub(super) records: Vec<R>,
    /// The directory of a new run; none for a resumed one.
    made: Option<RunDirectory>,
}

impl<R: JournalRecord> RunOf<R> {
    /// Start a run in `path`, made if it is not there.
    pub(crate) fn start<P: Serialize>(path: &Path, plan: &P) -> Result<Self, RunError> {
        Self::start_at(&Place::Exactly(path.to_owned()), "", plan)
    }

    /// Start a run at `place`, called `name` where it lies below another directory.
    pub(crate) fn start_at<P: Serialize>(place: &Place, name: &str, plan: &P) -> Result<Self, RunError> {
        let made = RunDirectory::make(place, name)
            .map_err(|CannotMake { path, source }| RunError::Directory { path, source })?;
        let path = made.path().to_owned();
        let journal = Journal::create(&path, plan).map_err(|error| {
            // Nothing of ours is in it: leave no empty folder behind.
            made.abandon();
            match error {
                // Where a run cannot even begin, the directory is the wrong one.
                JournalError::Io { source, .. } => RunError::Directory { path: path.clone(), source },
                other => other.into(),
            }
        })?;
        Ok(Self { path, journal, records: Vec::new(), made: Some(made) })
    }

    /// Undo [`start`](Self::start) for a run that could not begin; a resumed run stays as it is.
    pub(crate) fn abandon(self) {
        let Some(made) = &self.made else { return };
        // Whatever cannot be removed is at worst an empty run that can be resumed.
        let _ = std::fs::remove_file(self.path.join(journal::FILE_NAME));
        made.abandon();
    }

    /// Go on with the run in `path` under the plan it was started with.
    pub(crate) fn resume<P: Serialize>(path: &Path, plan: &P) -> Result<Self, RunError> {
        let (records, journal) = Journal::resume(path, plan)?;
        Ok(Self { path: path.to_owned(), journal, records, made: None })
    }

    /// Keep the run's lock until this process ends: the run's log has its end only then.
    pub(crate) fn hold_until_exit(&self) {
        self.journal.hold_until_exit();
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl OpenRun {
    /// The plan that the run in `path` was started with. Nothing is touched.
    pub(crate) fn recorded_plan(path: &Path) -> Result<Plan, RunError> {
        Ok(Journal::<Record>::plan(path)?)
    }

    /// What the run was compiled with so far.
    pub(super) fn compiler(&self) -> Option<&CompilerIdentity> {
        self.records.iter().find_map(|record| match record {
            Record::Joined { compiler, .. } => Some(compiler),
            _ => None,
        })
    }
}
