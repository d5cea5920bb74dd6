//! This machine.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    End, Ending, Host, HostError, HostFailure, HostPath, Process, Program, ShellLine, Tree, Variable,
};
use crate::fs::{ReadError, read_at_most, write_atomic};
use crate::host_name::HostName;

/// This machine. Programs get the harness's own environment.
#[derive(Debug, Clone)]
pub struct Here {
    name: HostName,
}

impl Here {
    /// This machine, as [`HostName::local`].
    pub fn new() -> Self {
        Self::named(HostName::local())
    }

    /// This machine, as a node of that name.
    pub fn named(name: HostName) -> Self {
        Self { name }
    }

    fn fail<T>(&self, what: HostFailure) -> Result<T, HostError> {
        Err(HostError { on: self.name.clone(), what })
    }

    /// Run `work`, which waits for disks, where it keeps nobody else waiting.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HostFailure> + Send + 'static,
    ) -> Result<T, HostError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.or_else(|what| self.fail(what)),
            // Only where the runtime ends, and with it the program, or where `work` panicked.
            Err(error) => self.fail(HostFailure::Unreachable { why: error.to_string() }),
        }
    }
}

impl Default for Here {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Here {
    fn name(&self) -> &HostName {
        &self.name
    }

    fn start<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Process, HostError>> {
        async move {
            if let Err(error) = program.check() {
                return self.fail(error.into());
            }
            let running = start(program);
            running.or_else(|source| {
                self.fail(HostFailure::Start { program: program.name().to_owned(), source })
            })
        }
        .boxed()
    }

    fn put<'a>(&'a self, tree: &'a Tree, into: &'a HostPath) -> BoxFuture<'a, Result<(), HostError>> {
        let (tree, into) = (tree.clone(), into.clone());
        self.on_disk(move || {
            for (place, bytes) in tree.files() {
                let path = into.join(place);
                lay_out(Path::new(path.as_str()), bytes)
                    .map_err(|source| HostFailure::Write { path, source })?;
            }
            Ok(())
        })
        .boxed()
    }

    fn get<'a>(&'a self, path: &'a HostPath, most: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        let path = path.clone();
        self.on_disk(move || {
            read(Path::new(path.as_str()), most).map_err(|error| match error {
                ReadError::TooLarge { .. } => HostFailure::TooLarge { path, most },
                ReadError::Io(source) => HostFailure::Read { path, source },
            })
        })
        .boxed()
    }

    fn replace<'a>(&'a self, path: &'a HostPath, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), HostError>> {
        let (path, bytes) = (path.clone(), bytes.to_vec());
        self.on_disk(move || {
            let written = write_atomic(Path::new(path.as_str()), &bytes);
            written.map_err(|source| HostFailure::Write { path, source })
        })
        .boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        ShellLine::of(program)
    }
}

fn start(program: &Program) -> io::Result<Process> {
    let mut command = Command::new(program.name());
    command
        .args(&program.argv[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // A Ctrl-C at the terminal is for the harness, which ends what it started in its own way.
        .process_group(0);
    if let Some(directory) = &program.directory {
        command.current_dir(directory.as_str());
    }
    for (name, variable) in &program.environment {
        match variable {
            Variable::Set(value) => command.env(name, value),
            Variable::Secret(secret) => command.env(name, secret.reveal()),
            Variable::Unset => command.env_remove(name),
        };
    }
    let mut child = command.spawn()?;
    let missing = || io::Error::other("a standard stream is missing");
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    let log = child.stderr.take().ok_or_else(missing)?;
    let (tell, told) = watch::channel(None);
    let kill = CancellationToken::new();
    tokio::spawn(see_through(child, program.limit, kill.clone(), tell));
    let end = LocalEnd { told, kill: kill.drop_guard() };
    Ok(Process { input: Box::pin(input), output: Box::pin(output), log: Box::pin(log), end: Box::new(end) })
}

/// Wait for the end of `child`, and bring it about when its limit has passed or it is to be killed.
async fn see_through(
    mut child: Child,
    limit: Option<Duration>,
    kill: CancellationToken,
    tell: watch::Sender<Option<Ending>>,
) {
    let passed = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let status = tokio::select! {
        status = child.wait() => status,
        () = passed => end(&mut child).await,
        () = kill.cancelled() => end(&mut child).await,
    };
    // Nobody may be listening any more.
    let _ = tell.send(Some(ending(status)));
}

/// Kill the program's whole group: what it started is of no use without it.
async fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // No id means that its end was seen already, and that the number may be another's by now.
    if let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It fails where the group has ended in the meantime.
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait().await
}

fn ending(status: io::Result<ExitStatus>) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Exit(code),
            (None, Some(signal)) => Ending::Signal(signal),
            (None, None) => Ending::Lost { why: status.to_string() },
        },
        Err(error) => Ending::Lost { why: error.to_string() },
    }
}

/// Kills when it is dropped.
struct LocalEnd {
    told: watch::Receiver<Option<Ending>>,
    kill: DropGuard,
}

impl End for LocalEnd {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async {
            match self.told.wait_for(Option::is_some).await.map(|ending| ending.clone()) {
                Ok(Some(ending)) => ending,
                _ => Ending::Lost { why: "the runtime that watched over the program has ended".into() },
            }
        }
        .boxed()
    }

    fn kill(&mut self) {
        self.kill.token().cancel();
    }
}

fn lay_out(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    write_atomic(path, bytes)
}

/// The bytes of a file, and of nothing else that has a path.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    // Opening a pipe would wait for somebody to write to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file").into());
    }
    read_at_most(path, most)
}

#[cfg(test)]
mod tests {
    use super::super::suite;
    use super::*;

    struct HereBed {
        host: Here,
        folder: tempfile::TempDir,
    }

    impl suite::Bed for HereBed {
        fn new() -> Self {
            Self { host: Here::new(), folder: tempfile::tempdir().unwrap() }
        }

        fn host(&self) -> &dyn Host {
            &self.host
        }

        fn folder(&self) -> HostPath {
            HostPath::try_from(self.folder.path()).unwrap()
        }
    }

    suite::every_host_with_python_passes!(HereBed);

    #[tokio::test]
    async fn a_killed_program_takes_along_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("child");
        let script = format!("sleep 100 & echo $! > '{}.tmp'; mv '{0}.tmp' '{0}'; wait", note.display());
        let mut process = Here::new().start(&Program::new("sh", ["-c", &script])).await.unwrap();
        let child = loop {
            if let Ok(id) = std::fs::read_to_string(&note) {
                break id;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        process.end.kill();
        assert_eq!(process.end.ended().await, Ending::Signal(9));
        let stat = format!("/proc/{}/stat", child.trim());
        for _ in 0..400 {
            // Gone, or waiting for a parent that never asks.
            if std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("`sleep` outlived the group it was in");
    }

    #[tokio::test]
    async fn only_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = HostPath::try_from(folder.path()).unwrap();
        let error = Here::new().get(&path, 10).await.unwrap_err().to_string();
        assert!(error.contains("not a file") && error.contains(path.as_str()), "{error}");
    }
}
