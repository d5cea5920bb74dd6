//! The tasks that serve a link's streams, and the lines they exchange with it.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::super::lines::{BoundedLines, LONGEST_LINE, Piece};
use super::super::protocol::{Message, Op, Request};
use crate::host::{BoxRead, BoxWrite};

/// The id of pings. Requests count from 1.
pub(super) const PING_ID: u64 = 0;

/// What came over the link.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    Garbled(String),
    TooLong(String),
}

pub(super) fn line(id: u64, op: Op) -> String {
    let mut line = serde_json::to_string(&Request { id, op }).expect("requests are plain data");
    line.push('\n');
    line
}

pub(super) fn ping() -> String {
    line(PING_ID, Op::Ping {})
}

/// Write what is to be written, and pings once the first line is through. The stream is closed when nobody has
/// anything to write any more.
pub(super) async fn write(mut stream: BoxWrite, mut lines: mpsc::Receiver<String>, after: Duration) {
    let mut begun = false;
    loop {
        let line = tokio::select! {
            biased;
            line = lines.recv() => match line {
                Some(line) => line,
                None => break,
            },
            () = sleep(after), if begun => ping(),
        };
        begun = true;
        if stream.write_all(line.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// Read lines until the stream ends. An answer to a ping has done its work when it is heard.
pub(super) async fn read(stream: BoxRead, tell: mpsc::Sender<Incoming>, heard: watch::Sender<Instant>) {
    let mut lines = BoundedLines::new(stream, LONGEST_LINE);
    loop {
        let incoming = match lines.next().await {
            Ok(Some(Piece::Whole(line))) => match serde_json::from_slice(&line) {
                Ok(message) => Incoming::Message(message),
                Err(_) => Incoming::Garbled(shorten(&line)),
            },
            Ok(Some(Piece::Part(line))) if line.len() > LONGEST_LINE => Incoming::TooLong(shorten(&line)),
            // A line without its end was cut off by whatever ended the stream.
            Ok(Some(Piece::Part(_)) | None) | Err(_) => return,
        };
        heard.send_replace(Instant::now());
        if matches!(&incoming, Incoming::Message(message) if message.of() == Some(PING_ID)) {
            continue;
        }
        let last = matches!(incoming, Incoming::TooLong(_));
        if tell.send(incoming).await.is_err() || last {
            return;
        }
    }
}

fn shorten(line: &[u8]) -> String {
    const SHOWN: usize = 200;
    // A character is no longer than four bytes.
    let begin = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN + 4)]);
    match begin.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &begin[..end]),
        None => begin.into_owned(),
    }
}
