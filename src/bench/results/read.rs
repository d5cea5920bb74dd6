//! Results read back, of a run that ended and of one that was killed.

use std::io::ErrorKind;
use std::path::Path;

use super::{RUN, ResultsError, RunFile, SUMMARY, SummaryFile, request_log, run_file};
use crate::bench::metrics::summarise;
use crate::bench::record::RequestRecord;
use crate::bench::summary::{ClientHealth, Summary};

/// What lies in a results directory.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultsRead {
    /// What was run.
    pub run: RunFile,
    /// Its requests, in the order they ended.
    pub records: Vec<RequestRecord>,
    /// What they come to. Absent where the run was killed.
    pub summary: Option<Summary>,
}

impl ResultsRead {
    /// The summary as it was written, else made from the requests that are there.
    pub fn summarised(&self) -> Summary {
        if let Some(summary) = &self.summary {
            return summary.clone();
        }
        let known = self.run.client.is_some();
        let client = self.run.client.clone().unwrap_or_default();
        let mut summary = summarise(&self.run.plan, &self.records, client, self.run.server.clone());
        if !known {
            summary.client = ClientHealth::default();
            summary.warnings.insert(
                0,
                "the run was killed: these are the requests that had ended, and whether the client kept up is \
                 not known"
                    .into(),
            );
        }
        summary
    }
}

/// Reads a results directory.
///
/// # Errors
/// What is missing, of another format, or wrong; the message names file, line and field.
pub fn read(dir: &Path) -> Result<ResultsRead, ResultsError> {
    let path = dir.join(RUN);
    let bytes = bytes(&path)?.ok_or_else(|| ResultsError::Missing { path: dir.to_owned() })?;
    let run = run_file::parse(&path, &bytes)?;
    Ok(ResultsRead { run, records: request_log::read(dir)?, summary: read_summary(dir)? })
}

fn read_summary(dir: &Path) -> Result<Option<Summary>, ResultsError> {
    let path = dir.join(SUMMARY);
    let Some(bytes) = bytes(&path)? else { return Ok(None) };
    let value = run_file::parse_format(&path, &bytes)?;
    let file: SummaryFile = run_file::from_value(&path, value)?;
    Ok(Some(file.into_summary()))
}

/// None where there is no such file.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, ResultsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(ResultsError::io("read", path)(error)),
    }
}
