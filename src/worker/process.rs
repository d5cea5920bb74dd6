//! One worker process: started, greeted, asked and stopped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::protocol::GpuReport;
use super::protocol::{self, CompileOutcome, Hello, Message, Op, Probe, Request};
use crate::failure::{Failure, Kind, forwards};
use crate::host_name::HostName;

/// Importing Triton from a cold disk takes seconds; a minute means it never will.
const HELLO_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a worker may take to end its children and itself once its input is closed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Log lines kept to explain a death.
const LOG_LINES: usize = 30;
/// The longest part of a log line that is kept in one piece.
const LOG_LINE_BYTES: u64 = 4096;

/// The worker's names for problems that no other argument would solve.
const NOT_INPUT: [&str; 6] =
    ["bad_time", "internal_error", "no_gpu", "out_of_memory", "ptxas_missing", "torch_missing"];

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The interpreter.
    pub python: PathBuf,
    /// The folder that holds the worker's package.
    pub package_dir: PathBuf,
    /// The module that is run: the worker's package, or a look-alike's in tests.
    pub module: String,
    /// Variables set on top of the harness's own.
    pub variables: Vec<(OsString, OsString)>,
}

/// What can go wrong with a worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The interpreter did not start.
    #[error("cannot start the worker with `{python}`: {source}", python = python.display())]
    Start {
        /// The interpreter.
        python: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It started and said nothing a worker says.
    #[error("`{python}` did not answer as a worker: {detail}{log}", python = python.display())]
    NoHello {
        /// The interpreter.
        python: PathBuf,
        /// What it did instead.
        detail: String,
        /// Its last words.
        log: Log,
    },
    /// It speaks another protocol.
    #[error("the worker speaks protocol {found}, this program {expected}", expected = protocol::VERSION)]
    OtherProtocol {
        /// What it speaks.
        found: u32,
    },
    /// It said something that is no message.
    #[error("the worker sent a line that is no message: {line}")]
    Garbled {
        /// The line, cut short.
        line: String,
    },
    /// It ended in the middle of a request.
    #[error("the worker ended in the middle of a request ({status}){log}")]
    Died {
        /// How it ended.
        status: String,
        /// Its last words.
        log: Log,
    },
    /// It refused the request.
    #[error("{message}")]
    Refused {
        /// The worker's name for the problem.
        code: String,
        /// Its words.
        message: String,
    },
    /// The harness's reader of the results failed.
    #[error(transparent)]
    Reader(Box<dyn Failure>),
}

forwards! {
    impl Failure for WorkerError forwarding Reader {
        Self::Refused { code, .. } if code == "no_gpu" => Kind::Environment,
            "measure on a machine with the device, or prove without one: --evidence compiled";
        Self::Refused { code, .. } if code == "torch_missing" => Kind::Environment,
            "name the Python that SGLang runs in with --python, or drop measuring: --evidence compiled";
        // What the machine lacks, or a fault of the worker's own, is no input.
        Self::Refused { code, .. } if NOT_INPUT.contains(&code.as_str()) => Kind::Environment;
        // The user named the kernel or the interpreter: what is wrong with them is input.
        Self::Refused { .. } => Kind::Input;
        Self::Start { .. } | Self::NoHello { .. } | Self::OtherProtocol { .. } | Self::Garbled { .. }
        | Self::Died { .. } => Kind::Environment;
    }
}

/// Hears how each unit ended, as it ends. What it cannot keep ends the compilation.
pub type OnUnit<'a, U> = &'a mut dyn FnMut(&U, CompileOutcome) -> Result<(), Box<dyn Failure>>;

/// The last lines a worker logged, shown below an error's message.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        lines.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    log: Log,
    hello: Hello,
    next_id: u64,
}

impl Worker {
    /// Start a worker and wait for its hello.
    pub async fn start(launch: &Launch) -> Result<Self, WorkerError> {
        let mut command = Command::new(&launch.python);
        command
            // -B: the package may lie on a read-only disk; -u: lines must not wait in a buffer.
            .args(["-B", "-u", "-m", &launch.module])
            .env("PYTHONPATH", &launch.package_dir)
            .env_remove("PYTHONHOME")
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // A Ctrl-C at the terminal is for the harness: it closes the worker's input, and the
            // worker ends its compilers.
            .process_group(0);
        let start_error = |source| WorkerError::Start { python: launch.python.clone(), source };
        let mut child = command.spawn().map_err(start_error)?;
        let piped = || std::io::Error::other("a standard stream is missing");
        let stdin = child.stdin.take().ok_or_else(piped).map_err(start_error)?;
        let stdout = child.stdout.take().ok_or_else(piped).map_err(start_error)?;
        let stderr = child.stderr.take().ok_or_else(piped).map_err(start_error)?;
        let log = Log::default();
        let (host, pid) = (HostName::local(), child.id());
        tokio::spawn({
            let log = log.clone();
            async move {
                // Bytes, not text: a compiler may say anything, and a reader that gives up would
                // close the worker's log under it.
                let mut reader = BufReader::new(stderr);
                let mut line = Vec::new();
                while (&mut reader)
                    .take(LOG_LINE_BYTES)
                    .read_until(b'\n', &mut line)
                    .await
                    .is_ok_and(|n| n > 0)
                {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    tracing::info!(target: "worker", %host, pid, "{text}");
                    log.push(text);
                    line.clear();
                }
            }
        });
        let mut lines = BufReader::new(stdout).lines();
        let no_hello =
            |detail: String| WorkerError::NoHello { python: launch.python.clone(), detail, log: log.clone() };
        let line = match tokio::time::timeout(HELLO_TIMEOUT, lines.next_line()).await {
            Err(_) => return Err(no_hello(format!("silent for {} s", HELLO_TIMEOUT.as_secs()))),
            Ok(Err(error)) => return Err(no_hello(error.to_string())),
            Ok(Ok(None)) => {
                let status = ended(&mut child).await;
                return Err(no_hello(format!("it ended at once ({status})")));
            }
            Ok(Ok(Some(line))) => line,
        };
        let hello = match serde_json::from_str(&line) {
            Ok(Message::Hello(hello)) => hello,
            _ => return Err(no_hello(format!("its first line was {}", shorten(&line)))),
        };
        if hello.protocol != protocol::VERSION {
            return Err(WorkerError::OtherProtocol { found: hello.protocol });
        }
        Ok(Self { child, stdin: Some(stdin), lines, log, hello, next_id: 1 })
    }

    /// What the worker said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Find the kernel below `sglang_root` and the compiler's parts.
    pub async fn probe(&mut self, sglang_root: &str) -> Result<Probe, WorkerError> {
        let id = self.ask(Op::Probe { sglang_root: sglang_root.to_owned() }).await?;
        let mut found = None;
        while let Some(message) = self.answer(id).await? {
            if let Message::Probed { probe, .. } = message {
                found = Some(probe);
            }
        }
        found.ok_or_else(|| WorkerError::Garbled { line: "`done` without a `probed`".into() })
    }

    /// Carry out a compile request, handing each unit's outcome to `on_unit` as it ends.
    pub async fn compile(&mut self, request: Op, on_unit: OnUnit<'_, str>) -> Result<(), WorkerError> {
        let id = self.ask(request).await?;
        while let Some(message) = self.answer(id).await? {
            if let Message::Compiled { unit, outcome, .. } = message {
                on_unit(&unit, outcome).map_err(WorkerError::Reader)?;
            }
        }
        Ok(())
    }

    /// Close the worker's input and wait for it to end its children and itself.
    pub async fn stop(mut self) {
        self.stdin = None;
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            // Dropped after this: `kill_on_drop` ends it.
            let _ = self.child.start_kill();
        }
    }

    /// What GPU the worker sees.
    pub async fn device(&mut self) -> Result<GpuReport, WorkerError> {
        let mut found = None;
        self.request(Op::Device {}, &mut |message| {
            if let Message::Device { report, .. } = message {
                found = Some(report);
            }
        })
        .await?;
        found.ok_or_else(|| WorkerError::Garbled { line: "`done` without a `device`".into() })
    }

    /// Carry out a request, handing each message about it to `on_message`.
    pub(super) async fn request(
        &mut self,
        op: Op,
        on_message: &mut dyn FnMut(Message),
    ) -> Result<(), WorkerError> {
        let id = self.ask(op).await?;
        while let Some(message) = self.answer(id).await? {
            on_message(message);
        }
        Ok(())
    }

    pub(super) async fn ask(&mut self, op: Op) -> Result<u64, WorkerError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = serde_json::to_string(&Request { id, op }).expect("requests are plain data");
        line.push('\n');
        let sent = match &mut self.stdin {
            Some(stdin) => stdin.write_all(line.as_bytes()).await.is_ok() && stdin.flush().await.is_ok(),
            None => false,
        };
        if sent { Ok(id) } else { Err(self.died().await) }
    }

    /// The next message of request `id`, or `None` at its end.
    async fn answer(&mut self, id: u64) -> Result<Option<Message>, WorkerError> {
        let message = self.answer_with_end(id).await?;
        Ok((!matches!(message, Message::Done { .. })).then_some(message))
    }

    /// The next message of request `id`, its `done` included.
    pub(super) async fn answer_with_end(&mut self, id: u64) -> Result<Message, WorkerError> {
        loop {
            let line = match self.lines.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) | Err(_) => return Err(self.died().await),
            };
            let message: Message =
                serde_json::from_str(&line).map_err(|_| WorkerError::Garbled { line: shorten(&line) })?;
            match message {
                Message::Error { id: of, code, message } if of == Some(id) => {
                    return Err(WorkerError::Refused { code, message });
                }
                Message::Probed { id: of, .. }
                | Message::Compiled { id: of, .. }
                | Message::Device { id: of, .. }
                | Message::Starting { id: of, .. }
                | Message::Ready { id: of }
                | Message::Timed { id: of, .. }
                | Message::ArmFailed { id: of, .. }
                | Message::Done { id: of, .. }
                    if of == id =>
                {
                    return Ok(message);
                }
                // The end of a request that was given up, or news from a newer worker.
                _ => {}
            }
        }
    }

    async fn died(&mut self) -> WorkerError {
        WorkerError::Died { status: ended(&mut self.child).await, log: self.log.clone() }
    }
}

/// How a process whose output ended came to its end; it is ended if it has not.
async fn ended(child: &mut Child) -> String {
    let status = match tokio::time::timeout(Duration::from_secs(2), child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    // The log's reader runs beside us: let it take the last lines.
    tokio::time::sleep(Duration::from_millis(50)).await;
    status.as_ref().map_or_else(ToString::to_string, ExitStatus::to_string)
}

fn shorten(line: &str) -> String {
    const SHOWN: usize = 200;
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}
