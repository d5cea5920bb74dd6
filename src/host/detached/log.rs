//! A program's log, as it is written.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::order::{Order, PROGRAM};
use super::{DetachedError, DetachedId, DetachedPrograms, LIMIT};
use crate::host::ask::{last_words, program};
use crate::host::{AskError, AskFailure, BoxRead, End, Ending, HostPath, Process};
use crate::host_name::HostName;

/// The longest answer before the log itself, bytes.
const HEAD_BYTES: u64 = 64 << 10;
/// What is taken at a time, bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A program's log. Dropping it ends what reads it there.
pub(crate) struct DetachedLog {
    on: HostName,
    python: HostPath,
    said: BufReader<BoxRead>,
    /// The reader's own error stream, read where it fails.
    words: Option<BoxRead>,
    end: Box<dyn End>,
}

#[derive(Deserialize)]
struct Opened {}

impl DetachedPrograms<'_> {
    pub(super) async fn listen(
        &self,
        id: &DetachedId,
        lines: usize,
        follow: bool,
    ) -> Result<DetachedLog, DetachedError> {
        let lost = |what| self.fail(AskError { on: self.host.name().clone(), what }.into());
        let opened = async {
            let started = self.host.start(&program(&self.python, PROGRAM)).await;
            let Process { mut input, output, log, end } =
                started.map_err(|error| lost(AskFailure::Host(error)))?;
            // What does not listen tells more by its end.
            let _ = input.write_all(&self.line(&Order::Log { id, lines, follow })).await;
            let _ = input.shutdown().await;
            let (on, python) = (self.host.name().clone(), self.python.clone());
            let mut opened = DetachedLog { on, python, said: BufReader::new(output), words: Some(log), end };
            let mut head = Vec::new();
            // A stream that breaks is one that has ended: the end says why.
            let _ = (&mut opened.said).take(HEAD_BYTES).read_until(b'\n', &mut head).await;
            if head.is_empty() {
                let what = opened.failure().await;
                return Err(lost(what));
            }
            self.read::<Opened>(&head).map(|_| opened)
        };
        timeout(LIMIT, opened).await.unwrap_or_else(|_| Err(lost(AskFailure::Late { limit: LIMIT })))
    }
}

impl DetachedLog {
    /// The next piece, which is no line; none where the program has ended and all it wrote has been told. Can be given up
    /// and asked again.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, DetachedError>> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        if matches!(self.said.read_buf(&mut piece).await, Ok(1..)) {
            return Some(Ok(piece.freeze()));
        }
        // Told once.
        self.words.as_ref()?;
        match self.failure().await {
            AskFailure::Ended { ending: Ending::Exit(0), .. } => None,
            what => {
                let error = AskError { on: self.on.clone(), what };
                Some(Err(DetachedError { on: self.on.clone(), what: error.into() }))
            }
        }
    }

    /// How what reads the log there has ended.
    async fn failure(&mut self) -> AskFailure {
        /// Its streams have ended: so has it, or the link to it.
        const END_LIMIT: Duration = Duration::from_secs(10);
        let Ok(ending) = timeout(END_LIMIT, self.end.ended()).await else {
            return AskFailure::Late { limit: END_LIMIT };
        };
        let said = match self.words.take() {
            Some(words) => last_words(words).await,
            None => String::new(),
        };
        AskFailure::Ended { program: self.python.clone(), ending, said }
    }
}

impl std::fmt::Debug for DetachedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DetachedLog").field("on", &self.on).finish_non_exhaustive()
    }
}
