//! Forwards by a real sshd on the loopback.

use std::fs;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ForwardFailure;
use super::bed::Sshd;
use crate::host::{HostError, HostFailure, HostPath};

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_socket_of_the_node_is_within_reach() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await.unwrap();
    let there = sshd.path("there: it's.sock");
    let listener = tokio::net::UnixListener::bind(&there).unwrap();
    let echo = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    let forward = connection.forward(&HostPath::try_from(&*there).unwrap()).await.unwrap();
    let local = forward.local().clone();
    let mut stream = tokio::net::UnixStream::connect(&local).await.unwrap();
    stream.write_all(b"there and back").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "there and back");
    drop(forward);
    for tries in 0.. {
        if tokio::net::UnixStream::connect(&local).await.is_err() && !local.exists() {
            break;
        }
        assert!(tries < 500, "the forward outlives its owner");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    echo.abort();
    assert_eq!(sshd.connections(), 1);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_port_of_the_node_is_within_reach() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await.unwrap();
    let forward = connection.forward_tcp("127.0.0.1", sshd.port()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(forward.local()).await.unwrap();
    let mut banner = [0; 8];
    stream.read_exact(&mut banner).await.unwrap();
    assert_eq!(&banner, b"SSH-2.0-");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = connection.forward_tcp("127.0.0.1", free).await.unwrap_err();
    assert!(error.to_string().contains(&format!("nobody listens at `127.0.0.1 port {free}`")), "{error}");
    let error = connection.forward_tcp("a/b", 1).await.unwrap_err();
    assert!(error.to_string().contains("a/b"), "{error}");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_socket_out_of_reach_says_why() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await.unwrap();
    let path = |name: &str| HostPath::try_from(&*sshd.path(name)).unwrap();
    let failure = |error: HostError| match error.what {
        HostFailure::Forward(failure) => failure,
        what => panic!("{what:?}"),
    };
    let missing = path("missing.sock");
    let error = connection.forward(&missing).await.unwrap_err();
    assert_eq!(failure(error), ForwardFailure::Missing(missing.as_str().into()));
    let deaf = path("deaf.sock");
    drop(std::os::unix::net::UnixListener::bind(deaf.as_str()).unwrap());
    let error = connection.forward(&deaf).await.unwrap_err();
    assert_eq!(failure(error), ForwardFailure::Deaf(deaf.as_str().into()));
    let error = connection.forward(&HostPath::new("relative")).await.unwrap_err();
    assert!(error.to_string().contains("begins with `/`"), "{error}");
    let long = HostPath::new(format!("/{}", "x".repeat(200)));
    let error = connection.forward(&long).await.unwrap_err();
    assert!(matches!(failure(error), ForwardFailure::Other { .. }));

    // Root may use everything, so that it has to log in as somebody else.
    let nobody = "ForceCommand setpriv --reuid=65534 --clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\"";
    let sshd = Sshd::start(if rustix::process::getuid().is_root() { nobody } else { "" });
    let connection = sshd.connect().await.unwrap();
    let denied = sshd.path("denied.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&denied).unwrap();
    fs::set_permissions(&denied, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let denied = HostPath::try_from(&*denied).unwrap();
    let error = connection.forward(&denied).await.unwrap_err();
    assert_eq!(failure(error), ForwardFailure::Denied(denied.as_str().into()));

    let closed = Sshd::start("AllowStreamLocalForwarding no\nAllowTcpForwarding no");
    let connection = closed.connect().await.unwrap();
    let there = closed.path("there.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&there).unwrap();
    let error = connection.forward(&HostPath::try_from(&*there).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("AllowStreamLocalForwarding"), "{error}");
    let error = connection.forward_tcp("127.0.0.1", closed.port()).await.unwrap_err();
    assert!(error.to_string().contains("AllowTcpForwarding"), "{error}");
}
