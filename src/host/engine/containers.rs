//! Containers created, started, stopped, removed, found and listened to.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions, StopContainerOptions,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::body::body;
use super::{Engine, EngineError, EngineFailure, OwnContainer, status};
use crate::host::container_spec::{Gpus, Labels};
use crate::host::{ContainerSpec, HostPath, Variable};

/// How long an engine may take to create or remove a container, or to bring one up: it may have to wait for its disk.
pub(super) const WORK_LIMIT: Duration = Duration::from_secs(120);

/// A container of ours as an engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The container.
    pub container: OwnContainer,
    /// The name of its image.
    pub image: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether it ran and has ended. One that was only created does neither.
    pub ended: bool,
    /// All its labels, ours and its image's.
    pub labels: BTreeMap<String, String>,
}

/// What a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPiece {
    /// To its standard output; a piece is no line.
    Output(bytes::Bytes),
    /// To its standard error.
    Error(bytes::Bytes),
}

impl Engine {
    /// Create `spec`, and start it later. `variables` are its own with their values; `home` is that of the user on the
    /// node, for volumes below it.
    ///
    /// # Errors
    /// An image or a device that is not there, a name that is taken, GPUs that the engine would drop
    /// ([`EngineFailure::GpusDropped`]), and whatever else it does not like. A link that is lost meanwhile, or an answer
    /// that does not come: what was created is removed, where the engine answers again.
    pub async fn create(
        &self,
        spec: &ContainerSpec,
        variables: &BTreeMap<String, Variable>,
        home: &HostPath,
    ) -> Result<OwnContainer, EngineError> {
        const DOING: &str = "create the container";
        self.check_name(&spec.name)?;
        if spec.gpus != Gpus::None && self.drops_gpus() {
            return Err(self.fail(EngineFailure::GpusDropped { version: self.version.clone() }));
        }
        let options = CreateContainerOptions { name: Some(spec.name.clone()), ..Default::default() };
        let body = body(spec, self.kind, variables, home);
        let created = self.calls.create_container(Some(options), body);
        match self.within(DOING, WORK_LIMIT, created).await {
            Ok(Ok(created)) => Ok(OwnContainer::created(created.id, &spec.name)),
            Ok(Err(error)) if status(&error) == Some(404) => {
                Err(self.fail(EngineFailure::NoImage(spec.image.clone())))
            }
            // Each engine has a status and words of its own for a name that is taken.
            Ok(Err(error)) if status(&error).is_some() => Err(match self.own(&spec.name).await {
                Ok(_) | Err(EngineError { what: EngineFailure::NotOurs(_), .. }) => {
                    self.fail(EngineFailure::NameTaken(spec.name.clone()))
                }
                Err(_) => self.failure(DOING, error),
            }),
            Ok(Err(error)) => Err(self.without(spec, self.failure(DOING, error)).await),
            Err(error) => Err(self.without(spec, error).await),
        }
    }

    /// Why `spec` was not created, where the engine did not say: then it may have been. What has its name and its labels
    /// and never ran is removed again. Where the engine answers no more, its labels find it later.
    async fn without(&self, spec: &ContainerSpec, error: EngineError) -> EngineError {
        let Ok(listed) = self.list(&spec.labels.pairs()).await else { return error };
        let never_ran = |found: &&Listed| !found.running && !found.ended;
        let made = listed.iter().filter(never_ran).find(|found| found.container.name() == spec.name);
        match made {
            None => error,
            Some(made) => match self.remove(&made.container).await {
                Ok(()) => error,
                Err(left) => self.fail(EngineFailure::LeftBehind {
                    container: spec.name.clone(),
                    first: Box::new(error.what),
                    why: Box::new(left.what),
                }),
            },
        }
    }

    /// Start `container`; one that runs already goes on.
    pub async fn start(&self, container: &OwnContainer) -> Result<(), EngineError> {
        const DOING: &str = "start the container";
        let work = self.calls.start_container(container.id(), None);
        let done = self.within(DOING, WORK_LIMIT, work).await?;
        done.map_err(|error| self.of_container(DOING, container.name(), error))
    }

    /// Ask `container` to end, and end it after `grace`; one that has ended already is fine.
    pub async fn stop(&self, container: &OwnContainer, grace: Duration) -> Result<(), EngineError> {
        const DOING: &str = "stop the container";
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(seconds), ..Default::default() };
        let work = self.calls.stop_container(container.id(), Some(options));
        let done = self.within(DOING, grace.saturating_add(WORK_LIMIT), work).await?;
        done.map_err(|error| self.of_container(DOING, container.name(), error))
    }

    /// Remove `container`, running or not, with the volumes that only it has; one that is gone already is fine.
    pub async fn remove(&self, container: &OwnContainer) -> Result<(), EngineError> {
        const DOING: &str = "remove the container";
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let work = self.calls.remove_container(container.id(), Some(options));
        match self.within(DOING, WORK_LIMIT, work).await? {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.failure(DOING, error)),
        }
    }

    /// Our containers on this node, running or not, that have all of `labels`; keys are whole, as in
    /// [`Labels::pairs`].
    pub async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Listed>, EngineError> {
        const DOING: &str = "list its containers";
        let project = (format!("{}project", Labels::PREFIX), Labels::PROJECT.to_owned());
        let wanted = labels.iter().map(|(key, value)| format!("{key}={value}"));
        let wanted = wanted.chain([format!("{}={}", project.0, project.1)]).collect();
        let filters = HashMap::from([("label".to_owned(), wanted)]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let found = self.call(DOING, self.calls.list_containers(Some(options))).await?;
        let listed = found.into_iter().filter_map(|found| {
            let labels = found.labels.unwrap_or_default();
            let name = found.names.unwrap_or_default().into_iter().next().unwrap_or_default();
            // An engine that takes no notice of the filter shows everybody's.
            let container = OwnContainer::by_labels(&found.id?, &name, &labels)?;
            let state = found.state.map(|state| state.to_string()).unwrap_or_default();
            Some(Listed {
                container,
                image: found.image.unwrap_or_default(),
                running: state == "running",
                // Podman says `stopped` of what Docker says `exited` of.
                ended: ["exited", "stopped", "dead"].contains(&state.as_str()),
                labels: labels.into_iter().collect(),
            })
        });
        Ok(listed
            .filter(|found| labels.iter().all(|(key, value)| found.labels.get(key) == Some(value)))
            .collect())
    }

    /// What `container` wrote so far, and then what it writes, until it ends. A link that is cut ends it with an error
    /// where that is noticed: a container may be silent for as long as it likes.
    pub fn follow(&self, container: &OwnContainer) -> BoxStream<'static, Result<LogPiece, EngineError>> {
        const DOING: &str = "read the container's log";
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            since: 0,
            until: 0,
            timestamps: false,
            tail: "all".into(),
        };
        let (engine, name) = (self.clone(), container.name().to_owned());
        let pieces = self.streams.logs(container.id(), Some(options));
        pieces
            .map(move |piece| match piece {
                Ok(LogOutput::StdErr { message }) => Ok(LogPiece::Error(message)),
                Ok(piece) => Ok(LogPiece::Output(piece.into_bytes())),
                Err(error) => Err(engine.of_container(DOING, &name, error)),
            })
            .boxed()
    }
}
