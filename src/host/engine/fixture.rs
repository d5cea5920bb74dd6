//! A container for tests, with every setting that needs no GPU.

use std::collections::BTreeMap;

use crate::host::ContainerSpec;
use crate::host::container_spec::{ContainerVariable, Gpus, Ipc, Labels, Restart, Ulimit};

pub(super) fn spec(image: &str, name: &str) -> ContainerSpec {
    ContainerSpec {
        image: image.into(),
        name: name.into(),
        network: "host".into(),
        ipc: Some(Ipc::Private),
        gpus: Gpus::None,
        ulimits: BTreeMap::from([
            ("nofile".into(), Ulimit { soft: 1024, hard: 2048 }),
            ("stack".into(), "67108864".parse().unwrap()),
        ]),
        shm_size: Some("64m".parse().unwrap()),
        devices: vec!["/dev/null:/dev/nothing:rw".parse().unwrap()],
        cap_add: vec!["IPC_LOCK".parse().unwrap()],
        volumes: vec!["~/models:/models:ro".parse().unwrap(), "/tmp:/host/tmp".parse().unwrap()],
        environment: BTreeMap::from([("GREETING".into(), ContainerVariable::Set("hello world".into()))]),
        entrypoint: Some(vec!["sh".into(), "-c".into()]),
        command: vec!["sleep infinity".into()],
        restart: Restart::OnFailure(Some(3)),
        labels: Labels {
            cluster: "test".into(),
            purpose: "test".into(),
            owner: "nobody".into(),
            ..Labels::default()
        },
    }
}
