use std::time::Duration;

use super::super::{Here, suite};
use super::*;

/// This machine by its interpreter: what a node over ssh is, without ssh.
#[derive(Debug)]
struct Local {
    here: Here,
    /// What a login shell says first.
    greeting: &'static str,
    python: &'static str,
}

impl Local {
    fn new() -> Self {
        Self { here: Here::new(), greeting: "", python: "python3" }
    }
}

impl Interpreter for Local {
    fn name(&self) -> &HostName {
        self.here.name()
    }

    fn python<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        async move {
            let script = format!("printf '%s' '{}'; exec {} -c \"$1\"", self.greeting, self.python);
            self.here.start(&Program::new("sh", ["-c", &script, "sh", code])).await
        }
        .boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        ShellLine::of(program)
    }
}

struct LocalBed {
    host: Remote<Local>,
    folder: tempfile::TempDir,
}

impl suite::Bed for LocalBed {
    fn new() -> Self {
        Self { host: Remote::new(Local::new()), folder: tempfile::tempdir().unwrap() }
    }

    fn host(&self) -> &dyn Host {
        &self.host
    }

    fn folder(&self) -> HostPath {
        HostPath::try_from(self.folder.path()).unwrap()
    }
}

suite::every_host_with_python_passes!(LocalBed);

async fn words(stream: &mut BoxRead) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn what_a_login_shell_says_first_is_not_the_programs() {
    let host = Remote::new(Local { greeting: "Welcome!\nYou have mail.\n", ..Local::new() });
    let mut process = host.start(&Program::new("echo", ["said"])).await.unwrap();
    assert_eq!(words(&mut process.output).await, "said\n");
    let folder = tempfile::tempdir().unwrap();
    let path = HostPath::try_from(folder.path()).unwrap().join("file");
    host.replace(&path, b"bytes").await.unwrap();
    assert_eq!(host.get(&path, 10).await.unwrap(), b"bytes");
    let half_a_line = Remote::new(Local { greeting: "no end of line", ..Local::new() });
    assert_eq!(half_a_line.get(&path, 10).await.unwrap(), b"bytes");
}

#[tokio::test]
async fn a_host_without_an_interpreter_says_what_it_said() {
    let host = Remote::new(Local { python: "no-such-python", ..Local::new() });
    for error in [
        host.start(&Program::new("true", [""; 0])).await.unwrap_err(),
        host.get(&HostPath::new("/etc/hostname"), 100).await.unwrap_err(),
    ] {
        assert!(matches!(&error.what, HostFailure::Start { program, .. } if program == "python3"), "{error}");
        assert!(error.to_string().contains("no-such-python: not found"), "{error}");
    }
}

#[tokio::test]
async fn a_host_that_talks_without_end_is_no_host() {
    let host = Remote::new(Local { python: "yes garbage; exit 1 #", ..Local::new() });
    let path = HostPath::new("/etc/hostname");
    let error =
        tokio::time::timeout(Duration::from_secs(20), host.get(&path, 100)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("python3"), "{error}");
}

#[tokio::test]
async fn a_program_ends_when_nobody_listens_any_more() {
    let host = Remote::new(Local::new());
    let mut process = host.start(&Program::new("sh", ["-c", "echo $$; exec sleep 1000"])).await.unwrap();
    let mut pid = vec![0; 32];
    let count = process.output.read(&mut pid).await.unwrap();
    let pid = String::from_utf8_lossy(&pid[..count]).trim().to_owned();
    drop(process);
    for _ in 0..400 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        if stat.map_or(true, |stat| stat.contains(") Z ")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the program outlived its harness");
}

#[tokio::test]
async fn a_launcher_that_is_ended_leaves_its_program_unknown() {
    let host = Remote::new(Local::new());
    let script = "echo $PPID; sleep 0.2; exec sleep 1";
    let mut process = host.start(&Program::new("sh", ["-c", script])).await.unwrap();
    let mut pid = vec![0; 32];
    let count = process.output.read(&mut pid).await.unwrap();
    let pid = String::from_utf8_lossy(&pid[..count]).trim().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let ending = process.end.ended().await;
    assert!(matches!(&ending, Ending::Lost { why } if why.contains("signal: 9")), "{ending:?}");
}
