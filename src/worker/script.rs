//! A runtime's own tuning script on a host: one process in a folder of its own, of which nothing stays behind.
//!
//! `worker/node/stock.py` looks after it there and says how. Both sides take the other for gone after a time without a
//! byte, as with workers, and for the same reason.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::lines::{BoundedLines, Piece};
use super::log::Log;
use crate::host::{BoxWrite, Host, HostPath, Process, Program, ShellLine, Variable};

const CODE: &str = include_str!("../../worker/node/stock.py");

/// What stands for the script's folder in words and values.
pub(crate) const FOLDER: &str = "{folder}";

/// Where the folders of a user's scripts are kept on a host: short, because Ray puts sockets below it, whose paths may have
/// 107 bytes (unix(7)).
pub(crate) const HOME: &str = "/tmp";

/// How long a script lives without hearing from its harness.
const LEASH: Duration = Duration::from_secs(30);
/// How often the harness says that it is there.
const BEAT: Duration = Duration::from_secs(5);
/// How long whoever looks after a script may say nothing: it speaks every two seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the end of a script that is not wanted any more may take: killing has a limit of 20 s there.
const STOP: Duration = Duration::from_secs(30);
/// Eight files of a megabyte, written as JSON.
const LONGEST_LINE: usize = 32 << 20;

/// A script to run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ScriptOrder {
    /// Below which folder of the host its own lies, beside those of the user's other scripts: [`HOME`].
    pub home: String,
    /// Files to lay out below the folder first, by path.
    pub files: BTreeMap<String, String>,
    /// The program and its arguments; [`FOLDER`] stands for the folder.
    pub program: Vec<String>,
    /// Variables on top of the host's own; none: not there.
    pub environment: BTreeMap<String, Option<String>>,
    /// How long it may write nothing before it counts as hung.
    #[serde(rename = "silence_s", serialize_with = "seconds")]
    pub silence: Duration,
}

fn seconds<S: serde::Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

/// A script that came to an end which was seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct EndedScript {
    /// How.
    pub how: ScriptEnd,
    /// The JSON files it wrote, by name.
    pub files: BTreeMap<String, String>,
    /// The end of its output.
    pub log: String,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScriptEnd {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It wrote nothing for too long, and was killed.
    Silent,
    /// Nobody seemed to want it any more, and it was killed.
    Unwanted,
}

/// How it went with a script.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It ended.
    Ended(EndedScript),
    /// It could not be started, or the way to it was lost.
    Lost {
        /// What is known.
        why: String,
    },
    /// The user stopped it, and it has ended before it was done.
    Interrupted,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Message {
    Began { folder: String },
    Heard { line: Option<String> },
    Ended(EndedScript),
}

impl fmt::Display for ScriptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptEnd::Exit(status) => write!(f, "exit status: {status}"),
            ScriptEnd::Signal(signal) => write!(f, "signal: {signal}"),
            ScriptEnd::Silent => f.write_str("killed, because it said nothing"),
            ScriptEnd::Unwanted => f.write_str("killed, because its harness was not heard of"),
        }
    }
}

impl ScriptOrder {
    /// The command a person would type for the same on `host`, in a folder of theirs.
    pub(crate) fn as_shell(&self, host: &dyn Host) -> ShellLine {
        let (name, arguments) = self.program.split_first().map_or(("", &[][..]), |(name, rest)| (name, rest));
        let mut program = Program::new(name, arguments.iter().cloned());
        for (name, value) in &self.environment {
            program = program.with(name, value.clone().map_or(Variable::Unset, Variable::Set));
        }
        host.as_shell(&program)
    }
}

/// Run a script with `python` looking after it. `hear` is told the last line of its output, every few seconds.
pub(crate) async fn run(
    host: &dyn Host,
    python: &HostPath,
    order: &ScriptOrder,
    cancel: &CancellationToken,
    mut hear: impl FnMut(Option<String>),
) -> Attempt {
    let lost = |why: String| Attempt::Lost { why };
    // Isolated: what the user's environment and folders say about Python is for the script alone.
    let program = Program::new(python.as_str(), ["-I", "-c", CODE]);
    // Not given up half-way: it could not be ended then.
    let Process { input, output, log, mut end } = match host.start(&program).await {
        Ok(process) => process,
        Err(error) => return lost(error.to_string()),
    };
    let words = Log::default();
    let logging = tokio::spawn(words.clone().keep(log, host.name().clone()));
    let mut input = Some(input);
    let mut lines = BoundedLines::new(output, LONGEST_LINE);
    // A reader of its own: a line that is given up half-way would be lost.
    let (sender, mut messages) = tokio::sync::mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        while let Ok(Some(Piece::Whole(line))) = lines.next().await {
            let Ok(message) = serde_json::from_slice::<Message>(&line) else { break };
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    let mut interrupted = false;
    if !written(&mut input, &first_line(order), SILENCE).await {
        input = None;
    }
    let mut beat = tokio::time::interval(BEAT);
    let mut until = tokio::time::Instant::now() + SILENCE;
    let attempt = loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(Message::Began { folder }) => tracing::debug!(host = %host.name(), folder, "a script runs"),
                Some(Message::Heard { line }) => hear(line),
                // What it had done by then is done.
                Some(Message::Ended(ended)) if interrupted => break match ended.how {
                    ScriptEnd::Exit(0) => Attempt::Ended(ended),
                    _ => Attempt::Interrupted,
                },
                Some(Message::Ended(ended)) if ended.how == ScriptEnd::Unwanted => {
                    break lost(format!("the script was {}", ended.how));
                }
                Some(Message::Ended(ended)) => break Attempt::Ended(ended),
                None if interrupted => break Attempt::Interrupted,
                None => {
                    let ending = tokio::time::timeout(STOP, end.ended()).await;
                    let ending = ending.map_or("no answer".to_owned(), |ending| ending.to_string());
                    break lost(format!("{ending}{words}"));
                }
            },
            _ = beat.tick(), if input.is_some() => {
                if !written(&mut input, b"\n", BEAT).await {
                    input = None;
                }
                continue;
            }
            () = cancel.cancelled(), if !interrupted => {
                // The end of its input tells it.
                (interrupted, input) = (true, None);
                until = tokio::time::Instant::now() + STOP;
                continue;
            }
            () = tokio::time::sleep_until(until) => {
                end.kill();
                break match interrupted {
                    true => Attempt::Interrupted,
                    false => lost(format!("nothing heard for {} s", SILENCE.as_secs())),
                };
            }
        }
        if !interrupted {
            until = tokio::time::Instant::now() + SILENCE;
        }
    };
    reading.abort();
    logging.abort();
    attempt
}

/// Whether `bytes` could be written in time.
async fn written(input: &mut Option<BoxWrite>, bytes: &[u8], limit: Duration) -> bool {
    let Some(stream) = input else { return false };
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    matches!(tokio::time::timeout(limit, writing).await, Ok(Ok(())))
}

fn first_line(order: &ScriptOrder) -> Vec<u8> {
    #[derive(Serialize)]
    struct Order<'a> {
        #[serde(flatten)]
        order: &'a ScriptOrder,
        leash_s: f64,
    }
    let order = Order { order, leash_s: LEASH.as_secs_f64() };
    let mut line = serde_json::to_vec(&order).expect("plain data always serialises");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
