//! A container's settings as the API takes them.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfig, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::host::container_spec::{Gpus, Restart};
use crate::host::{ContainerSpec, EngineKind, HostPath, Variable};

/// What `engine` is told to create `spec`, with these `variables` (the secret ones too), for a user whose home on the
/// node is `home`.
pub(super) fn body(
    spec: &ContainerSpec,
    engine: EngineKind,
    variables: &BTreeMap<String, Variable>,
    home: &HostPath,
) -> ContainerCreateBody {
    let set = |(name, variable): (&String, &Variable)| match variable {
        Variable::Set(value) => Some(format!("{name}={value}")),
        Variable::Secret(secret) => Some(format!("{name}={}", secret.reveal())),
        Variable::Unset => None,
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(variables.iter().filter_map(set).collect()),
        // Nothing at all is one empty word to the API; without a word the image's own is taken.
        entrypoint: spec.entrypoint.as_ref().map(|words| match words.is_empty() {
            true => vec![String::new()],
            false => words.clone(),
        }),
        cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
        labels: Some(spec.labels.pairs().into_iter().collect()),
        host_config: Some(host_config(spec, engine, home)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec, engine: EngineKind, home: &HostPath) -> HostConfig {
    let bind = |volume: &crate::host::container_spec::Volume| {
        let mode = if volume.read_only { ":ro" } else { "" };
        format!("{}:{}{mode}", volume.source.on(home), volume.target)
    };
    HostConfig {
        network_mode: Some(spec.network.clone()),
        ipc_mode: spec.ipc.map(|ipc| ipc.to_string()),
        shm_size: spec.shm_size_for(engine).map(|size| i64::try_from(size.0).unwrap_or(i64::MAX)),
        ulimits: list(spec.ulimits.iter(), |(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        }),
        devices: list(spec.devices.iter(), |device| DeviceMapping {
            path_on_host: Some(device.host.to_string()),
            path_in_container: Some(device.container.to_string()),
            cgroup_permissions: Some(device.permissions.clone()),
        }),
        cap_add: list(spec.cap_add.iter(), ToString::to_string),
        binds: list(spec.volumes.iter(), bind),
        restart_policy: Some(restart_policy(spec.restart)),
        device_requests: device_request(spec.gpus, engine).map(|request| vec![request]),
        ..HostConfig::default()
    }
}

/// `None` where there is nothing, as if it had never been named.
fn list<A, B>(all: impl ExactSizeIterator<Item = A>, as_told: impl FnMut(A) -> B) -> Option<Vec<B>> {
    (all.len() > 0).then(|| all.map(as_told).collect())
}

fn restart_policy(restart: Restart) -> RestartPolicy {
    let (name, times) = match restart {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, times),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: times.map(i64::from) }
}

fn device_request(gpus: Gpus, engine: EngineKind) -> Option<DeviceRequest> {
    match (gpus, gpus.by_cdi(engine)) {
        (Gpus::None, _) => None,
        (_, true) => Some(DeviceRequest {
            driver: Some("cdi".into()),
            device_ids: Some(vec![Gpus::CDI_DEVICE.into()]),
            ..DeviceRequest::default()
        }),
        // What `--gpus all` asks for.
        (_, false) => Some(DeviceRequest {
            driver: Some(String::new()),
            count: Some(-1),
            capabilities: Some(vec![vec!["gpu".into()]]),
            ..DeviceRequest::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::spec;
    use super::*;
    use crate::host::container_spec::ContainerVariable;
    use crate::secret::Secret;

    fn told(spec: &ContainerSpec, engine: EngineKind) -> serde_json::Value {
        let secret = |name: &str| (name == "HF_TOKEN").then(|| Secret::new("hush"));
        let variables = spec.variables(secret).unwrap();
        serde_json::to_value(body(spec, engine, &variables, &HostPath::new("/home/me"))).unwrap()
    }

    #[test]
    fn every_setting_is_told() {
        let mut spec = spec("spark-test:python", "all");
        spec.environment.insert("HF_TOKEN".into(), ContainerVariable::FromHarness);
        let told = told(&spec, EngineKind::Docker);
        let of_host = &told["HostConfig"];
        let expected = json!({
            "NetworkMode": "host",
            "IpcMode": "private",
            "ShmSize": 67_108_864,
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "stack", "Soft": 67_108_864, "Hard": 67_108_864}],
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rw"}],
            "CapAdd": ["IPC_LOCK"],
            "Binds": ["/home/me/models:/models:ro", "/tmp:/host/tmp"],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        });
        assert_eq!(*of_host, expected);
        assert_eq!(told["Env"], json!(["GREETING=hello world", "HF_TOKEN=hush"]));
        assert_eq!(told["Entrypoint"], json!(["sh", "-c"]));
        assert_eq!(told["Cmd"], json!(["sleep infinity"]));
        assert_eq!(told["Labels"]["sparktune.project"], "sparktune");
        assert_eq!(told["Labels"].as_object().unwrap().len(), 5);
    }

    #[test]
    fn gpus_are_asked_for_as_the_engine_takes_them() {
        let of = |gpus, engine| {
            let spec = ContainerSpec { gpus, ..spec("x", "y") };
            told(&spec, engine)["HostConfig"]["DeviceRequests"].clone()
        };
        let cdi = json!([{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]);
        assert_eq!(of(Gpus::None, EngineKind::Docker), json!(null));
        assert_eq!(
            of(Gpus::All, EngineKind::Docker),
            json!([{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}])
        );
        assert_eq!(of(Gpus::Cdi, EngineKind::Docker), cdi);
        assert_eq!(of(Gpus::All, EngineKind::Podman), cdi);
    }

    #[test]
    fn what_is_not_named_is_not_told() {
        let bare = ContainerSpec {
            ipc: None,
            shm_size: None,
            ulimits: BTreeMap::new(),
            devices: Vec::new(),
            cap_add: Vec::new(),
            volumes: Vec::new(),
            environment: BTreeMap::new(),
            entrypoint: None,
            command: Vec::new(),
            restart: Restart::No,
            ..spec("x", "y")
        };
        let told = told(&bare, EngineKind::Docker);
        assert_eq!(told["HostConfig"], json!({"NetworkMode": "host", "RestartPolicy": {"Name": "no"}}));
        assert_eq!((&told["Entrypoint"], &told["Cmd"]), (&json!(null), &json!(null)));
    }

    #[test]
    fn no_entrypoint_is_one_empty_word() {
        let none = ContainerSpec { entrypoint: Some(Vec::new()), ..spec("x", "y") };
        assert_eq!(told(&none, EngineKind::Docker)["Entrypoint"], json!([""]));
    }

    #[test]
    fn the_nodes_shared_memory_has_no_size_for_podman() {
        let host = ContainerSpec { ipc: Some(crate::host::container_spec::Ipc::Host), ..spec("x", "y") };
        assert_eq!(told(&host, EngineKind::Podman)["HostConfig"]["ShmSize"], json!(null));
        assert_eq!(told(&host, EngineKind::Docker)["HostConfig"]["ShmSize"], json!(67_108_864));
        assert_eq!(told(&spec("x", "y"), EngineKind::Podman)["HostConfig"]["ShmSize"], json!(67_108_864));
    }
}
