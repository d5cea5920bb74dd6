use std::time::Duration;

use tokio::io::AsyncWriteExt;

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

/// A host whose two streams come by one connection, on which much of what a program says stands before the word that it
/// began.
#[derive(Debug)]
struct OneConnection {
    name: HostName,
    /// Bytes of the program's.
    says: usize,
}

struct AtItsEnd;

impl End for AtItsEnd {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async { Ending::Exit(0) }.boxed()
    }

    fn kill(&mut self) {}
}

impl Interpreter for OneConnection {
    fn name(&self) -> &HostName {
        &self.name
    }

    fn python<'a>(&'a self, _: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        const PIPE_BYTES: usize = 64 << 10;
        let (input, typed) = tokio::io::duplex(PIPE_BYTES);
        let (mut said, output) = tokio::io::duplex(PIPE_BYTES);
        let (mut logged, log) = tokio::io::duplex(PIPE_BYTES);
        let says = vec![b'x'; self.says];
        tokio::spawn(async move {
            let mut order = String::new();
            BufReader::new(typed).read_line(&mut order).await.unwrap();
            let order: serde_json::Value = serde_json::from_str(&order).unwrap();
            let mark = order["mark"].as_str().unwrap();
            said.write_all(format!("{mark}\n").as_bytes()).await.unwrap();
            said.write_all(&says).await.unwrap();
            let ours = format!("{mark}{{\"pid\":7}}\n{mark}{{\"exit\":0}}\n");
            logged.write_all(ours.as_bytes()).await.unwrap();
        });
        let process = Process {
            input: Box::pin(input),
            output: Box::pin(output),
            log: Box::pin(log),
            end: Box::new(AtItsEnd),
        };
        async { Ok(process) }.boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        ShellLine::of(program)
    }
}

#[tokio::test]
async fn a_program_that_speaks_before_the_word_that_it_began_keeps_nobody_waiting() {
    for says in [0, 1, 1 << 20] {
        let host = Remote::new(OneConnection { name: HostName::local(), says });
        let program = Program::new("p", [""; 0]);
        let started = tokio::time::timeout(Duration::from_secs(20), host.start(&program));
        let mut process = started.await.unwrap().unwrap();
        assert_eq!(words(&mut process.output).await.len(), says);
        assert_eq!(process.end.ended().await, Ending::Exit(0));
    }
}
