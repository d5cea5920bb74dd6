//! One small Python program on a node: what it is told goes in, what it answers comes out.

use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{FusedFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{BoxRead, Ending, Host, HostError, HostFailure, HostPath, Program};
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

/// Bytes of an answer that are taken. What the programs say is bounded by themselves to less.
const MOST_OF_AN_ANSWER: usize = 4 << 20;
/// Bytes of a failing program's last words.
const MOST_OF_A_LOG: usize = 16 << 10;

/// How long what is left of a log is waited for once the program has ended.
const REST_OF_A_LOG: Duration = Duration::from_secs(1);

/// A node that did not answer.
#[derive(Debug)]
pub struct AskError {
    /// The node.
    pub on: HostName,
    /// Why not.
    pub what: AskFailure,
}

/// Why a node did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskFailure {
    /// The host could not start the program.
    #[error(transparent)]
    Host(HostError),
    /// It took too long.
    #[error("did not answer within {} s", .limit.as_secs_f64())]
    Late {
        /// The time it had.
        limit: Duration,
    },
    /// The program came to another end than its own.
    #[error("{program} ended there ({ending}) and said `{said}`")]
    Ended {
        /// The interpreter, or whichever program it was.
        program: HostPath,
        /// How.
        ending: Ending,
        /// The last line it wrote to stderr.
        said: String,
    },
    /// It said too much.
    #[error("the node answered more than {MOST_OF_AN_ANSWER} bytes")]
    TooLong,
}

impl AskError {
    /// Whether there is no interpreter.
    pub(crate) fn is_no_python(&self) -> bool {
        match &self.what {
            AskFailure::Host(error) => matches!(error.what, HostFailure::Start { .. }),
            // A shell between says so by this status (POSIX, 2.8.2).
            AskFailure::Ended { ending, .. } => *ending == Ending::Exit(127),
            AskFailure::Late { .. } | AskFailure::TooLong => false,
        }
    }

    /// Why not, where the node is named beside it.
    pub(crate) fn problem(&self) -> String {
        match &self.what {
            AskFailure::Host(error) => error.what.to_string(),
            failure => failure.to_string(),
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A host's own error names it, and a user with one machine need not be told which.
        if !matches!(self.what, AskFailure::Host(_)) && self.on != HostName::local() {
            write!(f, "{}: ", self.on)?;
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.what.source()
    }
}

impl Failure for AskError {
    fn kind(&self) -> Kind {
        match &self.what {
            AskFailure::Host(error) => error.kind(),
            AskFailure::Late { .. } | AskFailure::Ended { .. } | AskFailure::TooLong => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match &self.what {
            _ if self.is_no_python() => {
                Some("a node is asked by a program in Python: install python3 there".to_owned())
            }
            AskFailure::Host(error) => error.hint(),
            AskFailure::Ended { .. } | AskFailure::Late { .. } | AskFailure::TooLong => None,
        }
    }
}

/// Let `python` run `code` on `host`, with `input` on its standard input; its standard output, once it has ended well.
/// All of it within `limit`, which the host also holds the program to.
pub(crate) async fn ask(
    host: &dyn Host,
    python: &HostPath,
    code: &str,
    input: &[&[u8]],
    limit: Duration,
) -> Result<Vec<u8>, AskError> {
    answer_of(host, &program(python, code), input, limit).await
}

/// The same of any program.
pub(crate) async fn answer_of(
    host: &dyn Host,
    program: &Program,
    input: &[&[u8]],
    limit: Duration,
) -> Result<Vec<u8>, AskError> {
    let answer = tokio::time::timeout(limit, answer(host, program, input, limit)).await;
    answer
        .unwrap_or(Err(AskFailure::Late { limit }))
        .map_err(|what| AskError { on: host.name().clone(), what })
}

async fn answer(
    host: &dyn Host,
    program: &Program,
    input: &[&[u8]],
    limit: Duration,
) -> Result<Vec<u8>, AskFailure> {
    let program = Program { limit: Some(limit), ..program.clone() };
    let mut process = host.start(&program).await.map_err(AskFailure::Host)?;
    let send = async {
        // A program that does not listen tells more by its end.
        for bytes in input {
            if process.input.write_all(bytes).await.is_err() {
                break;
            }
        }
        let _ = process.input.shutdown().await;
        drop(process.input);
        Ok(())
    };
    let answered = async {
        let ((), answer) = tokio::try_join!(send, whole(process.output))?;
        Ok((answer, process.end.ended().await))
    };
    let words = Mutex::new(Vec::new());
    let mut log = pin!(keep_last(process.log, &words).fuse());
    let mut answered = pin!(answered);
    let (answer, ending) = loop {
        tokio::select! {
            answered = &mut answered => break answered?,
            () = &mut log, if !log.is_terminated() => {}
        }
    };
    if ending == Ending::Exit(0) {
        return Ok(answer);
    }
    if !log.is_terminated() {
        // What it started, or a link that is lost, may hold it open.
        let _ = tokio::time::timeout(REST_OF_A_LOG, log).await;
    }
    let said = last_line(&lock(&words));
    Err(AskFailure::Ended { program: HostPath::new(program.name()), ending, said })
}

/// What runs `code` on a host.
pub(crate) fn program(python: &HostPath, code: &str) -> Program {
    // Isolated: what the user's environment and folders say about Python is not for this.
    Program::new(python.as_str(), ["-I", "-c", code])
}

/// The last line that a program which has ended wrote to `log`.
pub(super) async fn last_words(log: BoxRead) -> String {
    let words = Mutex::new(Vec::new());
    // What it started, or a link that is lost, may hold it open.
    let _ = tokio::time::timeout(REST_OF_A_LOG, keep_last(log, &words)).await;
    last_line(&lock(&words))
}

fn last_line(words: &[u8]) -> String {
    beginning(words.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default())
}

/// All of a stream, or that it is too long. A stream that breaks is read up to there: the program's end says why.
async fn whole(stream: BoxRead) -> Result<Vec<u8>, AskFailure> {
    let mut bytes = Vec::new();
    let _ = stream.take(MOST_OF_AN_ANSWER as u64 + 1).read_to_end(&mut bytes).await;
    if bytes.len() > MOST_OF_AN_ANSWER { Err(AskFailure::TooLong) } else { Ok(bytes) }
}

/// Read a stream to its end and keep its last words.
async fn keep_last(mut stream: BoxRead, words: &Mutex<Vec<u8>>) {
    let mut piece = vec![0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        let mut words = lock(words);
        words.extend_from_slice(&piece[..read]);
        let over = words.len().saturating_sub(MOST_OF_A_LOG);
        words.drain(..over);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning of what somebody else wrote, fit to be shown on one line.
pub(crate) fn beginning(text: &[u8]) -> String {
    const MOST: usize = 120;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * MOST)]);
    let line = text.lines().next().unwrap_or_default();
    let shown: String =
        line.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if shown.chars().count() < line.chars().count() { format!("{shown}...") } else { shown }
}
