//! Results read back, of a run that ended and of one that was killed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{NODES, NodesFile, RUN, ResultsError, RunFile, SUMMARY, SummaryFile, request_log, run_file};
use crate::bench::metrics::summarise;
use crate::bench::nodes::NodesAround;
use crate::bench::record::RequestRecord;
use crate::bench::summary::{ClientHealth, Summary};
use crate::fs::{ReadError, read_at_most};

/// Bytes of a `run.json` or `summary.json`. Samples of a server's metrics make the largest.
const MAX_BYTES: u64 = 1 << 30;

/// What lies in a results directory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResultsRead {
    /// What was run.
    pub run: RunFile,
    /// Its requests, in the order they ended.
    pub records: Vec<RequestRecord>,
    /// What they come to. Absent where the run was killed.
    pub summary: Option<Summary>,
    /// The machines behind the server. Absent where it was not said which they are.
    pub nodes: Option<NodesAround>,
}

impl ResultsRead {
    /// The summary as it was written, else made from the requests that are there.
    pub(crate) fn summarised(&self) -> Summary {
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
        summary.warnings.extend(self.nodes.iter().flat_map(NodesAround::notes));
        summary
    }
}

/// Reads a results directory.
///
/// # Errors
/// What is missing, of another format, or wrong; the message names file, line and field.
pub(crate) fn read(dir: &Path) -> Result<ResultsRead, ResultsError> {
    let path = dir.join(RUN);
    let bytes = bytes(&path)?.ok_or_else(|| ResultsError::Missing { path: dir.to_owned() })?;
    let run = run_file::parse(&path, &bytes)?;
    let (records, summary) = (request_log::read(dir)?, read_summary(dir)?);
    Ok(ResultsRead { run, records, summary, nodes: read_nodes(dir)? })
}

/// Reads every run in a directory: itself, or those of a sweep or of repeats that lie in it, in order.
///
/// # Errors
/// As [`read`], and [`ResultsError::Missing`] where there is none.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<(PathBuf, ResultsRead)>, ResultsError> {
    let one = |path: PathBuf| read(&path).map(|run| (path, run));
    let mut found = Vec::new();
    // A directory that is itself a run, or is none at all, is for `read` to judge.
    if !dir.join(RUN).exists() && dir.is_dir() {
        let io = ResultsError::io("read", dir);
        for entry in std::fs::read_dir(dir).map_err(&io)? {
            let path = entry.map_err(&io)?.path();
            if path.join(RUN).is_file() {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Ok(vec![one(dir.to_owned())?]);
    }
    found.sort_by(|a, b| step(a).total_cmp(&step(b)).then_with(|| a.cmp(b)));
    found.into_iter().map(one).collect()
}

/// The number a run's directory ends with: `concurrency-8` stands before `concurrency-16`.
fn step(path: &Path) -> f64 {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

fn read_summary(dir: &Path) -> Result<Option<Summary>, ResultsError> {
    let path = dir.join(SUMMARY);
    let Some(bytes) = bytes(&path)? else { return Ok(None) };
    let value = run_file::parse_format(&path, &bytes)?;
    let file: SummaryFile = run_file::from_value(&path, value)?;
    Ok(Some(file.into_summary()))
}

fn read_nodes(dir: &Path) -> Result<Option<NodesAround>, ResultsError> {
    let path = dir.join(NODES);
    let Some(bytes) = bytes(&path)? else { return Ok(None) };
    let value = run_file::parse_format(&path, &bytes)?;
    Ok(Some(run_file::from_value::<NodesFile>(&path, value)?.nodes))
}

/// None where there is no such file.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, ResultsError> {
    match read_at_most(path, MAX_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::Io(error))
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(ResultsError::io("read", path)(error.into())),
    }
}
