//! A run that is open for more: its directory, its journal and what the journal held when it was opened.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::error::RunError;
use super::plan::Plan;
use super::record::{Entry, Record};
use crate::journal::{self, Journal, JournalError, JournalRecord};
use crate::run_dir::{CannotMake, Place, RunDirectory};
use crate::worker::CompilerIdentity;

/// A run of our own tuner, open for more.
pub(crate) type OpenRun = RunOf<Entry>;

/// A run whose journal holds `R`s, open for more.
#[derive(Debug)]
pub(crate) struct RunOf<R> {
    path: PathBuf,
    /// Open for what comes.
    pub(super) journal: Journal<R>,
    /// What earlier sessions left.
    pub(super) records: Vec<R>,
    /// Lines that are written with the next ones that count.
    noted: Vec<R>,
    /// When it was opened, by the clock on the wall and by one that nobody sets.
    opened: (Timestamp, Instant),
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
        Ok(Self::opened(path, journal, Vec::new(), Some(made)))
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
        Ok(Self::opened(path.to_owned(), journal, records, None))
    }

    fn opened(path: PathBuf, journal: Journal<R>, records: Vec<R>, made: Option<RunDirectory>) -> Self {
        let opened = (Timestamp::now(), Instant::now());
        Self { path, journal, records, noted: Vec::new(), opened, made }
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
        Ok(Journal::<Entry>::plan(path)?)
    }

    /// Everything on record of the run in `path`, also while another process writes it. Nothing is touched.
    pub(crate) fn recorded(path: &Path) -> Result<Vec<Entry>, RunError> {
        Ok(Journal::<Entry>::records(path)?)
    }

    /// What earlier sessions left.
    pub(super) fn earlier(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().map(|entry| &entry.record)
    }

    /// When the run was opened.
    pub(super) fn opened_at(&self) -> Timestamp {
        self.opened.0
    }

    /// Record what happened, with one flush for all. It counts once this returns.
    pub(super) fn record(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), RunError> {
        let entries: Vec<Entry> = records.into_iter().map(|record| self.now(record)).collect();
        if entries.is_empty() {
            return Ok(());
        }
        self.noted.extend(entries);
        let written = self.journal.append_all(&self.noted);
        self.noted.clear();
        Ok(written?)
    }

    /// Something happened now on which nothing hangs: it is on disk with the next record.
    pub(super) fn note(&mut self, record: Record) {
        let entry = self.now(record);
        self.noted.push(entry);
    }

    fn now(&self, record: Record) -> Entry {
        let at_ms = self.opened.1.elapsed().as_millis();
        Entry { at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX), record }
    }

    /// What the run was compiled with so far.
    pub(super) fn compiler(&self) -> Option<&CompilerIdentity> {
        self.earlier().find_map(|record| match record {
            Record::Joined { compiler, .. } => Some(compiler),
            _ => None,
        })
    }
}

/// What is on record of the run in `path`, whenever it came about.
#[cfg(test)]
pub(crate) fn records(path: &Path) -> Vec<Record> {
    OpenRun::recorded(path).unwrap().into_iter().map(|entry| entry.record).collect()
}
