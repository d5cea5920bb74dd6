//! A launch plan carried out, stage by stage, until clients can use the model.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Wanted, ask_server};
use super::config_use::ConfigUses;
use super::error::UpError;
use super::found::FoundModel;
use super::place::Place;
use super::watch::Watch;
use crate::cluster::connect::Connected;
use crate::events::{Observer, ServeEvent};
use crate::host::ask::answer_of;
use crate::host::container_spec::{ContainerVariable, variables};
use crate::host::detached::DetachedId;
use crate::host::{Program, Variable};
use crate::host_name::HostName;
use crate::secret::Secret;
use crate::serving::failures::{Explanation, KnownFailures};
use crate::serving::plan::{Action, LaunchPlan, Stage, Step};
use crate::serving::role::Role;

/// How long a program may take that is waited for: it may have to load Ray.
const RUN_LIMIT: Duration = Duration::from_secs(90);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_secs(1);
/// What is to be brought up, and with what.
pub(crate) struct Up<'a> {
    /// The plan.
    pub(crate) plan: &'a LaunchPlan,
    /// Its nodes.
    pub(crate) nodes: &'a BTreeMap<HostName, Connected>,
    /// Secrets by the names of their variables.
    pub(crate) secrets: &'a (dyn Fn(&str) -> Option<Secret> + Send + Sync),
    /// How long all of it may take.
    pub(crate) limit: Duration,
    /// What is known to go wrong.
    pub(crate) known: &'a KnownFailures,
}

/// What came of a start.
#[derive(Debug)]
pub(crate) struct UpReport {
    /// Its stages, in their order.
    pub(crate) stages: Vec<StageTime>,
    /// What each process says of config files; those that say nothing are not listed.
    pub(crate) configs: Vec<(HostName, Role, ConfigUses)>,
    /// What logs show of a start that goes on worse than it could.
    pub(crate) warnings: Vec<(HostName, Role, Explanation)>,
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct StageTime {
    /// The stage.
    pub(crate) what: &'static str,
    /// Its time.
    pub(crate) seconds: f64,
}

/// A program that was started.
struct Started {
    role: Role,
    place: Place,
    id: DetachedId,
    until: Option<&'static str>,
}

impl Up<'_> {
    /// Bring it up. Where that fails, what was started is still there: [`take_down`](super::take_down) finds it by its
    /// labels.
    ///
    /// # Errors
    /// Whatever keeps it from coming up, as soon as it is noticed.
    pub(crate) async fn run(
        &self,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<UpReport, UpError> {
        self.check_secrets()?;
        let places = self.bare_places()?;
        let stages: Vec<&Stage> = self.plan.stages.iter().collect();
        self.stages(&stages, places, Vec::new(), cancel, observer).await
    }

    async fn stages(
        &self,
        stages: &[&Stage],
        mut places: HashMap<HostName, Place>,
        running: Vec<Started>,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<UpReport, UpError> {
        let began = Instant::now();
        let deadline = tokio::time::Instant::now() + self.limit;
        let (progress, mut heard_of) = mpsc::unbounded_channel();
        let mut watch = Watch::new(self.plan.engine, progress);
        for Started { role, place, id, until } in running {
            watch.add(role, place, id, until);
        }
        let mut times = Vec::new();
        for stage in stages {
            let since = Instant::now();
            observer.say(ServeEvent::Stage { what: stage.what.to_owned() });
            let mut heard = String::new();
            let carried_out = {
                let mut work = pin!(self.stage(stage, &places, &mut watch, &mut heard));
                let in_time = loop {
                    tokio::select! {
                        done = &mut work => break Ok(done),
                        Some((node, event)) = heard_of.recv() => observer.say_from(&node, event),
                        () = cancel.cancelled() => break Err(TooLate::Stopped),
                        () = tokio::time::sleep_until(deadline) => break Err(TooLate::TimeIsUp),
                    }
                };
                // What an engine is creating cannot be removed yet.
                if in_time.is_err() && stage.steps.iter().any(|step| matches!(step.action, Action::Create(_)))
                {
                    _ = work.await;
                }
                in_time
            };
            let done = match carried_out {
                Ok(done) => done?,
                Err(TooLate::Stopped) => return Err(UpError::Stopped),
                Err(TooLate::TimeIsUp) => {
                    let doing = if heard.is_empty() { stage.what.to_owned() } else { heard };
                    return Err(self.late(&watch, doing));
                }
            };
            for place in done.created {
                places.insert(place.node().clone(), place);
            }
            for part in &done.started {
                observer.say_from(&part.0, ServeEvent::Started { part: part.1.to_string() });
            }
            let seconds = since.elapsed().as_secs_f64();
            observer.say(ServeEvent::StageDone { what: stage.what.to_owned(), seconds });
            times.push(StageTime { what: stage.what, seconds });
        }
        observer.say(ServeEvent::Ready {
            served_name: self.plan.served_name.clone(),
            base_url: self.plan.base_url.clone(),
            seconds: began.elapsed().as_secs_f64(),
        });
        Ok(self.report(&watch, times))
    }

    fn report(&self, watch: &Watch, stages: Vec<StageTime>) -> UpReport {
        let mut report = UpReport { stages, configs: Vec::new(), warnings: Vec::new() };
        for part in watch.parts() {
            let whose = || (part.node().clone(), part.role);
            if part.configs.files().next().is_some() {
                report.configs.push((whose().0, whose().1, part.configs.clone()));
            }
            let lines: Vec<String> = part.lines.iter().cloned().collect();
            for warning in self.known.warnings(self.plan.engine, &lines) {
                report.warnings.push((whose().0, whose().1, warning));
            }
        }
        report
    }

    /// Wait until clients can use `model`, which somebody has begun to bring up and is the plan's. The same as [`Up::run`]
    /// where everything runs already.
    pub(crate) async fn join(
        &self,
        model: &FoundModel,
        cancel: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Result<UpReport, UpError> {
        let started = model.parts.iter().map(|part| Started {
            role: part.role,
            place: part.place.clone(),
            id: part.id.clone(),
            until: None,
        });
        let places = model.parts.iter().map(|part| (part.node.clone(), part.place.clone())).collect();
        let ready = |stage: &&Stage| stage.steps.iter().any(|step| step.action == Action::AwaitReady);
        let stages: Vec<&Stage> = self.plan.stages.iter().filter(ready).collect();
        self.stages(&stages, places, started.collect(), cancel, observer).await
    }

    /// Before anything is started.
    fn check_secrets(&self) -> Result<(), UpError> {
        for step in self.plan.stages.iter().flat_map(|stage| &stage.steps) {
            let environment = match &step.action {
                Action::Create(spec) => &spec.environment,
                _ => &step.environment,
            };
            self.variables(&step.node, environment)?;
        }
        Ok(())
    }

    fn variables(
        &self,
        node: &HostName,
        environment: &BTreeMap<String, ContainerVariable>,
    ) -> Result<BTreeMap<String, Variable>, UpError> {
        variables(environment, self.secrets).map_err(|missing| UpError::Secrets { on: node.clone(), missing })
    }

    /// The nodes whose processes run in no container.
    fn bare_places(&self) -> Result<HashMap<HostName, Place>, UpError> {
        let bare = self.nodes.iter().filter(|(_, node)| node.node.settings.engine().is_none());
        bare.map(|(name, node)| Ok((name.clone(), Place { host: Arc::clone(node.host()?), container: None })))
            .collect()
    }

    /// Carry out one stage, every node at once, while all that runs already is watched.
    async fn stage(
        &self,
        stage: &Stage,
        places: &HashMap<HostName, Place>,
        watch: &mut Watch,
        heard: &mut String,
    ) -> Result<StageDone, UpError> {
        let mut done = StageDone::default();
        if let Some(step) = stage.steps.iter().find(|step| matches!(step.action, Action::AwaitReady)) {
            let place = &places[&step.node];
            self.watched(watch, self.ready(place, heard).boxed()).await?;
            return Ok(done);
        }
        // Nobody is given up half-way: what an engine is creating cannot be removed yet.
        let steps = join_all(stage.steps.iter().map(|step| self.step(step, places))).map(Ok);
        for outcome in self.watched(watch, steps.boxed()).await? {
            match outcome? {
                StepDone::Created(place) => done.created.push(place),
                StepDone::Started(part) => {
                    done.started.push((part.place.node().clone(), part.role));
                    watch.add(part.role, part.place, part.id, part.until);
                }
                StepDone::Nothing => {}
            }
        }
        let spoken = watch.spoken().await;
        if let Err(failed) = spoken {
            return Err(self.why(watch, failed).await);
        }
        Ok(done)
    }

    /// `work`, or the first process that ends meanwhile.
    async fn watched<T>(
        &self,
        watch: &mut Watch,
        work: BoxFuture<'_, Result<T, UpError>>,
    ) -> Result<T, UpError> {
        let failed = tokio::select! {
            done = work => return done,
            failed = watch.failure() => failed,
        };
        Err(self.why(watch, failed).await)
    }

    async fn step(&self, step: &Step, places: &HashMap<HostName, Place>) -> Result<StepDone, UpError> {
        let node = &self.nodes[&step.node];
        match &step.action {
            Action::Create(spec) => {
                let variables = self.variables(&step.node, &spec.environment)?;
                let engine = node.engine().await?;
                let home = node.home_for(spec).await?;
                let container = engine.run(spec, &variables, &home, node.host().ok().map(|it| &**it)).await?;
                let host = engine.within_container(&container);
                Ok(StepDone::Created(Place { host, container: Some(container) }))
            }
            Action::Start { role, argv, until } => {
                let place = places[&step.node].clone();
                let program = self.program(step, argv).await?;
                let labels = role.labelled(self.plan.labels.clone());
                let started = place.programs().start(&program, &labels).await;
                let id = started.map_err(|error| self.not_started(*role, error))?;
                Ok(StepDone::Started(Started { role: *role, place, id, until: *until }))
            }
            Action::AwaitGpus { argv, gpus } => {
                let program = self.program(step, argv).await?;
                loop {
                    // What fails may do better once Ray is up.
                    let said = answer_of(&*places[&step.node].host, &program, &[], RUN_LIMIT).await;
                    let there = said.ok().and_then(|said| count(&said));
                    if there.is_some_and(|there| there >= *gpus) {
                        return Ok(StepDone::Nothing);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Action::AwaitReady => Ok(StepDone::Nothing),
        }
    }

    /// What is run for `step`: where there is no container, with its variables and its home in the place of `~`.
    async fn program(&self, step: &Step, argv: &[String]) -> Result<Program, UpError> {
        let mut argv = argv.to_vec();
        if let Some((name, rest)) =
            argv.first_mut().and_then(|name| Some((name.strip_prefix("~/")?.to_owned(), name)))
        {
            *rest = self.nodes[&step.node].home().await?.join(&name).to_string();
        }
        let environment = self.variables(&step.node, &step.environment)?;
        Ok(Program { argv, environment, directory: None, limit: None })
    }

    /// Wait until clients can use the model. `heard`: what is missing.
    async fn ready(&self, place: &Place, heard: &mut String) -> Result<(), UpError> {
        let LaunchPlan { port, served_name, .. } = self.plan;
        loop {
            let ask = |wanted| ask_server(&*place.host, *port, served_name, wanted);
            let mut answer = ask(Wanted::State).await?;
            if answer.missing(served_name).is_none() {
                "it has not answered a completion yet".clone_into(heard);
                answer = ask(Wanted::Token).await?;
            }
            match answer.missing(served_name) {
                None => return Ok(()),
                Some(why) if answer.is_another(served_name) => {
                    return Err(UpError::AnotherModel { on: place.node().clone(), port: *port, why });
                }
                Some(why) => *heard = why,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why a stage is not waited for any longer.
enum TooLate {
    Stopped,
    TimeIsUp,
}

/// What came of a stage.
#[derive(Default)]
struct StageDone {
    created: Vec<Place>,
    started: Vec<(HostName, Role)>,
}

/// What came of a step.
enum StepDone {
    Created(Place),
    Started(Started),
    Nothing,
}

/// The number that a program has said last.
fn count(said: &[u8]) -> Option<u64> {
    String::from_utf8_lossy(said).trim().lines().next_back()?.parse().ok()
}

/// Whether somebody listens already where the model is to listen, asked on its own node.
///
/// # Errors
/// Somebody does, and the node that cannot be asked.
pub(crate) async fn check_port(plan: &LaunchPlan, head: &Connected) -> Result<(), UpError> {
    let Ok(host) = head.host() else { return Ok(()) };
    let answer: Answer = ask_server(&**host, plan.port, &plan.served_name, Wanted::Listener).await?;
    if !answer.listens {
        return Ok(());
    }
    let models = answer.models.unwrap_or_default();
    Err(UpError::PortTaken { on: head.name().clone(), port: plan.port, models })
}
