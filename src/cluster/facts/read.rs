//! Reading nodes: one program on each, all at once, none for longer than a limit.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{FusedFuture, FutureExt, join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::reading::{BadAnswer, NodeReading, beginning};
use crate::failure::{Failure, Kind};
use crate::host::{BoxRead, Ending, Host, HostError, HostFailure, Program};
use crate::host_name::HostName;

/// The program that reads a node.
const READER: &str = include_str!("../../../worker/node_facts.py");

/// Bytes of an answer that are taken. The reader's own bounds add up to less.
const MOST_OF_AN_ANSWER: usize = 4 << 20;
/// Bytes of a failing program's last words.
const MOST_OF_A_LOG: usize = 16 << 10;
/// Time for the rest of them, once it has ended.
const REST_OF_A_LOG: Duration = Duration::from_millis(200);

/// A node's answer, and when it was asked and had answered by this machine's clock, seconds since 1970.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What it said.
    pub(crate) reading: NodeReading,
    /// When the reader was started.
    pub(crate) asked_s: f64,
    /// When its answer was whole.
    pub(crate) answered_s: f64,
}

/// A node that could not be read.
#[derive(Debug)]
pub(crate) struct ReadError {
    /// The node.
    pub(crate) on: HostName,
    /// Why not.
    pub(crate) what: ReadFailure,
}

/// Why a node could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// The host could not start the reader.
    #[error(transparent)]
    Host(HostError),
    /// It took too long.
    #[error("did not answer within {} s", .limit.as_secs_f64())]
    Late {
        /// The time it had.
        limit: Duration,
    },
    /// The reader came to another end than its own.
    #[error("python3 ended there ({ending}) and said `{said}`")]
    Ended {
        /// How.
        ending: Ending,
        /// The last line it wrote to stderr.
        said: String,
    },
    /// What it wrote is no answer.
    #[error(transparent)]
    BadAnswer(BadAnswer),
}

impl ReadError {
    /// Why not, where the node is named beside it.
    pub(crate) fn problem(&self) -> String {
        match &self.what {
            ReadFailure::Host(error) => error.what.to_string(),
            failure => failure.to_string(),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A host's own error names it.
        if !matches!(self.what, ReadFailure::Host(_)) && self.on != HostName::local() {
            write!(f, "{}: ", self.on)?;
        }
        self.what.fmt(f)
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.what.source()
    }
}

impl Failure for ReadError {
    fn kind(&self) -> Kind {
        match &self.what {
            ReadFailure::Host(error) => error.kind(),
            ReadFailure::BadAnswer(error) => error.kind(),
            ReadFailure::Late { .. } | ReadFailure::Ended { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let no_python = match &self.what {
            ReadFailure::Host(error) => matches!(error.what, HostFailure::Start { .. }),
            // A shell between says so by this status (POSIX, 2.8.2).
            ReadFailure::Ended { ending, .. } => *ending == Ending::Exit(127),
            ReadFailure::BadAnswer(error) => return error.hint(),
            ReadFailure::Late { .. } => false,
        };
        no_python.then(|| "a node is read by a program in Python: install python3 there".to_owned())
    }
}

/// Read every node, at once. Each has `limit`; the answers come in the order of the hosts.
pub(crate) async fn read_all(hosts: &[Arc<dyn Host>], limit: Duration) -> Vec<Result<Answer, ReadError>> {
    join_all(hosts.iter().map(|host| read(host.as_ref(), limit))).await
}

/// Read one node within `limit`.
async fn read(host: &dyn Host, limit: Duration) -> Result<Answer, ReadError> {
    let answer = tokio::time::timeout(limit, ask(host, limit)).await;
    answer
        .unwrap_or(Err(ReadFailure::Late { limit }))
        .map_err(|what| ReadError { on: host.name().clone(), what })
}

async fn ask(host: &dyn Host, limit: Duration) -> Result<Answer, ReadFailure> {
    // Isolated: what the user's environment and folders say about Python is not for this.
    let program = Program { limit: Some(limit), ..Program::new("python3", ["-I", "-"]) };
    let asked_s = now_s();
    let mut process = host.start(&program).await.map_err(ReadFailure::Host)?;
    let send = async {
        // A program that does not listen tells more by its end.
        let _ = process.input.write_all(READER.as_bytes()).await;
        drop(process.input);
        Ok(())
    };
    let answered = async {
        let ((), answer) = tokio::try_join!(send, whole(process.output))?;
        Ok((answer, now_s(), process.end.ended().await))
    };
    let words = Mutex::new(Vec::new());
    let mut log = pin!(keep_last(process.log, &words).fuse());
    let mut answered = pin!(answered);
    let (answer, answered_s, ending) = loop {
        tokio::select! {
            answered = &mut answered => break answered?,
            () = &mut log, if !log.is_terminated() => {}
        }
    };
    if ending == Ending::Exit(0) {
        let reading = NodeReading::parse(&answer).map_err(ReadFailure::BadAnswer)?;
        return Ok(Answer { reading, asked_s, answered_s });
    }
    if !log.is_terminated() {
        // What it started, or a link that is lost, may hold it open.
        let _ = tokio::time::timeout(REST_OF_A_LOG, log).await;
    }
    let words = lock(&words);
    let line = words.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Err(ReadFailure::Ended { ending, said: beginning(line) })
}

/// All of a stream, or that it is too long. A stream that breaks is read up to there: the program's end says why.
async fn whole(stream: BoxRead) -> Result<Vec<u8>, ReadFailure> {
    let mut bytes = Vec::new();
    let _ = stream.take(MOST_OF_AN_ANSWER as u64 + 1).read_to_end(&mut bytes).await;
    match bytes.len() > MOST_OF_AN_ANSWER {
        true => Err(ReadFailure::BadAnswer(BadAnswer::TooLong { most: MOST_OF_AN_ANSWER })),
        false => Ok(bytes),
    }
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

fn now_s() -> f64 {
    // Before 1970 no clock is right; what is shown then is as wrong as it.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
