//! Ways to an engine, and what is left when one is cut.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::super::{Certificates, Engine, EngineAddress, EngineError, EngineFailure, PlainTcp};
use super::bed::{Cluster, Guard, Node, Which, engine, idle};
use crate::failure::{Failure, Kind};
use crate::host::{Ending, HostFailure, Program};

super::both_engines_pass! {
    a_link_that_is_cut_is_lost,
}

super::the_look_alike_passes! {
    a_link_that_is_cut_is_lost,
}

/// A socket that leads to another one until it is cut.
struct Relay {
    folder: tempfile::TempDir,
    cut: CancellationToken,
}

impl Relay {
    fn to(far: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let (cut, far) = (CancellationToken::new(), far.to_owned());
        tokio::spawn(cut.clone().run_until_cancelled_owned({
            let cut = cut.clone();
            async move {
                while let Ok((mut near, _)) = listener.accept().await {
                    let mut far = UnixStream::connect(&far).await.unwrap();
                    tokio::spawn(cut.clone().run_until_cancelled_owned(async move {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }));
                }
            }
        }));
        Self { folder, cut }
    }
}

async fn a_link_that_is_cut_is_lost<E: Which>() {
    let straight = engine::<E>().await;
    let made = Guard::running(&straight, &idle("spark-test:python")).await;
    let relay = Relay::to(straight.socket());
    let address = EngineAddress::unix(&relay.folder.path().join("s")).unwrap();
    let engine = Engine::connect(address, "n-test".parse().unwrap()).await.unwrap();
    let host = engine.within_container(&made.container);
    let mut process = host.start(&Program::new("sleep", ["1000"])).await.unwrap();
    relay.cut.cancel();
    let ending = tokio::time::timeout(Duration::from_secs(10), process.end.ended()).await.unwrap();
    assert!(matches!(ending, Ending::Lost { .. }), "{ending}");
    let error = host.start(&Program::new("true", [""; 0])).await.unwrap_err();
    assert!(
        matches!(&error.what, HostFailure::Unreachable { why } if why.contains("is not running")),
        "{error}"
    );
    // It is the link that is gone; the container is where it was.
    assert!(straight.is_running(&made.container).await.unwrap());
}

fn files(folder: &Path, key: &str) -> Certificates {
    let [ca, cert, key] = ["ca.pem", "cert.pem", key].map(|file| folder.join(file));
    Certificates { ca, cert, key }
}

async fn connect(at: String, certificates: Option<Certificates>) -> Result<Engine, EngineError> {
    let address = EngineAddress::parse(&format!("tcp://{at}"), certificates, PlainTcp::Anywhere).unwrap();
    Engine::connect(address, "n-test".parse().unwrap()).await
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn an_engine_is_reached_by_tcp_with_certificates_only() {
    let cluster = Cluster::up();
    let at = cluster.nodes[0].docker_tcp.clone();
    let tls: PathBuf = cluster.tls.clone();
    let engine =
        connect(at.clone(), Some(files(&tls, "key.pem"))).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(engine.facts().await.unwrap().engine, engine.kind());
    let made = Guard::running(&engine, &idle("spark-test:python")).await;
    let host = engine.within_container(&made.container);
    crate::host::suite::a_program_hears_and_is_heard(&*host, crate::host::HostPath::new("/root")).await;
    drop(made);
    let error = connect(at.clone(), Some(files(&tls, "ca-key.pem"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Input, "{error}");
    let error = connect(at.clone(), None).await.unwrap_err();
    assert!(error.to_string().contains("HTTPS"), "{error}");
    // Somebody else's authority.
    let folder = tempfile::tempdir().unwrap();
    let other = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
    let wrong = Certificates { ca: folder.path().join("other.pem"), ..files(&tls, "key.pem") };
    let error = connect(at, Some(wrong)).await.unwrap_err();
    assert!(
        matches!(&error.what, EngineFailure::Lost { why, .. } if why.contains("certificate")),
        "{error:?}"
    );
}

/// A cable pulled out of the switch, back in with this.
struct Unplugged(Vec<String>);

impl Unplugged {
    fn new(cluster: &Cluster, node: &Node) -> Self {
        let port = format!("{}-mgmt", node.name);
        let words = ["-n", &format!("{}-switch", cluster.prefix), "link", "set", &port].map(str::to_owned);
        let unplugged = Self(words.to_vec());
        unplugged.set("down");
        unplugged
    }

    fn set(&self, state: &str) {
        let done = std::process::Command::new("ip").args(&self.0).arg(state).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Unplugged {
    fn drop(&mut self) {
        self.set("up");
    }
}

/// Nothing is said by either end of a cable that was pulled out.
#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn a_cable_that_is_pulled_out_is_noticed() {
    const LIMIT: Duration = Duration::from_secs(30);
    let cluster = Cluster::up();
    let node = &cluster.nodes[2];
    let by_socket = EngineAddress::unix(&node.docker_socket).unwrap();
    let by_socket = Engine::connect(by_socket, "n-test".parse().unwrap()).await.unwrap();
    let made = Guard::running(&by_socket, &idle("spark-test:python")).await;
    let engine = connect(node.docker_tcp.clone(), Some(files(&cluster.tls, "key.pem"))).await.unwrap();
    let host = engine.within_container(&made.container);
    let mut process = host.start(&Program::new("sleep", ["1000"])).await.unwrap();
    // More than any buffer on the way holds, and no end.
    let bytes = bytes::Bytes::from(vec![0; 1 << 16]);
    // The engine keeps them all.
    let slowly = futures_util::stream::unfold(bytes, |bytes| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok(bytes.clone()), bytes))
    });
    let load = engine.load(slowly, |_| {});
    let unplug = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Unplugged::new(&cluster, node)
    };
    let (_unplugged, silent, sending) = tokio::join!(
        unplug,
        tokio::time::timeout(LIMIT, process.end.ended()),
        tokio::time::timeout(LIMIT, load),
    );
    let ending = silent.expect("a silent link is noticed");
    assert!(matches!(ending, Ending::Lost { .. }), "{ending}");
    let error = sending.expect("a link that takes nothing is noticed").unwrap_err();
    assert!(matches!(error.what, EngineFailure::Lost { .. }), "{error:?}");
}
