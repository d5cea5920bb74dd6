//! The engines of the test cluster, and a container on one of them for as long as a test lasts.

use std::future::Future;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

use super::super::fixture::spec;
use super::super::look_alike::LookAlikeEngine;
use super::super::{Engine, EngineAddress, OwnContainer};
use crate::host::container_spec::Restart;
use crate::host::{ContainerSpec, Host, HostPath, suite};

/// As `tests/cluster/up` describes what it has brought up.
#[derive(Debug, Deserialize)]
pub(super) struct Cluster {
    /// What the names of its namespaces begin with.
    pub(super) prefix: String,
    /// The folder of `ca.pem`, `cert.pem` and `key.pem`.
    pub(super) tls: PathBuf,
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) docker_socket: PathBuf,
    /// `HOST:PORT`, with certificates.
    pub(super) docker_tcp: String,
    pub(super) podman_socket: Option<PathBuf>,
    /// The first process of its namespaces.
    pub(super) pid: u32,
}

impl Cluster {
    /// The one that is up. A test without it fails.
    pub(super) fn up() -> Self {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/cluster");
        let state = std::env::var("SPARK_CLUSTER_STATE").unwrap_or_else(|_| default.to_owned());
        let path = format!("{state}/cluster.json");
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{path}: {error}; run tests/cluster/up"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(super) fn with_podman(&self) -> &Node {
        self.nodes.iter().find(|node| node.podman_socket.is_some()).expect("one node has Podman")
    }
}

/// An engine for a test.
pub(super) struct Up {
    engine: Engine,
    socket: PathBuf,
    /// Gone with this.
    look_alike: Option<LookAlikeEngine>,
}

impl Deref for Up {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Up {
    async fn at(socket: &Path) -> Self {
        let engine = Engine::connect(EngineAddress::unix(socket).unwrap(), "n-test".parse().unwrap()).await;
        let engine = engine.unwrap_or_else(|error| panic!("{error}"));
        Self { engine, socket: socket.to_owned(), look_alike: None }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// An empty folder of a container, as those within name it.
    fn folder(&self) -> HostPath {
        self.look_alike.as_ref().map_or_else(|| HostPath::new("/root"), LookAlikeEngine::shared)
    }
}

/// Which engine.
pub(super) trait Which {
    fn up() -> impl Future<Output = Up> + Send;
}

#[derive(Debug)]
pub(super) struct Docker;
#[derive(Debug)]
pub(super) struct Podman;
/// None of the cluster's.
#[derive(Debug)]
pub(super) struct LookAlike;

impl Which for Docker {
    async fn up() -> Up {
        Up::at(&Cluster::up().nodes[0].docker_socket).await
    }
}

impl Which for Podman {
    async fn up() -> Up {
        Up::at(Cluster::up().with_podman().podman_socket.as_ref().unwrap()).await
    }
}

impl Which for LookAlike {
    async fn up() -> Up {
        let look_alike = LookAlikeEngine::new();
        let mut up = Up::at(&look_alike.socket()).await;
        up.look_alike = Some(look_alike);
        up
    }
}

pub(super) async fn engine<E: Which>() -> Up {
    E::up().await
}

/// A name that no other test has.
pub(super) fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("engine-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What needs nothing of the node and does nothing.
pub(super) fn idle(image: &str) -> ContainerSpec {
    let whole = spec(image, &fresh_name());
    // A limit named to Podman makes it set others, which this machine may not allow.
    let ulimits = std::collections::BTreeMap::new();
    ContainerSpec { volumes: Vec::new(), devices: Vec::new(), ulimits, restart: Restart::No, ..whole }
}

/// A container, gone with this.
pub(super) struct Guard {
    pub(super) engine: Engine,
    pub(super) container: OwnContainer,
}

impl Guard {
    pub(super) async fn create(engine: &Engine, spec: &ContainerSpec) -> Self {
        let variables = spec.variables(|_| None).unwrap();
        let created = engine.create(spec, &variables, &HostPath::new("/root")).await;
        let container = created.unwrap_or_else(|error| panic!("{error}"));
        Self { engine: engine.clone(), container }
    }

    pub(super) async fn running(engine: &Engine, spec: &ContainerSpec) -> Self {
        let made = Self::create(engine, spec).await;
        engine.start(&made.container).await.unwrap_or_else(|error| panic!("{error}"));
        made
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (engine, container) = (self.engine.clone(), self.container.clone());
        let removed = apart(async move { engine.remove(&container).await });
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// Run `work` from where nothing can be awaited.
fn apart<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|threads| threads.spawn(|| runtime().block_on(work)).join().unwrap())
}

/// A container as a host.
pub(super) struct ContainerBed<E> {
    host: Arc<dyn Host>,
    _container: Guard,
    engine: Up,
    _which: std::marker::PhantomData<E>,
}

impl<E: Which> suite::Bed for ContainerBed<E> {
    fn new() -> Self {
        let (container, host, engine) = apart(async {
            let engine = engine::<E>().await;
            let container = Guard::running(&engine, &idle("spark-test:python")).await;
            let host = engine.within_container(&container.container);
            (container, host, engine)
        });
        Self { host, _container: container, engine, _which: std::marker::PhantomData }
    }

    fn host(&self) -> &dyn Host {
        &*self.host
    }

    fn folder(&self) -> HostPath {
        self.engine.folder()
    }
}
