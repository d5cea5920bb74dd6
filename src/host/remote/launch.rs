//! Programs started by an interpreter.

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::log::Said;
use super::{Interpreter, START_LIMIT, after_mark, log, mark, no_interpreter, why_silent, within};
use crate::host::{BoxRead, BoxWrite, End, Ending, HostFailure, Process, Program};

const LAUNCH: &str = include_str!("launch.py");
const KILL: &str = include_str!("kill.py");
/// What the log may hold before its reader has read it, bytes: as much as a pipe.
const LOG_BYTES: usize = 64 << 10;

/// What a program may have said before it is known that it began, bytes: its launcher, or an engine, may be slow to say so.
const EARLY_BYTES: usize = 64 << 20;

#[derive(Serialize)]
struct Order<'a> {
    mark: &'a str,
    argv: &'a [String],
    directory: Option<&'a str>,
    set: BTreeMap<&'a str, &'a str>,
    unset: Vec<&'a str>,
    limit_s: Option<f64>,
}

/// What is known of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Starting,
    Refused { errno: Option<i32>, message: String },
    Running { group: i32 },
    Ended(Ending),
}

/// Start `program` by `interpreter`.
pub(super) async fn start(
    interpreter: Arc<dyn Interpreter>,
    program: &Program,
) -> Result<Process, HostFailure> {
    let mark = mark();
    let Process { mut input, output, log, end } =
        interpreter.python(LAUNCH).await.map_err(|error| error.what)?;
    // Where it cannot be told, it has ended, which the missing mark shows.
    let _ = send(&mut input, &order(program, &mark)).await;
    let mut output = match after_mark(output, &mark).await {
        Ok(Some((_, output))) => output,
        Ok(None) => {
            drop(input);
            return Err(why_silent(log, end).await);
        }
        Err(error) => return Err(HostFailure::Unreachable { why: error.to_string() }),
    };
    let (tell, mut told) = watch::channel(State::Starting);
    let (passed, sink) = tokio::io::duplex(LOG_BYTES);
    tokio::spawn(watch_over(log, end, mark, sink, tell));
    let mut early = Vec::new();
    let state = {
        let mut begun = pin!(told.wait_for(|state| *state != State::Starting));
        let mut more = true;
        loop {
            tokio::select! {
                biased;
                state = &mut begun => break state.map(|state| state.clone()),
                // Where both streams share a connection, what the program says may stand before the word that it began.
                read = output.read_buf(&mut early), if more && early.len() < EARLY_BYTES => {
                    more = matches!(read, Ok(1..));
                }
            }
        }
    };
    let output = Cursor::new(early).chain(output);
    match state {
        Ok(State::Refused { errno, message }) => {
            let source = errno.map_or_else(|| io::Error::other(message), io::Error::from_raw_os_error);
            return Err(HostFailure::Start { program: program.name().to_owned(), source });
        }
        Ok(State::Ended(Ending::Lost { why })) => return Err(HostFailure::Unreachable { why }),
        Ok(_) => {}
        Err(_) => return Err(no_interpreter("the runtime that watched over it has ended".into())),
    }
    let end = RemoteEnd { told, interpreter, killed: false };
    Ok(Process { input, output: Box::pin(output), log: Box::pin(passed), end: Box::new(end) })
}

fn order(program: &Program, mark: &str) -> Vec<u8> {
    let (set, unset) = program.changes();
    let order = Order {
        mark,
        argv: &program.argv,
        directory: program.directory.as_ref().map(|path| path.as_str()),
        set,
        unset,
        limit_s: program.limit.map(|limit| limit.as_secs_f64()),
    };
    line(&order)
}

/// One line of JSON.
pub(super) fn line(order: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(order).expect("orders are plain data");
    line.push(b'\n');
    line
}

async fn send(input: &mut BoxWrite, bytes: &[u8]) -> io::Result<()> {
    input.write_all(bytes).await?;
    input.flush().await
}

/// Pass the log on, and tell what the launcher says in it, until the way to the program has ended.
async fn watch_over(
    log: BoxRead,
    mut end: Box<dyn End>,
    mark: String,
    sink: tokio::io::DuplexStream,
    tell: watch::Sender<State>,
) {
    log::split(log, mark.as_bytes(), sink, |said| {
        tell.send_replace(match said {
            Said::Began { pid } => State::Running { group: pid },
            Said::Refused { errno, message } => State::Refused { errno, message },
            Said::Exited { exit } => State::Ended(Ending::Exit(exit)),
            Said::Signalled { signal } => State::Ended(Ending::Signal(signal)),
        });
    })
    .await;
    let way = end.ended().await;
    tell.send_if_modified(|state| {
        let known = matches!(state, State::Refused { .. } | State::Ended(_));
        if !known {
            *state = State::Ended(match way {
                Ending::Lost { why } => Ending::Lost { why },
                // The launcher itself was ended, and nobody is left who could tell.
                other => Ending::Lost { why: format!("what started the program has ended ({other})") },
            });
        }
        !known
    });
}

/// Ends the program when it is dropped.
struct RemoteEnd {
    told: watch::Receiver<State>,
    interpreter: Arc<dyn Interpreter>,
    killed: bool,
}

impl End for RemoteEnd {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async {
            match self
                .told
                .wait_for(|state| matches!(state, State::Ended(_)))
                .await
                .map(|state| state.clone())
            {
                Ok(State::Ended(ending)) => ending,
                _ => Ending::Lost { why: "the runtime that watched over the program has ended".into() },
            }
        }
        .boxed()
    }

    fn kill(&mut self) {
        let State::Running { group } = *self.told.borrow() else { return };
        if std::mem::replace(&mut self.killed, true) {
            return;
        }
        // Without a runtime the harness itself is about to end; the program hears that its log has no reader.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(kill(Arc::clone(&self.interpreter), group));
        }
    }
}

impl Drop for RemoteEnd {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Serialize)]
struct KillOrder {
    group: i32,
}

/// Where this fails the link is lost, and whoever waits for the end is told so.
async fn kill(interpreter: Arc<dyn Interpreter>, group: i32) {
    let work = async {
        let mut process = interpreter.python_at_once(KILL).await.map_err(|error| error.what)?;
        let sent = send(&mut process.input, &line(&KillOrder { group })).await;
        sent.map_err(|error| HostFailure::Unreachable { why: error.to_string() })?;
        process.end.ended().await;
        Ok(())
    };
    if let Err(error) = within(START_LIMIT, work).await {
        tracing::warn!(host = %interpreter.name(), group, "cannot end a program: {error}");
    }
}
