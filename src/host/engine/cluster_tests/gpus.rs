//! Containers that are to have GPUs, where there are none: who says so, and Podman's command in its API's place.

use std::path::PathBuf;

use futures_util::future::{BoxFuture, FutureExt};

use super::super::{Engine, EngineAddress, EngineFailure};
use super::bed::{Cluster, Docker, Guard, Podman, engine, idle};
use crate::host::container_spec::Gpus;
use crate::host::remote::{Interpreter, Remote};
use crate::host::{ContainerSpec, Here, Host, HostError, HostPath, Process, Program, ShellLine};
use crate::host_name::HostName;

fn wants_gpus() -> ContainerSpec {
    ContainerSpec { gpus: Gpus::All, ..idle("spark-test:python") }
}

async fn refused(engine: &Engine, spec: &ContainerSpec, node: Option<&dyn Host>) -> EngineFailure {
    let variables = spec.variables(|_| None).unwrap();
    let error = engine.run(spec, &variables, &HostPath::new("/root"), node).await.unwrap_err();
    let left = engine.own(&spec.name).await.unwrap_err();
    assert!(matches!(left.what, EngineFailure::NoContainer(_)), "{left:?}");
    error.what
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn docker_without_gpus_says_so_and_nothing_is_left() {
    let why = refused(&*engine::<Docker>().await, &wants_gpus(), None).await;
    assert!(why.to_string().contains("could not select device driver"), "{why}");
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn old_podman_is_not_asked_for_gpus_by_its_api() {
    let why = refused(&*engine::<Podman>().await, &wants_gpus(), None).await;
    assert!(matches!(&why, EngineFailure::GpusDropped { version } if version.starts_with("4.")), "{why}");
    assert!(why.to_string().contains("leaves GPUs out"), "{why}");
}

/// A node of the test cluster, by its namespaces.
#[derive(Debug)]
struct Node {
    here: Here,
    pid: String,
}

impl Interpreter for Node {
    fn name(&self) -> &HostName {
        self.here.name()
    }

    fn python<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        async move {
            let environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"];
            let enter = ["--target", &self.pid, "--mount", "--uts", "--net", "--pid", "--"];
            let words = enter.into_iter().chain(environment).chain(["python3", "-c", code]);
            self.here.start(&Program::new("nsenter", words)).await
        }
        .boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        ShellLine::of(program)
    }
}

/// A device that passes for a GPU, gone with this.
struct FakeGpu(PathBuf);

impl FakeGpu {
    fn new(pid: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}/root/etc/cdi"));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("nvidia.json");
        let text = r#"{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "all",
            "containerEdits": {"deviceNodes": [{"path": "/dev/zero", "hostPath": "/dev/zero"}]}}]}"#;
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for FakeGpu {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn old_podmans_command_gives_gpus_or_nothing() {
    let cluster = Cluster::up();
    let on = cluster.with_podman();
    let address = EngineAddress::unix(on.podman_socket.as_ref().unwrap()).unwrap();
    let engine = Engine::connect(address, "n-test".parse().unwrap()).await.unwrap();
    let node = Remote::new(Node { here: Here::new(), pid: on.pid.to_string() });
    // No file says what the device is.
    let why = refused(&engine, &wants_gpus(), Some(&node)).await;
    assert!(
        matches!(&why, EngineFailure::Refused { message, .. } if message.contains("nvidia.com/gpu=all")),
        "{why}"
    );
    let _gpu = FakeGpu::new(on.pid);
    let spec = wants_gpus();
    let variables = spec.variables(|_| None).unwrap();
    let made = engine.run(&spec, &variables, &HostPath::new("/root"), Some(&node)).await;
    let container = made.unwrap_or_else(|error| panic!("{error}"));
    let made = Guard { engine: engine.clone(), container };
    assert_eq!(made.container.name(), spec.name);
    let host = engine.within_container(&made.container);
    host.start(&Program::new("test", ["-c", "/dev/zero"])).await.unwrap();
    let labels = spec.labels.pairs();
    assert!(engine.list(&labels).await.unwrap().iter().any(|listed| listed.container == made.container));
}
