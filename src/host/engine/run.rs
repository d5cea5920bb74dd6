//! A container brought up whole: created, started, and with its GPUs, or not there at all.

use std::collections::BTreeMap;

use bollard::models::HostConfig;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::containers::WORK_LIMIT;
use super::{CALL_LIMIT, Engine, EngineError, EngineFailure, OwnContainer};
use crate::host::container_spec::Gpus;
use crate::host::{ContainerSpec, Ending, Host, HostError, HostPath, Program, ShellLine, Variable};

/// What an engine's command says at most, bytes.
const MOST_SAID: u64 = 64 << 10;

impl Engine {
    /// Create `spec` as [`Engine::create`] does, start it, and see that it has its GPUs. An engine whose API would drop
    /// them is told by its command on `node`, where there is one. A container that does not come up is removed.
    pub async fn run(
        &self,
        spec: &ContainerSpec,
        variables: &BTreeMap<String, Variable>,
        home: &HostPath,
        node: Option<&dyn Host>,
    ) -> Result<OwnContainer, EngineError> {
        let container = match node {
            Some(node) if spec.gpus != Gpus::None && self.drops_gpus() => {
                self.create_by_command(spec, variables, node).await?
            }
            _ => self.create(spec, variables, home).await?,
        };
        match self.come_up(&container, spec).await {
            Ok(()) => Ok(container),
            Err(error) => match self.remove(&container).await {
                Ok(()) => Err(error),
                Err(left) => Err(self.fail(EngineFailure::LeftBehind {
                    container: container.name().to_owned(),
                    first: Box::new(error.what),
                    why: Box::new(left.what),
                })),
            },
        }
    }

    async fn come_up(&self, container: &OwnContainer, spec: &ContainerSpec) -> Result<(), EngineError> {
        const DOING: &str = "look at a container";
        self.start(container).await?;
        if spec.gpus == Gpus::None {
            return Ok(());
        }
        let found =
            self.within(DOING, CALL_LIMIT, self.calls.inspect_container(container.id(), None)).await?;
        let found = found.map_err(|error| self.of_container(DOING, container.name(), error))?;
        match has_gpus(&found.host_config.unwrap_or_default(), spec.devices.len()) {
            true => Ok(()),
            false => Err(self.fail(EngineFailure::WithoutGpus(container.name().to_owned()))),
        }
    }

    /// Create `spec` with the engine's command, run on `node`.
    async fn create_by_command(
        &self,
        spec: &ContainerSpec,
        variables: &BTreeMap<String, Variable>,
        node: &dyn Host,
    ) -> Result<OwnContainer, EngineError> {
        const DOING: &str = "create the container by its command";
        let program = by_shell(&spec.create_line(self.kind), variables);
        let said = timeout(WORK_LIMIT, last_words(node, &program)).await;
        let said = said
            .map_err(|_| self.fail(EngineFailure::TimedOut { doing: DOING, seconds: WORK_LIMIT.as_secs() }))?
            .map_err(|error| self.fail(error.into()))?;
        if let Err(words) = said {
            return Err(self.fail(EngineFailure::refused(DOING, &words)));
        }
        self.own(&spec.name).await
    }
}

/// `line` as a program, with the variables that it takes by name.
fn by_shell(line: &ShellLine, variables: &BTreeMap<String, Variable>) -> Program {
    let mut program = Program::new("sh", ["-c", &line.to_string()]);
    let secret = variables.iter().filter(|(_, variable)| matches!(variable, Variable::Secret(_)));
    program.environment.extend(secret.map(|(name, variable)| (name.clone(), variable.clone())));
    program
}

/// Run `program`; where it fails, what it said last.
async fn last_words(node: &dyn Host, program: &Program) -> Result<Result<(), String>, HostError> {
    let mut process = node.start(program).await?;
    drop(process.input);
    let (mut output, mut log) = (Vec::new(), Vec::new());
    let mut of_log = process.log.take(MOST_SAID);
    let mut of_output = process.output.take(MOST_SAID);
    // What cannot be read is missing from a message, no more.
    let _ = tokio::join!(of_output.read_to_end(&mut output), of_log.read_to_end(&mut log));
    match process.end.ended().await {
        Ending::Exit(0) => Ok(Ok(())),
        ending => {
            let log = String::from_utf8_lossy(&log);
            let last = log.trim().lines().next_back().unwrap_or_default();
            Ok(Err(if last.is_empty() { ending.to_string() } else { last.to_owned() }))
        }
    }
}

/// Whether a running container has more devices than the `named` ones: what it was created with is a request that
/// Docker keeps, what Podman shows are the devices that came of it.
fn has_gpus(config: &HostConfig, named: usize) -> bool {
    let requests = config.device_requests.as_ref().is_some_and(|requests| !requests.is_empty());
    requests || config.devices.as_ref().is_some_and(|devices| devices.len() > named)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::spec;
    use super::*;
    use crate::host::EngineKind;
    use crate::host::container_spec::ContainerVariable;
    use crate::secret::Secret;

    #[test]
    fn the_command_takes_secrets_by_name() {
        let mut spec = ContainerSpec { gpus: Gpus::All, ..spec("image", "name") };
        spec.environment.insert("HF_TOKEN".into(), ContainerVariable::FromHarness);
        let variables = spec.variables(|_| Some(Secret::new("hush"))).unwrap();
        let program = by_shell(&spec.create_line(EngineKind::Podman), &variables);
        let line = &program.argv[2];
        assert!(line.starts_with("podman create --name name "), "{line}");
        assert!(
            line.contains(" --device 'nvidia.com/gpu=all' ") && line.contains(" --env HF_TOKEN "),
            "{line}"
        );
        assert!(!line.contains("hush") && !line.contains("--detach"), "{line}");
        let expected = BTreeMap::from([("HF_TOKEN".into(), Variable::Secret(Secret::new("hush")))]);
        assert_eq!(program.environment, expected);
    }

    #[test]
    fn gpus_are_a_request_that_was_kept_or_devices_that_nobody_named() {
        let of = |json: &str| serde_json::from_str::<HostConfig>(json).unwrap();
        // As Docker, and as Podman 4.3.1 before and after it has started a container with a CDI device.
        let request = r#"{"DeviceRequests":[{"Driver":"","Count":-1,"Capabilities":[["gpu"]]}]}"#;
        assert!(has_gpus(&of(request), 0));
        let started = r#"{"Devices":[{"PathOnHost":"/dev/nvidia0","PathInContainer":"/dev/nvidia0",
            "CgroupPermissions":""}],"DeviceRequests":null}"#;
        assert!(has_gpus(&of(started), 0));
        assert!(!has_gpus(&of(started), 1));
        assert!(!has_gpus(&of(r#"{"Devices":[],"DeviceRequests":null}"#), 0));
        assert!(!has_gpus(&of(r#"{"DeviceRequests":[]}"#), 0));
    }
}
