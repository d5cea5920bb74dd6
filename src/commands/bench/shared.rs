//! What `run` and `sweep` share beside the plan: what the user said, the files beside a run's results, and how
//! several runs ended.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::nodes::{NamedCluster, WatchedNodes};
use super::report::{ReportError, write};
use super::report_page::run_page;
use crate::bench::campaign::{Conditions, FinishedRun, RunSeries};
use crate::bench::profile::Origin;
use crate::bench::record::RequestRecord;
use crate::bench::results::ResultsDir;
use crate::bench::results::table::{Cells, columns};
use crate::commands::{CommandResult, Verdict};
use crate::failure::Failure;
use crate::report::table_file::{ParquetColumn, ParquetTable, Values};
use crate::run_dir::Place;

/// The page beside a run's results.
pub(super) const PAGE: &str = "report.html";

/// The requests as a Parquet table, where it is asked for.
const PARQUET: &str = "requests.parquet";

/// What the user said of a measurement, whatever is sent.
#[derive(Debug, Clone)]
pub(crate) struct SharedSettings {
    /// The server, and how it is measured.
    pub conditions: Conditions,
    /// Where the server's address came from.
    pub target_origin: Origin,
    /// The machines behind the server, where the user said which they are.
    pub cluster: Option<NamedCluster>,
    /// Where the run goes.
    pub out: Place,
    /// Write the requests as a Parquet table too.
    pub parquet: bool,
    /// Write the HTML page.
    pub html: bool,
    /// Print one JSON object.
    pub json: bool,
    /// Say what would be sent and do nothing.
    pub dry_run: bool,
}

/// Reach the machines behind the server, where the user said which they are.
pub(super) async fn reach(
    with: &SharedSettings,
    stop: &CancellationToken,
) -> Result<Option<WatchedNodes>, Box<dyn Failure>> {
    match &with.cluster {
        Some(cluster) => WatchedNodes::open(cluster, stop).await.map(Some),
        None => Ok(None),
    }
}

/// Write what was asked for beside a run's results.
pub(super) fn write_beside(done: &FinishedRun, with: &SharedSettings) -> Result<(), Box<dyn Failure>> {
    if with.parquet {
        parquet(&done.run.records, &done.dir.join(PARQUET))?;
    }
    if with.html {
        write(&run_page(&done.run), Some(&done.dir.join(PAGE)), None).map_err(ReportError)?;
    }
    Ok(())
}

/// What a command says whose runs came to this.
pub(super) fn verdict(series: RunSeries, parent: Option<&ResultsDir>) -> CommandResult {
    Ok(match series.too_many_failed(parent)? {
        true => Verdict::CheckSaidNo,
        false => Verdict::Done,
    })
}

fn parquet(records: &[RequestRecord], path: &Path) -> Result<(), Box<dyn Failure>> {
    let columns = columns(records)
        .into_iter()
        .map(|column| {
            let values = match column.cells {
                Cells::U32(cells) => Values::U32(cells),
                Cells::F64(cells) => Values::F64(cells),
                Cells::Text(cells) => Values::Text(cells),
                Cells::Bool(cells) => Values::Bool(cells),
            };
            ParquetColumn::new(column.name, values)
        })
        .collect();
    Ok(ParquetTable::new(columns)?.write(path)?)
}
