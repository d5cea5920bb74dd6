//! A node that is reached through another one's open connection, each a real sshd on the loopback.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bed::Sshd;
use super::*;
use crate::host::{Ending, Host, HostError, HostFailure, HostPath, Program};
use crate::host_name::HostName;

/// A node that this machine reaches, and one behind it: to ssh `node` and `behind`.
struct Two {
    jump: Sshd,
    behind: Sshd,
}

impl Two {
    fn start(jump: &str) -> Self {
        Self::with(jump, "")
    }

    fn with(jump: &str, behind: &str) -> Self {
        let (jump, behind) = (Sshd::start(jump), Sshd::start(behind));
        let folder = behind.path("");
        let folder = folder.display();
        jump.configure(&format!(
            "Host behind\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {folder}/user\n  UserKnownHostsFile \
             {folder}/known\n",
            behind.port()
        ));
        Self { jump, behind }
    }

    fn connections(&self) -> SshConnections {
        SshConnections::new(self.jump.settings())
    }
}

fn name(name: &str) -> HostName {
    name.parse().unwrap()
}

fn straight(to: &str) -> SshRoute {
    to.parse::<SshDestination>().unwrap().into()
}

fn behind(jump: &str, to: &str) -> SshRoute {
    let hop = SshHop { node: name("spark-1"), at: jump.parse().unwrap() };
    SshRoute { through: vec![hop], ..straight(to) }
}

fn failure(opened: Result<Arc<SshConnection>, HostError>) -> SshFailure {
    match opened.unwrap_err().what {
        HostFailure::Ssh(failure) => *failure,
        what => panic!("{what:?}"),
    }
}

async fn said(host: &dyn Host, script: &str) -> String {
    let mut process = host.start(&Program::new("sh", ["-c", script])).await.unwrap();
    let mut text = String::new();
    process.output.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn one_connection_of_each_carries_all_that_concerns_both() {
    let two = Two::start("");
    let open = two.connections();
    let (to_jump, to_behind, names) =
        (straight("node"), behind("node", "behind"), [name("spark-1"), name("spark-2")]);
    // All at once, the one behind several times over.
    let (jump, first, second) = tokio::join!(
        open.open(&names[0], &to_jump),
        open.open(&names[1], &to_behind),
        open.open(&names[1], &to_behind)
    );
    let (jump, first, second) = (jump.unwrap(), first.unwrap(), second.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    let host = first.host();
    assert_eq!(said(&*host, "echo said").await, "said\n");
    let there = two.behind.path("there.sock");
    let listener = tokio::net::UnixListener::bind(&there).unwrap();
    let forward = first.forward(&HostPath::try_from(&*there).unwrap()).await.unwrap();
    let mut stream = tokio::net::UnixStream::connect(forward.local()).await.unwrap();
    stream.write_all(b"through both").await.unwrap();
    stream.shutdown().await.unwrap();
    // The first stream was the trial of the forward.
    let mut heard = String::new();
    while heard.is_empty() {
        let (mut accepted, _) = listener.accept().await.unwrap();
        accepted.read_to_string(&mut heard).await.unwrap();
    }
    assert_eq!(heard, "through both");
    let line = host.as_shell(&Program::new("echo", ["typed"])).to_string();
    assert!(line.contains(" -J node behind 'echo typed'"), "{line}");
    assert_eq!((two.jump.connections(), two.behind.connections()), (1, 1));
    // Whoever is behind keeps the way open.
    drop((jump, second));
    assert_eq!(said(&*host, "echo still").await, "still\n");
    // What a person would type gets there by connections of its own.
    let typed = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    // Of the two configs ssh hands on the one that has both.
    assert_eq!(String::from_utf8_lossy(&typed.stdout), "typed\n", "{typed:?}");
    assert_eq!((two.jump.connections(), two.behind.connections()), (2, 2));
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_way_may_go_through_several_nodes() {
    let two = Two::start("");
    let open = two.connections();
    let mut route = behind("node", "node");
    route.through.push(SshHop { node: name("spark-2"), at: "behind".parse().unwrap() });
    let third = open.open(&name("spark-3"), &route).await.unwrap();
    assert_eq!(said(&*third.host(), "echo said").await, "said\n");
    assert_eq!(third.route(), route);
    // To the first, and from the second back to it.
    assert_eq!((two.jump.connections(), two.behind.connections()), (2, 1));
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_jump_that_is_away_is_told_of_and_waited_for_once() {
    let two = Two::start("");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = Duration::from_secs(1);
    let open = SshConnections::new(SshSettings { connect, ..two.jump.settings() });
    let jump = format!("ssh://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let (to_jump, to_behind) = (straight(&jump), behind(&jump, "behind"));
    let names = [name("spark-1"), name("spark-2"), name("spark-3")];
    let (own, one, other) = tokio::join!(
        open.open(&names[0], &to_jump),
        open.open(&names[1], &to_behind),
        open.open(&names[2], &to_behind)
    );
    silent.set_nonblocking(true).unwrap();
    let tried = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(tried, 1, "one for all three");
    let own = failure(own);
    assert!(matches!(own, SshFailure::TimedOut { .. }), "{own:?}");
    let expected = SshFailure::Through { through: name("spark-1"), failure: Box::new(own.clone()) };
    let told = one.unwrap_err().to_string();
    assert_eq!(told, format!("spark-2: its way goes through spark-1: {own}"));
    let other = failure(other);
    assert_eq!(other, expected);
    assert_eq!(other.hint(), own.hint());
    // It is tried again where somebody asks again.
    let again = open.open(&names[1], &to_behind).await;
    assert_eq!(failure(again), expected);
    assert!(silent.accept().is_ok(), "nobody has tried");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn what_keeps_the_jump_from_the_node_is_told_as_it_sees_it() {
    let two = Two::start("");
    let open = two.connections();
    let (at, free) = (name("spark-2"), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = free.local_addr().unwrap().port();
    drop(free);
    let refused = failure(open.open(&at, &behind("node", &format!("ssh://127.0.0.1:{port}"))).await);
    let expected = SshFailure::Beyond {
        through: name("spark-1"),
        place: format!("127.0.0.1 port {port}"),
        why: "nobody listens there".into(),
    };
    assert_eq!(refused, expected);
    assert!(refused.hint().unwrap().contains("on a network of spark-1"));
    let nobody = failure(open.open(&at, &behind("node", "no-such-host.invalid")).await);
    assert!(
        matches!(&nobody, SshFailure::Beyond { place, .. } if place == "no-such-host.invalid port 22"),
        "{nobody:?}"
    );
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let open = SshConnections::new(SshSettings { connect: Duration::from_secs(1), ..two.jump.settings() });
    let silent = failure(open.open(&at, &behind("node", &format!("ssh://127.0.0.1:{port}"))).await);
    assert!(matches!(&silent, SshFailure::Beyond { why, .. } if why == "no answer within 1 s"), "{silent:?}");

    // Somebody answers, and does not let anyone in.
    let two = Two::with(
        "",
        "AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/sleep 1000\nAuthorizedKeysCommandUser root",
    );
    let open = SshConnections::new(SshSettings { connect: Duration::from_secs(2), ..two.jump.settings() });
    let slow = failure(open.open(&at, &behind("node", "behind")).await);
    // By ssh's own limit or by the one above it, whichever passes first.
    assert!(matches!(slow, SshFailure::TimedOut { step: "logging in", .. }), "{slow:?}");

    let two = Two::start("AllowTcpForwarding no");
    let place = format!("127.0.0.1 port {}", two.behind.port());
    let forbidden = failure(two.connections().open(&at, &behind("node", "behind")).await);
    assert_eq!(forbidden, SshFailure::Forbidden { through: name("spark-1"), place });
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn the_host_key_of_a_node_behind_is_looked_at_as_ever() {
    let two = Two::start("");
    let at = name("spark-2");
    let other = std::fs::read_to_string(two.behind.path("host-other.pub")).unwrap();
    two.behind.know(other.trim());
    let changed = failure(two.connections().open(&at, &behind("node", "behind")).await);
    assert!(matches!(changed, SshFailure::HostKeyChanged { .. }), "{changed:?}");
    std::fs::write(two.behind.path("known"), "").unwrap();
    let unknown = failure(two.connections().open(&at, &behind("node", "behind")).await);
    assert_eq!(unknown.hint().unwrap(), "compare the key and accept it once: ssh -o ProxyJump=node behind");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_jump_that_is_cut_off_takes_who_is_behind_with_it() {
    let two = Two::start("");
    let open = two.connections();
    let at = name("spark-2");
    let connection = open.open(&at, &behind("node", "behind")).await.unwrap();
    let mut process = connection.host().start(&Program::new("sleep", ["1000"])).await.unwrap();
    for pid in two.jump.serving() {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
    let ending = tokio::time::timeout(Duration::from_secs(10), process.end.ended()).await.unwrap();
    let Ending::Lost { why } = &ending else { panic!("{ending:?}") };
    assert!(why.starts_with("it went through spark-1: "), "{why}");
    // It is open again for who asks anew.
    let again = open.open(&at, &behind("node", "behind")).await.unwrap();
    assert_eq!(said(&*again.host(), "echo again").await, "again\n");
}
