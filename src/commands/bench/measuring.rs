//! One plan measured into one directory: what `run` and `sweep` do, once or often.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::report::{ReportError, write};
use super::report_page::run_page;
use super::run::Measuring;
use crate::bench::compare::Run;
use crate::bench::metrics::summarise;
use crate::bench::plan::Plan;
use crate::bench::profile::Settled;
use crate::bench::record::RequestRecord;
use crate::bench::results::environment::Environment;
use crate::bench::results::table::{Cells, columns};
use crate::bench::results::{HowEnded, Place, RequestLog, ResultsDir, RunFile, SummaryFile};
use crate::bench::server;
use crate::bench::session::{Manner, Session};
use crate::events::{LoadEvent, LoadPart, Observer, RunEvent};
use crate::failure::{Failure, Kind};
use crate::report::table_file::{Column, Table, Values};

/// The page beside a run's results.
pub(super) const PAGE: &str = "report.html";

/// The requests as a Parquet table, where it is asked for.
const PARQUET: &str = "requests.parquet";

/// A run, measured and written.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) dir: PathBuf,
    pub(super) run: Run,
    /// Whether more requests failed than the plan allows.
    pub(super) too_many_failed: bool,
    /// Whether it was stopped.
    pub(super) stopped: bool,
}

/// The user stopped a run. What was measured is written.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Some of it, or all, was measured.
    #[error("stopped; what was measured is in `{dir}`", dir = dir.display())]
    Measured {
        /// Where it lies.
        dir: PathBuf,
    },
    /// While the server was asked who it is, prompts were made, or it warmed up.
    #[error("stopped before anything was measured")]
    BeforeTheFirst,
}

impl Failure for Stopped {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
}

impl Stopped {
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self::Measured { dir: dir.to_owned() }
    }
}

type Outcome<T> = Result<T, Box<dyn Failure>>;

/// Folders that are not there before a command begins: those that are empty at its end are removed, so that
/// one that measured nothing leaves nothing.
#[derive(Debug)]
pub(super) struct Tidy(Vec<PathBuf>);

impl Tidy {
    /// What will be made to hold `place`, the deepest first.
    pub(super) fn before(place: &Place) -> Self {
        let (Place::Below(path) | Place::Exactly(path)) = place;
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        Self(path.ancestors().take_while(missing).map(Path::to_owned).collect())
    }

    /// This one, too, which lies in those.
    pub(super) fn also(&mut self, dir: &Path) {
        self.0.insert(0, dir.to_owned());
    }
}

impl Drop for Tidy {
    fn drop(&mut self) {
        for dir in &self.0 {
            // One that holds something stays.
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// Find the server and the model that all of a command's runs measure.
pub(super) async fn open(
    settled: &Settled,
    with: &Measuring,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Outcome<Session> {
    let ca = with.ca_cert.as_deref().map(server::ca::read).transpose()?;
    let opening = Session::open(with.target.clone(), ca, settled.plan.model.as_deref());
    let session = stop.run_until_cancelled(opening).await.ok_or(Stopped::BeforeTheFirst)??;
    if let Some(note) = session.note() {
        observer.note(note);
    }
    Ok(session)
}

/// The plan, under the name the server has for the model.
pub(super) fn plan(settled: &Settled, session: &Session) -> Plan {
    let mut draft = settled.plan.clone();
    draft.model = None;
    draft.into_plan(session.model().to_owned())
}

/// The directory of one run.
pub(super) fn run_dir(place: &Place, plan: &Plan) -> Outcome<ResultsDir> {
    create(place, plan, &plan.profile)
}

/// The directory of several runs: that of each lies in it.
pub(super) fn parent_dir(place: &Place, plan: &Plan, what: &str) -> Outcome<ResultsDir> {
    create(place, plan, &format!("{}-{what}", plan.profile))
}

fn create(place: &Place, plan: &Plan, name: &str) -> Outcome<ResultsDir> {
    Ok(ResultsDir::create(place, Timestamp::now(), &plan.model, name)?)
}

/// One run among those of a command.
pub(super) struct Turn<'a> {
    pub(super) settled: &'a Settled,
    pub(super) with: &'a Measuring,
    /// Where it goes; made already, so that nothing is measured that cannot be written.
    pub(super) dir: ResultsDir,
    /// Which repeat it is, from 0.
    pub(super) repeat: u32,
    /// Sets its prompts apart from those of the command's other runs.
    pub(super) round: u32,
    /// Which of the command's runs it is.
    pub(super) part: LoadPart,
}

/// Prepare, measure, write.
pub(super) async fn measure(
    session: &Session,
    turn: Turn<'_>,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Outcome<Finished> {
    let dir = turn.dir.path().to_owned();
    let result = measured(session, turn, stop, observer).await;
    if result.is_err() {
        // An empty one holds nothing to keep; any other stays.
        let _ = std::fs::remove_dir(&dir);
    }
    result
}

async fn measured(
    session: &Session,
    turn: Turn<'_>,
    stop: &CancellationToken,
    observer: &mut dyn Observer,
) -> Outcome<Finished> {
    let Turn { settled, with, dir, repeat, round, part } = turn;
    let plan = plan(settled, session);
    observer.say(LoadEvent::Preparing { requests: plan.requests });
    let preparing = session.prepare(&plan, &settled.files, with.tokenizer.as_ref(), round);
    let prepared = stop.run_until_cancelled(preparing).await;
    let load = prepared.ok_or(Stopped::BeforeTheFirst)??;
    observer.say(LoadEvent::Prepared { requests: plan.requests });
    for note in &load.report.notes {
        observer.note(note);
    }
    let workload = serde_json::to_value(&load.report).unwrap_or(Value::Null);
    let environment = Environment::here(std::env::args(), with.target.api_key.as_ref());
    let file = RunFile::new(
        plan.clone(),
        &with.target,
        session.view().clone(),
        environment,
        workload,
        repeat,
        Timestamp::now(),
    );
    dir.write_run(&file)?;
    observer.say(RunEvent::Began { directory: dir.path().to_owned(), resumed: false });
    let mut records: Vec<RequestRecord> = Vec::with_capacity(plan.requests as usize);
    let manner = Manner { scrape_every: with.scrape_every, keep_text: with.keep_text, part };
    let recorded = async {
        let mut log = RequestLog::create(dir.path())?;
        let mut keep = |record: RequestRecord| -> Outcome<()> {
            log.append(std::slice::from_ref(&record))?;
            records.push(record);
            Ok(())
        };
        let measured = session.measure(&plan, load, &manner, stop, observer, &mut keep).await?;
        log.finish()?;
        Outcome::Ok(measured)
    };
    let measured = match recorded.await {
        Ok(measured) => measured,
        Err(failure) => {
            let how = HowEnded::Failed { reason: failure.to_string() };
            // A disk that is full may refuse this, too; what it refused first is what the user hears.
            let _ = dir.write_run(&file.ended(how, Timestamp::now(), None, session.view().clone()));
            return Err(failure);
        }
    };
    if measured.stopped && records.is_empty() {
        // While it warmed up: there is nothing to keep, as before the load.
        dir.discard();
        return Err(Stopped::BeforeTheFirst.into());
    }
    let summary = summarise(&plan, &records, measured.client.clone(), measured.server.clone());
    let ended = summary.counts.completed + summary.counts.failed;
    let allowed = plan.limits.failed_share * f64::from(ended);
    let too_many_failed =
        f64::from(summary.counts.failed) > allowed || (ended > 0 && summary.counts.completed == 0);
    let how = match (measured.stopped, too_many_failed) {
        (true, _) => HowEnded::Interrupted,
        (false, true) => {
            HowEnded::Failed { reason: format!("{} of {ended} requests failed", summary.counts.failed) }
        }
        (false, false) => HowEnded::Finished,
    };
    let file = file.ended(how, Timestamp::now(), Some(measured.client), measured.server);
    dir.write_summary(&file, &SummaryFile::new(&plan, summary.clone()))?;
    dir.write_run(&file)?;
    let run = Run { name: dir.path().display().to_string(), plan, summary, records };
    if with.parquet {
        parquet(&run.records, &dir.path().join(PARQUET))?;
    }
    if with.html {
        write(&run_page(&run), Some(&dir.path().join(PAGE)), None).map_err(ReportError)?;
    }
    Ok(Finished { dir: dir.path().to_owned(), run, too_many_failed, stopped: measured.stopped })
}

fn parquet(records: &[RequestRecord], path: &Path) -> Outcome<()> {
    let columns = columns(records)
        .into_iter()
        .map(|column| {
            let values = match column.cells {
                Cells::U32(cells) => Values::U32(cells),
                Cells::F64(cells) => Values::F64(cells),
                Cells::Text(cells) => Values::Text(cells),
                Cells::Bool(cells) => Values::Bool(cells),
            };
            Column::new(column.name, values)
        })
        .collect();
    Ok(Table::new(columns)?.write(path)?)
}
