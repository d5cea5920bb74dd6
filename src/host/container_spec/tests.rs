//! The command line of a container, read back as a shell reads it.

use super::*;
use crate::host::HostPath;

fn spec() -> ContainerSpec {
    ContainerSpec {
        image: "lmsysorg/sglang:spark".into(),
        name: "sglang_node".into(),
        network: "host".into(),
        ipc: Some(Ipc::Host),
        gpus: Gpus::All,
        ulimits: BTreeMap::from([
            ("memlock".into(), "-1".parse().unwrap()),
            ("stack".into(), "67108864".parse().unwrap()),
        ]),
        shm_size: Some("16g".parse().unwrap()),
        devices: vec!["/dev/infiniband".parse().unwrap()],
        cap_add: vec!["IPC_LOCK".parse().unwrap()],
        volumes: vec![
            "~/.cache/hugging face:/root/.cache/huggingface".parse().unwrap(),
            "/raid:/raid:ro".parse().unwrap(),
        ],
        environment: BTreeMap::from([
            ("HF_TOKEN".into(), ContainerVariable::FromHarness),
            ("NCCL_DEBUG".into(), ContainerVariable::Set("a b".into())),
        ]),
        entrypoint: None,
        command: vec!["sleep".into(), "infinity".into()],
        restart: Restart::UnlessStopped,
        labels: Labels {
            cluster: "lab".into(),
            purpose: "tune".into(),
            owner: "me@desk".into(),
            ..Labels::default()
        },
    }
}

#[test]
fn the_line_says_every_setting() {
    let version = env!("CARGO_PKG_VERSION");
    let docker = format!(
        "docker run --detach --name sglang_node --network host --ipc host --gpus all --ulimit 'memlock=-1' \
         --ulimit 'stack=67108864' --shm-size 16g --device /dev/infiniband --cap-add IPC_LOCK \
         --volume ~/'.cache/hugging face:/root/.cache/huggingface' --volume /raid:/raid:ro --env HF_TOKEN \
         --env 'NCCL_DEBUG=a b' --restart unless-stopped --label 'sparktune.cluster=lab' \
         --label 'sparktune.owner=me@desk' --label 'sparktune.project=sparktune' --label 'sparktune.purpose=tune' \
         --label 'sparktune.version={version}' lmsysorg/sglang:spark sleep infinity"
    );
    assert_eq!(spec().run_line(EngineKind::Docker).to_string(), docker);
    let podman = docker.replacen("docker", "podman", 1);
    // With the node's own shared memory Podman takes no size.
    let podman = podman.replace("--gpus all", "--device 'nvidia.com/gpu=all'").replace("--shm-size 16g ", "");
    assert_eq!(spec().run_line(EngineKind::Podman).to_string(), podman);
}

#[test]
fn what_is_not_set_is_not_said() {
    let bare = ContainerSpec {
        ipc: None,
        gpus: Gpus::None,
        ulimits: BTreeMap::new(),
        shm_size: None,
        devices: Vec::new(),
        cap_add: Vec::new(),
        volumes: Vec::new(),
        environment: BTreeMap::new(),
        command: Vec::new(),
        restart: Restart::No,
        ..spec()
    };
    for engine in [EngineKind::Docker, EngineKind::Podman] {
        let line = bare.run_line(engine).to_string();
        let begin = format!("{engine} run --detach --name sglang_node --network host --label ");
        assert!(line.starts_with(&begin) && line.ends_with(" lmsysorg/sglang:spark"), "{line}");
        let cdi = ContainerSpec { gpus: Gpus::Cdi, ..bare.clone() }.run_line(engine).to_string();
        assert!(cdi.contains(" --network host --device 'nvidia.com/gpu=all' --label "), "{cdi}");
    }
}

#[test]
fn an_entrypoint_is_a_program_whose_arguments_come_first() {
    let with = |entrypoint: &[&str]| {
        let entrypoint = Some(entrypoint.iter().map(|word| (*word).to_owned()).collect());
        ContainerSpec { entrypoint, ..spec() }.run_line(EngineKind::Docker).to_string()
    };
    let line = with(&["/bin/tini", "--"]);
    assert!(line.ends_with(" --entrypoint /bin/tini lmsysorg/sglang:spark -- sleep infinity"), "{line}");
    let line = with(&[]);
    assert!(line.ends_with(" --entrypoint '' lmsysorg/sglang:spark sleep infinity"), "{line}");
}

#[test]
fn a_shell_finds_its_home_and_the_words_as_they_are() {
    let line = spec().run_line(EngineKind::Docker).to_string();
    let line = line.replacen("docker run", "printf '%s\\n'", 1);
    let output =
        std::process::Command::new("sh").args(["-c", &line]).env("HOME", "/home/it's me").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = said.lines().collect();
    assert!(words.contains(&"/home/it's me/.cache/hugging face:/root/.cache/huggingface"), "{words:?}");
    assert!(words.contains(&"NCCL_DEBUG=a b"), "{words:?}");
}

#[test]
fn secrets_come_from_the_harness_and_show_nowhere() {
    let spec = spec();
    assert_eq!(spec.secrets(), BTreeSet::from(["HF_TOKEN"]));
    let found = spec.variables(|name| (name == "HF_TOKEN").then(|| Secret::new("hush"))).unwrap();
    assert_eq!(found["HF_TOKEN"], Variable::Secret(Secret::new("hush")));
    assert_eq!(found["NCCL_DEBUG"], Variable::Set("a b".into()));
    assert!(!format!("{found:?} {spec:?}").contains("hush"));
    let error = spec.variables(|_| None).unwrap_err().to_string();
    assert_eq!(error, "the container needs HF_TOKEN, which the environment of this program lacks");
}

#[test]
fn whose_it_is_stands_in_five_labels() {
    let pairs = spec().labels.pairs();
    let keys: Vec<&str> = pairs.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["cluster", "owner", "project", "purpose", "version"].map(|key| format!("sparktune.{key}"))
    );
    assert!(pairs.values().all(|value| !value.is_empty()), "{pairs:?}");
}

#[test]
fn a_home_is_that_of_the_node() {
    let sources: Vec<HostPath> =
        spec().volumes.iter().map(|volume| volume.source.on(&HostPath::new("/home/me"))).collect();
    assert_eq!(sources, ["/home/me/.cache/hugging face", "/raid"].map(HostPath::new));
}
