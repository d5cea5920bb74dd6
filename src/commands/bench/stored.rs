//! Runs that lie in a directory, for `report` and `compare`.

use std::path::Path;

use crate::bench::compare::MeasuredRun;
use crate::bench::results::{ResultsRead, read_all};
use crate::failure::Failure;

/// Every run in a directory: itself, or the runs of a sweep or of repeats that lie in it, in order.
pub(crate) fn stored(dir: &Path) -> Result<Vec<MeasuredRun>, Box<dyn Failure>> {
    let run = |(path, read): (std::path::PathBuf, ResultsRead)| {
        let summary = read.summarised();
        let ResultsRead { run, records, summary: _, nodes } = read;
        MeasuredRun { name: path.display().to_string(), plan: run.plan, summary, records, nodes }
    };
    Ok(read_all(dir)?.into_iter().map(run).collect())
}
