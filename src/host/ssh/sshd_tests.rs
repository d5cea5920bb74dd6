//! Against a real sshd on the loopback.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::bed::{Sshd, SshdBed, children, master};
use super::*;
use crate::failure::{Failure, Kind};
use crate::host::{BoxRead, Ending, Host, HostError, HostFailure, HostPath, Program, suite};

suite::every_host_with_python_passes!(
    #[ignore = "needs sshd: apt-get install openssh-server"]
    SshdBed
);

fn sh(script: &str) -> Program {
    Program::new("sh", ["-c", script])
}

async fn all(stream: &mut BoxRead) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut text));
    read.await.expect("it never ended").unwrap();
    text
}

async fn said(host: &dyn Host, script: &str) -> String {
    let mut process = host.start(&sh(script)).await.unwrap();
    all(&mut process.output).await
}

fn ssh_failure(error: HostError) -> SshFailure {
    assert_eq!(error.on.as_str(), "spark-2");
    assert_eq!(error.kind(), Kind::Environment);
    match error.what {
        HostFailure::Ssh(failure) => *failure,
        what => panic!("{what:?}"),
    }
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

async fn gone(pid: i32) {
    for _ in 0..500 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        if stat.map_or(true, |stat| stat.contains(") Z ")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} does not end");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_host_key_that_changed_is_never_taken() {
    let sshd = Sshd::start("");
    let other = fs::read_to_string(sshd.path("host-other.pub")).unwrap();
    sshd.know(other.trim());
    let failure = ssh_failure(sshd.connect().await.unwrap_err());
    let place = format!("{}:1", sshd.path("known").display());
    assert!(
        matches!(&failure, SshFailure::HostKeyChanged { known, forget: Some(_) } if *known == place),
        "{failure:?}"
    );
    assert!(failure.hint().unwrap().contains("ssh-keygen -f"));
    assert_eq!(fs::read_to_string(sshd.path("known")).unwrap().matches("ssh-ed25519").count(), 1);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn an_unknown_host_is_for_a_person_to_accept() {
    let sshd = Sshd::start("");
    fs::write(sshd.path("known"), "").unwrap();
    let failure = ssh_failure(sshd.connect().await.unwrap_err());
    assert_eq!(failure, SshFailure::HostKeyUnknown { destination: "node".into() });
    assert_eq!(fs::read_to_string(sshd.path("known")).unwrap(), "");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_password_is_never_asked_for() {
    let sshd = Sshd::start("PasswordAuthentication yes");
    fs::rename(sshd.path("user-other"), sshd.path("user")).unwrap();
    fs::remove_file(sshd.path("user.pub")).unwrap();
    let error = sshd.connect().await.unwrap_err();
    assert!(error.to_string().contains("asks for a password"), "{error}");
    assert_eq!(error.hint().unwrap(), "let a key in, once: ssh-copy-id node");
    assert!(matches!(ssh_failure(error), SshFailure::Login { .. }));
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_place_without_sshd_says_which_fault_it_is() {
    let sshd = Sshd::start("");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = ssh_failure(sshd.connect_to(&format!("ssh://127.0.0.1:{port}")).await.unwrap_err());
    assert_eq!(failure, SshFailure::Refused { at: format!("host 127.0.0.1 port {port}") });
    let failure = ssh_failure(sshd.connect_to("no-such-host.invalid").await.unwrap_err());
    assert_eq!(failure, SshFailure::Name { host: "no-such-host.invalid".into() });
    // Something that listens and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = SshSettings { connect: Duration::from_secs(1), ..sshd.settings() };
    let destination = format!("ssh://127.0.0.1:{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let began = Instant::now();
    let opened = SshConnection::open("spark-2".parse().unwrap(), destination, settings.clone()).await;
    let failure = ssh_failure(opened.unwrap_err());
    assert!(matches!(failure, SshFailure::TimedOut { .. }), "{failure:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let settings = SshSettings { config: Some(sshd.path("no-config")), ..settings };
    let opened = SshConnection::open("spark-2".parse().unwrap(), "node".parse().unwrap(), settings).await;
    assert!(matches!(ssh_failure(opened.unwrap_err()), SshFailure::Local { .. }));
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn an_account_without_a_shell_is_no_host() {
    let sshd = Sshd::start("ForceCommand echo This account is currently not available.; exit 1");
    let failure = ssh_failure(sshd.connect().await.unwrap_err());
    let words = "This account is currently not available.".to_owned();
    assert_eq!(failure, SshFailure::NoShell { words });
    let sshd = Sshd::start("MaxSessions 0");
    assert_eq!(ssh_failure(sshd.connect().await.unwrap_err()), SshFailure::NoSession);
    let sshd = Sshd::start("ForceCommand sleep 1000");
    let settings = SshSettings { connect: Duration::from_secs(2), ..sshd.settings() };
    let opened = SshConnection::open("spark-2".parse().unwrap(), "node".parse().unwrap(), settings).await;
    assert!(matches!(ssh_failure(opened.unwrap_err()), SshFailure::TimedOut { .. }));
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_greeting_is_not_the_programs() {
    let sshd = Sshd::start("ForceCommand echo Welcome; printf 'mail: '; eval \"$SSH_ORIGINAL_COMMAND\"");
    let host = sshd.connect().await.unwrap().host();
    assert_eq!(said(&*host, "echo said").await, "said\n");
    let path = HostPath::try_from(&*sshd.path("file")).unwrap();
    host.replace(&path, b"bytes").await.unwrap();
    assert_eq!(host.get(&path, 10).await.unwrap(), b"bytes");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn what_the_users_config_says_for_sessions_of_their_own_is_not_ours() {
    let sshd = Sshd::start("");
    let lines = format!(
        "Host node\n  RemoteCommand echo mine\n  RequestTTY force\n  ControlMaster auto\n  ControlPath {}\n  \
         LocalForward {} 127.0.0.1:1\n  ExitOnForwardFailure yes\n  LogLevel QUIET\n",
        sshd.path("own-master").display(),
        sshd.port()
    );
    sshd.configure(&lines);
    let host = sshd.connect().await.unwrap().host();
    assert_eq!(said(&*host, "echo said").await, "said\n");
    assert!(!sshd.path("own-master").exists());
    assert_eq!(sshd.connections(), 1);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_jump_host_of_the_users_config_is_gone_by_once() {
    let sshd = Sshd::start("");
    let (port, folder) = (sshd.port(), sshd.path(""));
    let folder = folder.display();
    sshd.configure(&format!(
        "Host behind\n  HostName 127.0.0.1\n  Port {port}\n  ProxyJump node\n  IdentityFile {folder}/user\n  \
         UserKnownHostsFile {folder}/known\n"
    ));
    let host = sshd.connect_to("behind").await.unwrap().host();
    for _ in 0..2 {
        assert_eq!(said(&*host, "echo said").await, "said\n");
    }
    // One to the jump host, and one by it.
    assert_eq!(sshd.connections(), 2);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_cut_link_is_noticed_within_its_limit() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await.unwrap();
    let host = connection.host();
    let mut process = host.start(&sh("exec sleep 1000")).await.unwrap();
    let serving = sshd.serving();
    assert_eq!(serving.len(), 1);
    // The one that holds the connection, and where sshd drops its rights, the one below it that reads from it.
    let stopped = [serving.clone(), children(serving[0])].concat();
    stopped.iter().for_each(|pid| signal(*pid, Signal::STOP));
    let began = Instant::now();
    let ending = tokio::time::timeout(Duration::from_secs(10), process.end.ended()).await.unwrap();
    let took = began.elapsed();
    assert!(matches!(&ending, Ending::Lost { why } if why.contains("nothing was heard")), "{ending:?}");
    assert!(took < sshd.settings().silence + Duration::from_secs(2), "{took:?}");
    assert_eq!(process.end.ended().await, ending);
    let began = Instant::now();
    for error in [
        host.start(&sh("true")).await.unwrap_err(),
        host.get(&HostPath::new("/etc/hostname"), 100).await.unwrap_err(),
        connection.forward(&HostPath::new("/run/x.sock")).await.unwrap_err(),
    ] {
        assert!(matches!(ssh_failure(error), SshFailure::Lost { .. }));
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(sshd.connections(), 1);
    serving.iter().for_each(|pid| signal(*pid, Signal::KILL));
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_connection_that_the_node_closes_leaves_its_programs_unknown() {
    let sshd = Sshd::start("");
    let host = sshd.connect().await.unwrap().host();
    let mut process = host.start(&sh("exec sleep 1000")).await.unwrap();
    sshd.serving().iter().for_each(|pid| signal(*pid, Signal::KILL));
    let ending = tokio::time::timeout(Duration::from_secs(10), process.end.ended()).await.unwrap();
    assert!(matches!(&ending, Ending::Lost { why } if why.contains("closed by remote host")), "{ending:?}");
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_master_that_is_killed_takes_its_programs_along() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await.unwrap();
    let host = connection.host();
    let mut process = host.start(&sh("echo $$; exec sleep 1000")).await.unwrap();
    let mut pid = vec![0; 32];
    let count = process.output.read(&mut pid).await.unwrap();
    let program: i32 = String::from_utf8_lossy(&pid[..count]).trim().parse().unwrap();
    signal(master(&connection), Signal::KILL);
    let ending = tokio::time::timeout(Duration::from_secs(10), process.end.ended()).await.unwrap();
    assert!(matches!(ending, Ending::Lost { .. }), "{ending:?}");
    gone(program).await;
    let error = host.start(&sh("true")).await.unwrap_err();
    assert!(matches!(ssh_failure(error), SshFailure::Lost { .. }));
    assert_eq!(sshd.connections(), 1);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn thirty_programs_at_once_share_one_connection() {
    let sshd = Sshd::start("");
    let host = sshd.connect().await.unwrap().host();
    let programs = (0..30).map(|number| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { said(&*host, &format!("sleep 0.2; echo {number}; exit 255")).await })
    });
    for (number, program) in programs.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(program.await.unwrap(), format!("{number}\n"));
    }
    assert_eq!(sshd.connections(), 1);
    assert_eq!(sshd.logged("no more sessions"), 0);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn programs_can_be_ended_where_no_more_can_be_started() {
    let sshd = Sshd::start("");
    let host = sshd.connect().await.unwrap().host();
    let mut programs = Vec::new();
    for _ in 0..8 {
        programs.push(host.start(&sh("exec sleep 1000")).await.unwrap());
    }
    let error = host.start(&sh("true")).await.unwrap_err();
    assert_eq!(ssh_failure(error), SshFailure::Busy { running: 8 });
    for program in &mut programs {
        program.end.kill();
    }
    for program in &mut programs {
        let ending = tokio::time::timeout(Duration::from_secs(20), program.end.ended()).await;
        assert_eq!(ending.unwrap(), Ending::Signal(9));
    }
    assert_eq!(said(&*host, "echo free").await, "free\n");
    assert_eq!(sshd.connections(), 1);
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_connection_closes_with_its_last_holder() {
    let sshd = Sshd::start("");
    let connection = sshd.connect().await.unwrap();
    let (host, folder) = (connection.host(), connection.master().folder().to_owned());
    let holder = master(&connection);
    drop(connection);
    assert_eq!(said(&*host, "echo still").await, "still\n");
    drop(host);
    gone(holder).await;
    for _ in 0..500 {
        if !folder.exists() && sshd.serving().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something is left: {} {:?}", folder.display(), sshd.serving());
}

#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn the_line_a_person_would_type_does_the_same() {
    let sshd = Sshd::start("");
    let host = sshd.connect().await.unwrap().host();
    let program =
        sh("printf '%s|' \"$A\" \"$@\"").with("A", crate::host::Variable::Set("it's \"$HOME\"".into()));
    let program =
        Program { argv: [program.argv, vec!["sh".into(), "a b".into(), "\\n".into()]].concat(), ..program };
    let line = host.as_shell(&program).to_string();
    assert!(line.starts_with("ssh -F "), "{line}");
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "it's \"$HOME\"|a b|\\n|", "{line}");
}

/// This test is its own harness: the program of tests runs it once more, as the one that is killed.
#[tokio::test]
#[ignore = "needs sshd: apt-get install openssh-server"]
async fn a_harness_that_is_killed_leaves_nothing_behind() {
    const PLACE: &str = "SPARK_TEST_SSHD_CONFIG";
    const NAME: &str = "host::ssh::sshd_tests::a_harness_that_is_killed_leaves_nothing_behind";
    if let Some(config) = std::env::var_os(PLACE) {
        let settings = SshSettings { config: Some(config.into()), ..SshSettings::default() };
        let name = "spark-2".parse().unwrap();
        let connection = SshConnection::open(name, "node".parse().unwrap(), settings).await.unwrap();
        let mut process = connection.host().start(&sh("echo $$; exec sleep 1000")).await.unwrap();
        let mut pid = vec![0; 32];
        let count = process.output.read(&mut pid).await.unwrap();
        let pid = String::from_utf8_lossy(&pid[..count]).trim().to_owned();
        let folder = connection.master().folder().display().to_string();
        eprintln!("is: {pid} {} {folder}", master(&connection));
        return std::future::pending().await;
    }
    let sshd = Sshd::start("");
    let mut harness = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--include-ignored", "--nocapture"])
        .env(PLACE, sshd.path("config"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = tokio::io::BufReader::new(harness.stderr.take().unwrap()).lines();
    let line = loop {
        let line = tokio::time::timeout(Duration::from_secs(30), log.next_line()).await.unwrap().unwrap();
        if let Some(line) = line.expect("the harness has ended").strip_prefix("is: ") {
            break line.to_owned();
        }
    };
    let parts: Vec<&str> = line.splitn(3, ' ').collect();
    let [program, holder, folder] = parts[..] else { panic!("{line}") };
    // SIGKILL.
    harness.kill().await.unwrap();
    gone(holder.parse().unwrap()).await;
    gone(program.parse().unwrap()).await;
    for tries in 0.. {
        if !std::path::Path::new(folder).exists() && sshd.serving().is_empty() {
            break;
        }
        assert!(tries < 500, "something is left: {folder} {:?}", sshd.serving());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
