//! An error stream on which the launcher's own lines stand among the program's.

use memchr::memmem;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::host::BoxRead;

/// What one read takes, bytes.
const READ_BYTES: usize = 8 << 10;
/// The longest line of the launcher's own, bytes: a message of the system, no more.
const LONGEST_LINE: usize = 16 << 10;

/// What the launcher says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Said {
    Began { pid: i32 },
    Refused { errno: Option<i32>, message: String },
    Exited { exit: i32 },
    Signalled { signal: i32 },
}

/// Pass `log` on to `sink` but for what stands between `mark` and the end of its line, which is told. Ends with the
/// stream. A reader that has gone away is no reason to stop: the end is still to be told.
pub(super) async fn split(mut log: BoxRead, mark: &[u8], mut sink: DuplexStream, mut tell: impl FnMut(Said)) {
    let finder = memmem::Finder::new(mark);
    let mut held = Vec::new();
    let mut heard = true;
    loop {
        let before = held.len();
        held.resize(before + READ_BYTES, 0);
        let count = log.read(&mut held[before..]).await.unwrap_or(0);
        held.truncate(before + count);
        while let Some(at) = finder.find(&held) {
            let text = at + mark.len();
            let Some(length) = memchr::memchr(b'\n', &held[text..]) else { break };
            // A line that only looks like ours is dropped: nobody else knows the mark.
            if let Ok(said) = serde_json::from_slice(&held[text..text + length]) {
                tell(said);
            }
            let rest = held.split_off(text + length + 1);
            held.truncate(at);
            heard = heard && sink.write_all(&held).await.is_ok();
            held = rest;
        }
        // A mark may have come in part, or its line.
        let begun = finder.find(&held).filter(|at| held.len() - at <= LONGEST_LINE);
        let keep = match begun {
            _ if count == 0 => 0,
            Some(at) => held.len() - at,
            None => {
                (1..mark.len().min(held.len() + 1)).rev().find(|n| held.ends_with(&mark[..*n])).unwrap_or(0)
            }
        };
        let rest = held.split_off(held.len() - keep);
        heard = heard && sink.write_all(&held).await.is_ok();
        held = rest;
        if count == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn splits(pieces: &[&str]) -> (String, Vec<Said>) {
        let (mut writer, reader) = tokio::io::duplex(1 << 16);
        let (sink, mut passed) = tokio::io::duplex(1 << 16);
        let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        let write = async move {
            for piece in pieces {
                writer.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let mut said = Vec::new();
        let ((), ()) = tokio::join!(write, split(Box::pin(reader), b"mark:", sink, |what| said.push(what)));
        let mut text = String::new();
        passed.read_to_string(&mut text).await.unwrap();
        (text, said)
    }

    #[tokio::test]
    async fn our_lines_are_taken_out_wherever_they_stand() {
        let whole = "a\nbmark:{\"pid\":7}\nc mar\nk:mark:{\"exit\":0}\n";
        let expected = ("a\nbc mar\nk:".to_owned(), vec![Said::Began { pid: 7 }, Said::Exited { exit: 0 }]);
        assert_eq!(splits(&[whole]).await, expected);
        let letters: Vec<String> = whole.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(splits(&letters).await, expected);
        for cut in 0..whole.len() {
            assert_eq!(splits(&[&whole[..cut], &whole[cut..]]).await, expected, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_mark_without_an_end_is_passed_on() {
        assert_eq!(splits(&["mark:{\"pid\""]).await, ("mark:{\"pid\"".to_owned(), Vec::new()));
        let long = format!("mark:{}", "x".repeat(40_000));
        assert_eq!(splits(&[&long, "y\n"]).await.1, Vec::new());
    }
}
