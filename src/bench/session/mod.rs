//! A server under measurement: identified once, then given one load or several.
//!
//! The order of things is what makes figures trustworthy: who the server is, then the workload by its own
//! count of tokens, then connections, then a warm-up, then a clock that measures nothing else.

mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::watch::Watch;
use super::arrival::{Schedule, schedule, trace};
use super::client::{Client, Connector};
use super::conversation::Conversation;
use super::plan::{Arrival, LoadPlan, Workload};
use super::profile::{Files, unchanged};
use super::record::RequestRecord;
use super::runner::{self, Live, Run};
use super::server::identity::{self, Model};
use super::server::tokenize::{Tokenize, UsageCounter};
use super::server::{Chosen, Endpoints};
use super::summary::{ClientHealth, ServerView};
use super::target::ServerTarget;
use super::workload::oracle::{Local, Oracle, settle};
use super::workload::{self, WorkloadReport, WorkloadSpec};
use crate::events::{LiveView, LoadEvent, LoadPart, Observer, Work};
use crate::failure::Failure;

/// How often the live view is told.
const TICK: Duration = Duration::from_millis(200);

/// Warm-up requests in flight at once.
const WARM_UP_AT_ONCE: u32 = 16;

/// A server that has been found to serve the model.
#[derive(Debug)]
pub(crate) struct ServerUnderTest {
    target: ServerTarget,
    endpoints: Endpoints,
    ca: Option<Vec<u8>>,
    models: Vec<Model>,
    chosen: Chosen,
    view: ServerView,
}

/// Everything that is sent in one run.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Measured.
    pub conversations: Vec<Conversation>,
    /// Sent before.
    pub warmup: Vec<Conversation>,
    /// When the measured ones are due.
    pub schedule: Schedule,
    /// How the prompts were made.
    pub report: WorkloadReport,
}

/// How one run is measured.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// How often the server's metrics are read; never where absent.
    pub scrape_every: Option<Duration>,
    /// Keep the answers' texts.
    pub keep_text: bool,
    /// Which of a command's loads it is.
    pub part: LoadPart,
}

/// What one run gave beside its records.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Whether the client kept up.
    pub client: ClientHealth,
    /// What the server said of itself.
    pub server: ServerView,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

type Result<T> = std::result::Result<T, Box<dyn Failure>>;

impl ServerUnderTest {
    /// Ask the server who it is and choose the model: the one `asked` for, or the only one.
    pub(crate) async fn open(target: ServerTarget, ca: Option<Vec<u8>>, asked: Option<&str>) -> Result<Self> {
        let endpoints = Endpoints::new(target.clone(), ca.as_deref())?;
        let models = identity::models(&endpoints).await?;
        let chosen = identity::choose(&models, asked)?;
        let view = identity::view(&endpoints, &models).await;
        Ok(Self { target, endpoints, ca, models, chosen, view })
    }

    /// The model's name as the server has it.
    pub(crate) fn model(&self) -> &str {
        &self.chosen.model.id
    }

    /// What the user should know of the choice.
    pub(crate) fn note(&self) -> Option<&str> {
        self.chosen.note.as_deref()
    }

    /// What the server said of itself.
    pub(crate) fn view(&self) -> &ServerView {
        &self.view
    }

    /// Make what `plan` sends. `round` sets the prompts of repeated runs apart, so that none finds the
    /// answers to its prompts in the server's prefix cache.
    ///
    /// # Errors
    /// A data file that is not the plan's any more, and whatever keeps a workload from being made.
    pub(crate) async fn prepare(
        &self,
        plan: &LoadPlan,
        files: &Files,
        tokenizer: Option<&PathBuf>,
        round: u32,
    ) -> Result<Load> {
        if let (Workload::Sharegpt { file, .. } | Workload::Jsonl { file, .. }, Some(path)) =
            (&plan.workload, &files.workload)
        {
            unchanged(path, file)?;
        }
        if let (Arrival::Trace { file, .. }, Some(path)) = (&plan.arrival, &files.trace) {
            unchanged(path, file)?;
        }
        let mut drawn = plan.clone();
        drawn.seed = plan.seed.wrapping_add(u64::from(round) << 32);
        let usage = UsageCounter::new(&self.endpoints, self.model(), plan.protocol, &plan.sampling);
        let counts = matches!(
            plan.workload,
            Workload::Random { .. } | Workload::SharedPrefix { .. } | Workload::MultiTurn { .. }
        );
        let oracle = if counts {
            let cheap: Option<Box<dyn Oracle>> = match tokenizer {
                Some(path) => Some(Box::new(Local::read(path)?)),
                None => Tokenize::probe(&self.endpoints, self.model(), plan.protocol, &plan.sampling)
                    .await?
                    .map(|tokenize| -> Box<dyn Oracle> { Box::new(tokenize) }),
            };
            settle(cheap, Some(Box::new(usage))).await?
        } else {
            None
        };
        let wanted = WorkloadSpec {
            plan: &drawn,
            file: files.workload.as_deref(),
            context: self.chosen.model.max_model_len,
        };
        let prepared = workload::prepare(&wanted, oracle.as_ref()).await?;
        let times = match (&plan.arrival, &files.trace) {
            (Arrival::Trace { .. }, Some(path)) => Some(trace::read(path)?),
            _ => None,
        };
        let count = prepared.conversations.len() as u32;
        let schedule = schedule(&plan.arrival, count, drawn.seed, times.as_deref())?;
        Ok(Load {
            conversations: prepared.conversations,
            warmup: prepared.warmup,
            schedule,
            report: prepared.report,
        })
    }

    /// Send a load and hand over every record as its request ends. When `keep` fails (a full disk), nothing
    /// more is sent, what is in flight is given up, and the failure is returned.
    pub(crate) async fn measure(
        &self,
        plan: &LoadPlan,
        load: Load,
        manner: &Manner,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
        keep: &mut dyn FnMut(RequestRecord) -> Result<()>,
    ) -> Result<Measured> {
        self.warm_up(plan, load.warmup, stop, observer).await?;
        let mut watch = Watch::new(self.endpoints.clone(), manner.scrape_every);
        watch.look().await;
        let keep_text = manner.keep_text || load.conversations.iter().any(|one| one.turns.len() > 1);
        let run = Run {
            plan: plan.clone(),
            conversations: load.conversations,
            schedule: load.schedule,
            id: run_id(),
            keep_text: manner.keep_text,
        };
        let halt = stop.child_token();
        let telling = Telling { part: manner.part.clone(), requests: plan.requests };
        watch.start();
        let ended = self.send(run, keep_text, &halt, telling, observer, keep).await;
        // Asked now: a stop while the server is asked about itself breaks nothing off any more.
        let stopped = stop.is_cancelled();
        let (end, began_at) = ended.map(|end| (end.client, end.began))?;
        watch.look().await;
        let mut server = identity::view(&self.endpoints, &self.models).await;
        server.samples = watch.samples(began_at);
        Ok(Measured { client: end, server, stopped })
    }

    async fn warm_up(
        &self,
        plan: &LoadPlan,
        conversations: Vec<Conversation>,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if conversations.is_empty() || stop.is_cancelled() {
            return Ok(());
        }
        let requests = conversations.len() as u32;
        let at_once = plan.concurrency.unwrap_or(WARM_UP_AT_ONCE).min(WARM_UP_AT_ONCE);
        let run = Run {
            plan: LoadPlan { concurrency: Some(at_once), arrival: Arrival::ClosedLoop, ..plan.clone() },
            conversations,
            schedule: Schedule::Closed,
            id: run_id(),
            keep_text: false,
        };
        let telling = Telling { part: LoadPart::WarmUp, requests };
        let mut first_failure = None;
        let sent = self
            .send(run, false, &stop.child_token(), telling, observer, &mut |record| {
                if let super::record::Outcome::Failed { class, message } = record.outcome {
                    first_failure.get_or_insert(format!("{}: {message}", class.name()));
                }
                Ok(())
            })
            .await;
        sent?;
        if let Some(why) = first_failure {
            observer.note(format!("a warm-up request failed: {why}"));
        }
        Ok(())
    }

    /// Run on the measuring thread; records and the live view are looked after here.
    async fn send(
        &self,
        run: Run,
        keep_text: bool,
        halt: &CancellationToken,
        telling: Telling,
        observer: &mut dyn Observer,
        keep: &mut dyn FnMut(RequestRecord) -> Result<()>,
    ) -> Result<runner::RunEnd> {
        let connector = Connector::new(&self.target, self.ca.clone()).await?;
        let (protocol, limits) = (run.plan.protocol, run.plan.limits);
        let client = Client::new(&self.target, connector, protocol, limits, keep_text)?;
        let live = Arc::new(Live::default());
        let (records, mut ended) = mpsc::unbounded_channel();
        let running = runner::run(run, move || client, live.clone(), records, halt.clone());
        tokio::pin!(running);
        let mut tick = tokio::time::interval(TICK);
        let (mut failure, mut end) = (None, None);
        let began = Instant::now();
        observer.say(telling.queued());
        // Until the run has ended and every record is kept.
        loop {
            tokio::select! {
                result = &mut running, if end.is_none() => end = Some(result),
                record = ended.recv() => match record {
                    Some(record) if failure.is_none() => {
                        if let Err(error) = keep(record) {
                            failure = Some(error);
                            halt.cancel();
                        }
                    }
                    Some(_) => {}
                    None if end.is_some() => break,
                    None => {
                        end = Some(running.await);
                        break;
                    }
                },
                _ = tick.tick() => observer.say(telling.sending(began.elapsed(), live.view())),
            }
        }
        observer.say(telling.ended(began.elapsed(), live.view()));
        match (failure, end) {
            (Some(failure), _) => Err(failure),
            (None, Some(end)) => Ok(end?),
            (None, None) => Err(runner::RunnerError::Panicked.into()),
        }
    }
}

/// Tells of one load.
struct Telling {
    part: LoadPart,
    requests: u32,
}

impl Telling {
    fn queued(&self) -> LoadEvent {
        LoadEvent::Queued { part: self.part.clone(), work: self.work(LiveView::default()) }
    }

    fn sending(&self, since: Duration, live: LiveView) -> LoadEvent {
        let (part, work) = (self.part.clone(), self.work(live));
        LoadEvent::Sending { part, work, seconds: since.as_secs_f64(), live }
    }

    fn ended(self, since: Duration, live: LiveView) -> LoadEvent {
        let work = self.work(live);
        LoadEvent::Ended { part: self.part, work, seconds: since.as_secs_f64(), live }
    }

    fn work(&self, live: LiveView) -> Work {
        let ended = u64::from(live.done) + u64::from(live.failed);
        Work { done: ended, of: u64::from(self.requests) }
    }
}

/// Sets this run's request ids apart from other runs'.
fn run_id() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("sb{:x}", now.as_micros())
}

#[cfg(test)]
mod tests;
