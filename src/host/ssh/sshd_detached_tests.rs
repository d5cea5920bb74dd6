//! Programs that outlive the connection, over a real sshd on the loopback.

use rustix::process::{Pid, Signal, kill_process};

use super::bed::{Sshd, master};
use crate::host::detached::{DetachedEnding, DetachedState, Downed};
use crate::host::{HostPath, Program, suite};

fn kill(pid: i32) {
    // One end may have noticed that the other is gone, and have ended.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

fn speaks() -> Program {
    Program::new("sh", ["-c", "echo up; sleep 1; echo later; exec sleep 60"])
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_detached_program_outlives_its_connection_and_is_found_by_another() {
    let sshd = Sshd::start("");
    let folder = HostPath::try_from(&*sshd.path("bed")).unwrap();
    let (labels, records, id) = {
        let connection = sshd.connect().await.unwrap();
        let host = connection.host();
        let it = suite::Programs::new(&*host, &folder);
        let id = it.start(&speaks()).await;
        let mut log = it.programs.follow(&id, 9).await.unwrap();
        assert!(log.next().await.unwrap().unwrap().starts_with(b"up\n"));
        // All that there is of the connection, at both ends.
        [sshd.serving(), vec![master(&connection)]].concat().into_iter().for_each(kill);
        // What follows is told that nothing is known any more, not that the program has ended.
        let error = loop {
            match log.next().await.expect("the log of a program that runs has no end") {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("link lost"), "{error}");
        (it.labels, it.programs.records, id)
    };
    let connection = sshd.connect().await.unwrap();
    let host = connection.host();
    let mut it = suite::Programs::new(&*host, &folder);
    (it.labels, it.programs.records) = (labels, records);
    let [found] = &it.found().await[..] else { panic!("{:?}", it.found().await) };
    assert_eq!(found.id, id);
    assert!(matches!(found.state, DetachedState::Running { .. }), "{found:?}");
    let mut log = it.programs.follow(&id, 9).await.unwrap();
    let mut said = Vec::new();
    while said != b"up\nlater\n" {
        said.extend_from_slice(&log.next().await.unwrap().unwrap());
    }
    let ended = it.end(&id, std::time::Duration::from_secs(10)).await;
    assert_eq!(ended, Downed { how: DetachedEnding::Signal(15), killed: 0 });
    assert!(log.next().await.is_none(), "once the program has ended");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_slow_login_that_greets_is_waited_for() {
    let sshd = Sshd::start("ForceCommand sleep 2; echo Welcome; eval \"$SSH_ORIGINAL_COMMAND\"");
    let connection = sshd.connect().await.unwrap();
    let host = connection.host();
    let it = suite::Programs::new(&*host, &HostPath::try_from(&*sshd.path("bed")).unwrap());
    let id = it.start(&speaks()).await;
    assert!(matches!(it.state(&id).await, DetachedState::Running { .. }));
    it.end(&id, std::time::Duration::from_secs(10)).await;
}
