//! One server measured under one plan after another, each into a directory of its own.
//!
//! | file | what lives there |
//! |---|---|
//! | `one_run` | one plan measured into one directory |
//! | `empty_dirs` | a campaign that measured nothing leaves nothing |
//!
//! What else is made of a run (a page, a table, a line on a terminal) is the caller's, who hears of each as it
//! ends.

mod empty_dirs;
mod one_run;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub(crate) use self::empty_dirs::EmptyDirs;
pub(crate) use self::one_run::{CampaignRun, FinishedRun};

use super::compare::MeasuredRun;
use super::nodes::ServingNodes;
use super::plan::LoadPlan;
use super::profile::ResolvedPlan;
use super::results::ResultsDir;
use super::server;
use super::session::ServerUnderTest;
use super::target::ServerTarget;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::run_dir::Place;

/// The server, and how every run of a campaign is measured.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// The server.
    pub target: ServerTarget,
    /// Trust the certificate authority in this file too.
    pub ca_cert: Option<PathBuf>,
    /// How often the server's metrics are read; absent: never.
    pub scrape_every: Option<Duration>,
    /// Count tokens of prompts with this tokenizer.json.
    pub tokenizer: Option<PathBuf>,
    /// Keep what the server answered.
    pub keep_text: bool,
}

/// The user stopped a campaign. What was measured is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CampaignStopped {
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

impl Failure for CampaignStopped {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
}

impl CampaignStopped {
    fn in_dir(dir: &Path) -> Self {
        Self::Measured { dir: dir.to_owned() }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Failure>>;

/// A server that answers, and how it is measured.
#[derive(Debug)]
pub(crate) struct Campaign<'a> {
    server: ServerUnderTest,
    conditions: &'a Conditions,
    nodes: Option<&'a dyn ServingNodes>,
}

/// What several runs in a row came to.
#[derive(Debug)]
pub(crate) struct RunSeries {
    /// Those that were measured, in order.
    finished: Vec<FinishedRun>,
    /// What broke off the one after them.
    broken: Option<Box<dyn Failure>>,
}

impl<'a> Campaign<'a> {
    /// Find the server, and the model that all runs measure: the one `asked` for, or the only one. `nodes` are the
    /// machines behind it, where it is known which they are.
    ///
    /// # Errors
    /// A certificate that does not read, a server that does not answer or does not have the model, and
    /// [`CampaignStopped`].
    pub(crate) async fn open(
        conditions: &'a Conditions,
        asked: Option<&str>,
        nodes: Option<&'a dyn ServingNodes>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let ca = conditions.ca_cert.as_deref().map(server::ca::read).transpose()?;
        let opening = ServerUnderTest::open(conditions.target.clone(), ca, asked);
        let server = stop.run_until_cancelled(opening).await.ok_or(CampaignStopped::BeforeTheFirst)??;
        if let Some(note) = server.note() {
            observer.note(note);
        }
        Ok(Self { server, conditions, nodes })
    }

    /// The plan, under the name the server has for the model.
    pub(crate) fn plan(&self, resolved: &ResolvedPlan) -> LoadPlan {
        resolved.plan.clone().with_model(self.server.model().to_owned())
    }

    /// The directory of several runs of `resolved`, or of plans that begin with it: that of each lies in it.
    /// `what` they are (`repeats`, `sweep`) stands in its name.
    pub(crate) fn parent_dir(
        &self,
        place: &Place,
        resolved: &ResolvedPlan,
        what: &str,
    ) -> Result<ResultsDir> {
        let plan = self.plan(resolved);
        let name = format!("{}-{what}", plan.profile);
        Ok(ResultsDir::create(place, Timestamp::now(), &plan.model, &name)?)
    }

    /// Measure one run after the other, until one breaks off or `stop` is pulled. `each` hears of every run
    /// that was measured, before the next begins; its failure ends the series too.
    pub(crate) async fn measure_all(
        &self,
        runs: impl IntoIterator<Item = CampaignRun<'_>>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
        each: &mut dyn FnMut(&FinishedRun) -> Result<()>,
    ) -> RunSeries {
        let mut series = RunSeries { finished: Vec::new(), broken: None };
        for run in runs {
            let measured = self.measure(run, stop, observer).await;
            match measured.and_then(|run| each(&run).map(|()| run)) {
                Ok(run) => series.finished.push(run),
                Err(failure) => series.broken = Some(failure),
            }
            if series.broken.is_some() || stop.is_cancelled() {
                break;
            }
        }
        series
    }
}

impl RunSeries {
    /// What was measured, in order.
    pub(crate) fn runs(&self) -> Vec<MeasuredRun> {
        self.finished.iter().map(|finished| finished.run.clone()).collect()
    }

    /// How the runs ended: whether more requests of one failed than its plan allows. `parent` is the directory
    /// they all lie in, where there is one.
    ///
    /// # Errors
    /// What broke the series off, or [`CampaignStopped`]. Stopped beats failed: what failed may have done so
    /// because of it.
    pub(crate) fn too_many_failed(self, parent: Option<&ResultsDir>) -> Result<bool> {
        let Self { finished, broken } = self;
        match (broken, parent) {
            // Stopped between two runs: what the others measured is there.
            (Some(failure), Some(parent)) if failure.kind() == Kind::Interrupted && !finished.is_empty() => {
                return Err(CampaignStopped::in_dir(parent.path()).into());
            }
            (Some(failure), _) => return Err(failure),
            (None, _) => {}
        }
        if let Some(stopped) = finished.iter().find(|run| run.stopped) {
            return Err(CampaignStopped::in_dir(&stopped.dir).into());
        }
        Ok(finished.iter().any(|run| run.too_many_failed))
    }
}

#[cfg(test)]
mod tests;
