//! Ways to an engine, and what is left when one is cut.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::super::{Certificates, Engine, EngineAddress, EngineFailure, PlainTcp};
use super::bed::{Cluster, Guard, Which, engine, idle};
use crate::failure::{Failure, Kind};
use crate::host::{Ending, HostFailure, Program};

super::both_engines_pass! {
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
    let relay = Relay::to(E::socket(&Cluster::up()));
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

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn an_engine_is_reached_by_tcp_with_certificates_only() {
    let cluster = Cluster::up();
    let node = &cluster.nodes[0];
    let url = format!("tcp://{}", node.docker_tcp);
    let connect = |url: String, certificates| async move {
        let address = EngineAddress::parse(&url, certificates, PlainTcp::Anywhere).unwrap();
        Engine::connect(address, "n-test".parse().unwrap()).await
    };
    let tls: PathBuf = cluster.tls.clone();
    let engine =
        connect(url.clone(), Some(files(&tls, "key.pem"))).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(engine.facts().await.unwrap().engine, engine.kind());
    let made = Guard::running(&engine, &idle("spark-test:python")).await;
    let host = engine.within_container(&made.container);
    crate::host::suite::a_program_hears_and_is_heard(&*host, crate::host::HostPath::new("/root")).await;
    drop(made);
    let error = connect(url.clone(), Some(files(&tls, "ca-key.pem"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Input, "{error}");
    let error = connect(url.clone(), None).await.unwrap_err();
    assert!(error.to_string().contains("HTTPS"), "{error}");
    // Somebody else's authority.
    let folder = tempfile::tempdir().unwrap();
    let other = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
    let wrong = Certificates { ca: folder.path().join("other.pem"), ..files(&tls, "key.pem") };
    let error = connect(url, Some(wrong)).await.unwrap_err();
    assert!(
        matches!(&error.what, EngineFailure::Lost { why, .. } if why.contains("certificate")),
        "{error:?}"
    );
}
