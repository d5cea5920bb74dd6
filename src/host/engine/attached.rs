//! A program in a container with its streams attached.
//!
//! One connection carries both of its streams in frames, which are no lines and of no size one could count on. They
//! are taken apart into two, each read at its reader's own pace; since they share the connection, whoever leaves
//! one unread for long holds up the other, and the end. The API cannot end such a program.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream, copy, duplex};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{CALL_LIMIT, Engine, EngineError, EngineFailure, OwnContainer};
use crate::host::{End, Ending, Process};

/// What is taken from each stream before its reader has read it, bytes: as much as a pipe.
const STREAM_BYTES: usize = 64 << 10;
/// How long an engine may take to note that a program whose streams have ended has ended too.
const NOTE_LIMIT: Duration = Duration::from_secs(5);
const NOTE_PAUSE: Duration = Duration::from_millis(20);
/// What an engine notes of a program that did not start, as shells do.
const NOT_RUNNABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
const DOING: &str = "run a program in a container";

impl Engine {
    /// Start `argv` in `container`, streams attached. Dropping its end lets go of it and closes its input.
    pub(super) async fn attach(
        &self,
        container: &OwnContainer,
        argv: Vec<String>,
    ) -> Result<Process, EngineError> {
        let program = argv.first().map_or("", String::as_str);
        let advice = format!("; is there a `{program}` in the image of `{}`?", container.name());
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv),
            ..CreateExecOptions::default()
        };
        let created = self.within(DOING, CALL_LIMIT, self.calls.create_exec(container.id(), options)).await?;
        let exec = match created {
            Ok(created) => created.id,
            Err(error) => {
                // Each engine has a status and words of its own for a container that does not run.
                let error = self.of_container(DOING, container.name(), error);
                let refused = matches!(error.what, EngineFailure::Refused { .. });
                return Err(match refused && !self.is_running(container).await? {
                    true => self.fail(EngineFailure::NotUp(container.name().to_owned())),
                    false => error,
                });
            }
        };
        let streams = StartExecOptions { output_capacity: Some(STREAM_BYTES), ..StartExecOptions::default() };
        let started = self.within(DOING, CALL_LIMIT, self.streams.start_exec(&exec, Some(streams))).await?;
        let started = started.map_err(|error| self.of_container(DOING, container.name(), error))?;
        let StartExecResults::Attached { output: frames, input: sink } = started else {
            // It is what `detach` asks for.
            return Err(self.fail(EngineFailure::refused(DOING, "it let go of the program at once")));
        };
        let (input, typed) = duplex(STREAM_BYTES);
        let (mut said, output) = duplex(STREAM_BYTES);
        let (mut logged, log) = duplex(STREAM_BYTES);
        let (tell, told) = watch::channel(None);
        let cut = CancellationToken::new();
        let (engine, container) = (self.clone(), container.clone());
        tokio::spawn(cut.clone().run_until_cancelled_owned(pass_input(typed, sink)));
        tokio::spawn(cut.clone().run_until_cancelled_owned(async move {
            let cut_off = take_apart(frames, &mut said, &mut logged).await.err();
            drop(said);
            let ending = engine.how_it_ended(&exec, &container, cut_off).await;
            if matches!(ending, Ending::Exit(NOT_RUNNABLE | NOT_FOUND)) {
                // Behind the engine's own words, of which each has its own.
                let _ = logged.write_all(advice.as_bytes()).await;
            }
            drop(logged);
            // Nobody may be listening any more.
            let _ = tell.send(Some(ending));
        }));
        let end = AttachedEnd { told, cut: Some(cut.drop_guard()) };
        Ok(Process {
            input: Box::pin(input),
            output: Box::pin(output),
            log: Box::pin(log),
            end: Box::new(end),
        })
    }

    /// How the program of `exec` ended, whose streams have: by themselves, or because the link was `cut_off`.
    async fn how_it_ended(&self, exec: &str, container: &OwnContainer, cut_off: Option<Error>) -> Ending {
        let lost = |error: EngineError| Ending::Lost { why: error.what.to_string() };
        if let Some(error) = cut_off {
            return lost(self.failure(DOING, error));
        }
        let until = Instant::now() + NOTE_LIMIT;
        let status = loop {
            let asked = self.within(DOING, CALL_LIMIT, self.calls.inspect_exec(exec)).await;
            let noted = match asked {
                Ok(Ok(noted)) => noted,
                Ok(Err(error)) => return lost(self.of_container(DOING, container.name(), error)),
                Err(error) => return lost(error),
            };
            match noted.exit_code {
                Some(status) if noted.running != Some(true) => break status,
                _ if Instant::now() < until => sleep(NOTE_PAUSE).await,
                _ => return Ending::Lost { why: "the engine let go of a program that still runs".into() },
            }
        };
        // A container that is stopped takes its programs with it, and they look as if they had failed by themselves.
        if status != 0 {
            match self.is_running(container).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = format!("the container `{}` has stopped", container.name());
                    return Ending::Lost { why };
                }
                Err(error) => return lost(error),
            }
        }
        Ending::Exit(i32::try_from(status).unwrap_or(i32::MAX))
    }
}

/// Pass on what is typed, and then that it has ended: the program hears that its input is closed.
async fn pass_input(mut typed: DuplexStream, mut sink: impl AsyncWrite + Unpin) {
    // A program that has closed its input, or ended, is no failure: its end is told elsewhere.
    let _ = copy(&mut typed, &mut sink).await;
    let _ = sink.shutdown().await;
}

/// Share the frames out between `output` and `log`, until they end. A reader that has gone away misses its own.
async fn take_apart(
    mut frames: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    output: &mut DuplexStream,
    log: &mut DuplexStream,
) -> Result<(), Error> {
    let mut first = true;
    while let Some(frame) = frames.next().await {
        let (stream, bytes) = match frame? {
            LogOutput::StdErr { message } => (&mut *log, message),
            LogOutput::StdOut { message } if first && is_the_engines(&message) => {
                (&mut *log, Bytes::copy_from_slice(message.trim_ascii_end()))
            }
            // The head of a frame that the link was cut in: bollard shows it as what a terminal says. There is none.
            LogOutput::Console { message } if message.first().is_some_and(|stream| *stream <= 2) => continue,
            LogOutput::StdOut { message } | LogOutput::Console { message } => (&mut *output, message),
            // What was typed comes back from terminals only.
            LogOutput::StdIn { .. } => continue,
        };
        first = false;
        let _ = stream.write_all(&bytes).await;
    }
    Ok(())
}

/// Whether Docker says with these first bytes of a program's output why there is no program.
fn is_the_engines(bytes: &[u8]) -> bool {
    bytes.starts_with(b"OCI runtime exec failed: ")
}

struct AttachedEnd {
    told: watch::Receiver<Option<Ending>>,
    /// Ends what passes the streams on.
    cut: Option<DropGuard>,
}

impl End for AttachedEnd {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async {
            let ending = self.told.wait_for(Option::is_some).await.map(|ending| ending.clone());
            let let_go = || Ending::Lost { why: "the program was let go of".into() };
            ending.ok().flatten().unwrap_or_else(let_go)
        }
        .boxed()
    }

    fn kill(&mut self) {
        self.cut = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn out(text: &str) -> Result<LogOutput, Error> {
        Ok(LogOutput::StdOut { message: Bytes::copy_from_slice(text.as_bytes()) })
    }

    fn log(text: &str) -> Result<LogOutput, Error> {
        Ok(LogOutput::StdErr { message: Bytes::copy_from_slice(text.as_bytes()) })
    }

    async fn taken_apart(frames: Vec<Result<LogOutput, Error>>) -> (String, String, Result<(), Error>) {
        let (mut said, mut output) = duplex(STREAM_BYTES);
        let (mut logged, mut errors) = duplex(STREAM_BYTES);
        let done = take_apart(stream::iter(frames), &mut said, &mut logged).await;
        drop((said, logged));
        let (mut first, mut second) = (String::new(), String::new());
        output.read_to_string(&mut first).await.unwrap();
        errors.read_to_string(&mut second).await.unwrap();
        (first, second, done)
    }

    #[tokio::test]
    async fn frames_are_shared_out_in_their_order() {
        let frames =
            vec![out("a"), log("x\ny"), out("b\nc"), log(""), log("z"), out("OCI runtime exec failed: ")];
        let (output, errors, done) = taken_apart(frames).await;
        assert_eq!((output.as_str(), errors.as_str()), ("ab\ncOCI runtime exec failed: ", "x\nyz"));
        done.unwrap();
    }

    #[tokio::test]
    async fn half_a_frames_head_is_no_output() {
        let head = LogOutput::Console { message: Bytes::from_static(b"\x01\0\0\0\0") };
        assert_eq!(taken_apart(vec![out("a"), Ok(head)]).await.0, "a");
    }

    #[tokio::test]
    async fn what_docker_says_in_a_programs_place_is_no_output() {
        let words = "OCI runtime exec failed: exec: \"python3\": executable file not found in $PATH: unknown";
        let (output, errors, _) = taken_apart(vec![out(&format!("{words}\r\n"))]).await;
        assert_eq!((output.as_str(), errors.as_str()), ("", words));
    }

    #[tokio::test]
    async fn a_cut_is_told_behind_what_came_before_it() {
        let cut = Error::IOError { err: std::io::ErrorKind::ConnectionReset.into() };
        let (output, _, done) = taken_apart(vec![out("a"), Err(cut)]).await;
        assert_eq!(output, "a");
        assert!(done.is_err());
    }

    #[tokio::test]
    async fn a_reader_who_waits_makes_the_program_wait_and_one_who_leaves_does_not() {
        let many = || stream::iter((0..100).map(|_| out(&"x".repeat(STREAM_BYTES / 10))));
        let (mut said, output) = duplex(STREAM_BYTES);
        let (mut logged, _log) = duplex(STREAM_BYTES);
        let mut work = Box::pin(take_apart(many(), &mut said, &mut logged));
        tokio::time::timeout(Duration::from_millis(20), &mut work).await.unwrap_err();
        drop(output);
        work.await.unwrap();
    }
}
