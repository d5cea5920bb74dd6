//! Hosts of which nothing is asked but that they run `python3` with its streams attached: a node over ssh, a container.
//!
//! Everything else is done by three small programs of the standard library, sent along as `python3 -c`: one starts
//! programs and tells how they ended, one ends them, one reads and writes files. What they are to do travels on their
//! input, so that no command line there shows a variable, and no shell reads a word.

mod files;
mod launch;
mod log;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use self::files::Order;
use super::{
    BoxRead, End, Ending, Host, HostError, HostFailure, HostPath, Process, Program, ShellLine, Tree,
};
use crate::host_name::HostName;

/// How long a host may take to start its interpreter, or to end a program.
const START_LIMIT: Duration = Duration::from_secs(30);
/// What a login shell may say before the interpreter speaks, bytes.
const GREETING_BYTES: usize = 64 << 10;
/// What is kept of an error stream for a message, bytes.
const LAST_WORDS_BYTES: u64 = 2 << 10;

/// Runs `python3` on a host.
pub(super) trait Interpreter: fmt::Debug + Send + Sync + 'static {
    /// The host's name.
    fn name(&self) -> &HostName;

    /// Start `python3 -c code` there, streams attached. Its end is that of the way to it: [`Ending::Lost`]
    /// where the link was lost.
    fn python<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>>;

    /// The same for a short program that ends another one: where a host bounds how many run at a time, it must not wait
    /// for the one that it is to end.
    fn python_at_once<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        self.python(code)
    }

    /// The command a person would type to start `program` there.
    fn as_shell(&self, program: &Program) -> ShellLine;
}

/// A host by its interpreter.
#[derive(Debug)]
pub(super) struct Remote<I> {
    interpreter: Arc<I>,
}

impl<I> Clone for Remote<I> {
    fn clone(&self) -> Self {
        Self { interpreter: Arc::clone(&self.interpreter) }
    }
}

impl<I: Interpreter> Remote<I> {
    pub(super) fn new(interpreter: I) -> Self {
        Self { interpreter: Arc::new(interpreter) }
    }

    fn fail(&self, what: HostFailure) -> HostError {
        HostError { on: self.interpreter.name().clone(), what }
    }
}

impl<I: Interpreter> Host for Remote<I> {
    fn name(&self) -> &HostName {
        self.interpreter.name()
    }

    fn start<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Process, HostError>> {
        async {
            program.check().map_err(|error| self.fail(error.into()))?;
            let interpreter: Arc<dyn Interpreter> = self.interpreter.clone();
            within(START_LIMIT, launch::start(interpreter, program)).await.map_err(|what| self.fail(what))
        }
        .boxed()
    }

    fn put<'a>(&'a self, tree: &'a Tree, into: &'a HostPath) -> BoxFuture<'a, Result<(), HostError>> {
        async {
            let files: Vec<(HostPath, &[u8])> =
                tree.files().map(|(path, bytes)| (into.join(path), bytes)).collect();
            let done = files::ask(&*self.interpreter, Order::put(&files)).await;
            done.map(drop).map_err(|what| self.fail(what))
        }
        .boxed()
    }

    fn get<'a>(&'a self, path: &'a HostPath, most: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        async move {
            files::ask(&*self.interpreter, Order::get(path, most)).await.map_err(|what| self.fail(what))
        }
        .boxed()
    }

    fn replace<'a>(&'a self, path: &'a HostPath, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), HostError>> {
        async move {
            let done = files::ask(&*self.interpreter, Order::replace(path, bytes)).await;
            done.map(drop).map_err(|what| self.fail(what))
        }
        .boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        self.interpreter.as_shell(program)
    }
}

/// `work`, for so long at most.
async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, HostFailure>>,
) -> Result<T, HostFailure> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(HostFailure::Unreachable { why: format!("no answer within {} s", limit.as_secs()) }),
    }
}

/// A text that nothing else on a stream is likely to hold: it tells our lines from everybody else's.
pub(super) fn mark() -> String {
    format!("spark-{}:", chance())
}

/// A text that nobody else comes upon: 32 hexadecimal digits.
pub(super) fn chance() -> String {
    // Each state is seeded by the system.
    let [high, low] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    format!("{high:016x}{low:016x}")
}

/// The interpreter's output from behind the first `mark`, with whatever stands on the mark's line. `None` where the
/// stream ends without one, or goes on too long.
async fn after_mark(output: BoxRead, mark: &str) -> io::Result<Option<(Vec<u8>, BufReader<BoxRead>)>> {
    let mut output = BufReader::new(output);
    let mut left = GREETING_BYTES;
    loop {
        let line = bounded_line(&mut output, left).await?;
        if let Some(at) = memchr::memmem::find(&line, mark.as_bytes()) {
            let rest = line[at + mark.len()..].trim_ascii_end().to_vec();
            return Ok(Some((rest, output)));
        }
        left = left.saturating_sub(line.len());
        if line.is_empty() || left == 0 {
            return Ok(None);
        }
    }
}

/// The next line with its end, or as much of it as `most` bytes are.
async fn bounded_line(stream: &mut (impl AsyncBufRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(most as u64).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// Why an interpreter that never spoke did not: the words it or the way to it left, and how that ended.
async fn why_silent(mut log: BoxRead, mut end: Box<dyn End>) -> HostFailure {
    let mut words = Vec::new();
    // What cannot be read any more is missing from the message, no more.
    let _ = (&mut log).take(LAST_WORDS_BYTES).read_to_end(&mut words).await;
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    match end.ended().await {
        Ending::Lost { why } if words.is_empty() => HostFailure::Unreachable { why },
        Ending::Lost { why } => HostFailure::Unreachable { why: format!("{why}: {words}") },
        ending if words.is_empty() => no_interpreter(ending.to_string()),
        _ => no_interpreter(words),
    }
}

fn no_interpreter(why: String) -> HostFailure {
    HostFailure::Start { program: "python3".into(), source: io::Error::other(why) }
}

#[cfg(test)]
mod tests;
