//! One plan measured into one directory.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Campaign, CampaignStopped, Result};
use crate::bench::compare::MeasuredRun;
use crate::bench::metrics::summarise;
use crate::bench::nodes::NodesAround;
use crate::bench::profile::ResolvedPlan;
use crate::bench::record::RequestRecord;
use crate::bench::results::environment::RunEnvironment;
use crate::bench::results::{HowEnded, NodesFile, RequestLog, ResultsDir, RunFile, SummaryFile};
use crate::bench::session::Manner;
use crate::events::{LoadEvent, LoadPart, Observer, RunEvent};
use crate::run_dir::Place;

/// One run among those of a campaign.
#[derive(Debug)]
pub(crate) struct CampaignRun<'a> {
    /// What is sent and how it is judged.
    pub resolved: &'a ResolvedPlan,
    /// Where it goes.
    pub place: Place,
    /// Which repeat it is, from 0.
    pub repeat: u32,
    /// Sets its prompts apart from those of the campaign's other runs.
    pub round: u32,
    /// Which of the campaign's runs it is.
    pub part: LoadPart,
}

/// A run, measured and written.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    /// Its directory.
    pub dir: PathBuf,
    /// What was measured.
    pub run: MeasuredRun,
    /// Whether more requests failed than the plan allows.
    pub too_many_failed: bool,
    /// Whether it was stopped.
    pub stopped: bool,
}

impl Campaign<'_> {
    /// Prepare, measure, write. The directory is made first, so that nothing is measured that cannot be
    /// written.
    ///
    /// # Errors
    /// [`CampaignStopped`] where nothing was measured before `stop` was pulled, and whatever keeps a run from
    /// being prepared, sent or written. What was written until then stays.
    pub(crate) async fn measure(
        &self,
        run: CampaignRun<'_>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<FinishedRun> {
        let plan = self.plan(run.resolved);
        let dir = ResultsDir::create(&run.place, Timestamp::now(), &plan.model, &plan.profile)?;
        let path = dir.path().to_owned();
        let result = self.measure_into(dir, run, stop, observer).await;
        if result.is_err() {
            // An empty one holds nothing to keep; any other stays.
            let _ = std::fs::remove_dir(&path);
        }
        result
    }

    async fn measure_into(
        &self,
        dir: ResultsDir,
        run: CampaignRun<'_>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<FinishedRun> {
        let Self { server, conditions, nodes: serving } = self;
        let CampaignRun { resolved, place: _, repeat, round, part } = run;
        let plan = self.plan(resolved);
        observer.say(LoadEvent::Preparing { requests: plan.requests });
        let preparing = server.prepare(&plan, &resolved.files, conditions.tokenizer.as_ref(), round);
        let prepared = stop.run_until_cancelled(preparing).await;
        let load = prepared.ok_or(CampaignStopped::BeforeTheFirst)??;
        observer.say(LoadEvent::Prepared { requests: plan.requests });
        for note in &load.report.notes {
            observer.note(note);
        }
        let workload = serde_json::to_value(&load.report).unwrap_or(Value::Null);
        let environment = RunEnvironment::here(std::env::args(), conditions.target.api_key.as_ref());
        let file = RunFile::new(
            plan.clone(),
            &conditions.target,
            server.view().clone(),
            environment,
            workload,
            repeat,
            Timestamp::now(),
        );
        let mut nodes = None;
        if let Some(serving) = serving {
            let before =
                stop.run_until_cancelled(serving.look()).await.ok_or(CampaignStopped::BeforeTheFirst)?;
            nodes = Some(NodesAround { cluster: serving.cluster().to_owned(), before, after: None });
        }
        dir.write_run(&file)?;
        if let Some(nodes) = &nodes {
            dir.write_nodes(&NodesFile::new(nodes.clone()))?;
        }
        observer.say(RunEvent::Began { directory: dir.path().to_owned(), resumed: false });
        let mut records: Vec<RequestRecord> = Vec::with_capacity(plan.requests as usize);
        let manner = Manner { scrape_every: conditions.scrape_every, keep_text: conditions.keep_text, part };
        let recorded = async {
            let mut log = RequestLog::create(dir.path())?;
            let mut keep = |record: RequestRecord| -> Result<()> {
                log.append(std::slice::from_ref(&record))?;
                records.push(record);
                Ok(())
            };
            let measured = server.measure(&plan, load, &manner, stop, observer, &mut keep).await?;
            log.finish()?;
            Result::Ok(measured)
        };
        let measured = match recorded.await {
            Ok(measured) => measured,
            Err(failure) => {
                let how = HowEnded::Failed { reason: failure.to_string() };
                // A disk that is full may refuse this, too; what it refused first is what the user hears.
                let _ = dir.write_run(&file.ended(how, Timestamp::now(), None, server.view().clone()));
                return Err(failure);
            }
        };
        if measured.stopped && records.is_empty() {
            // While it warmed up: there is nothing to keep, as before the load.
            dir.discard();
            return Err(CampaignStopped::BeforeTheFirst.into());
        }
        let mut summary = summarise(&plan, &records, measured.client.clone(), measured.server.clone());
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
        let mut stopped = measured.stopped;
        // Whoever stopped it does not want to wait for them.
        if let (Some(serving), Some(nodes), false) = (serving, &mut nodes, measured.stopped) {
            nodes.after = stop.run_until_cancelled(serving.look()).await;
            stopped = nodes.after.is_none();
            dir.write_nodes(&NodesFile::new(nodes.clone()))?;
        }
        let notes: Vec<String> = nodes.iter().flat_map(NodesAround::notes).collect();
        if !notes.is_empty() {
            // Again: it was written before the nodes were waited for, so that nothing was lost meanwhile.
            summary.warnings.extend(notes);
            dir.write_summary(&file, &SummaryFile::new(&plan, summary.clone()))?;
        }
        let dir = dir.path().to_owned();
        let run = MeasuredRun { name: dir.display().to_string(), plan, summary, records, nodes };
        Ok(FinishedRun { dir, run, too_many_failed, stopped })
    }
}
