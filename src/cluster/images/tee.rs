//! One stream of bytes to many readers, never more than a few pieces of it in memory.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Pieces that a reader may be behind; the engines' have some tens of kilobytes.
const BEHIND: usize = 16;

/// The end of the stream that is read.
#[derive(Debug)]
pub(super) struct Reader {
    /// What comes. It ends with an error where the whole does not come.
    pub pieces: Receiver<io::Result<Bytes>>,
    /// Cancelled where the reader has taken nothing for too long, and gets no more.
    pub given_up: CancellationToken,
}

/// The end that is written to.
#[derive(Debug)]
pub(super) struct Writer {
    pieces: Sender<io::Result<Bytes>>,
    given_up: CancellationToken,
}

/// A pair of ends.
pub(super) fn pipe() -> (Writer, Reader) {
    let (sender, receiver) = mpsc::channel(BEHIND);
    let given_up = CancellationToken::new();
    (Writer { pieces: sender, given_up: given_up.clone() }, Reader { pieces: receiver, given_up })
}

/// Hand `source` on to all `writers`, and tell of the bytes that all of them got. Who is gone is left out; who takes
/// nothing for as long as `idle` is given up, for which the others wait that long at most once.
///
/// # Errors
/// Where the source breaks off, which the readers are told too.
pub(super) async fn hand_on<E: ToString>(
    mut source: impl Stream<Item = Result<Bytes, E>> + Unpin,
    mut writers: Vec<Writer>,
    idle: Duration,
    mut tell: impl FnMut(u64),
) -> Result<(), E> {
    let mut bytes = 0;
    while !writers.is_empty() {
        let piece = match source.next().await {
            None => return Ok(()),
            Some(Ok(piece)) => piece,
            Some(Err(error)) => {
                for writer in &writers {
                    writer.send(Err(io::Error::other(error.to_string())), idle).await;
                }
                return Err(error);
            }
        };
        bytes += piece.len() as u64;
        let mut staying = Vec::new();
        for writer in writers {
            if writer.send(Ok(piece.clone()), idle).await {
                staying.push(writer);
            }
        }
        writers = staying;
        tell(bytes);
    }
    Ok(())
}

impl Writer {
    /// Whether it was taken.
    async fn send(&self, piece: io::Result<Bytes>, idle: Duration) -> bool {
        match timeout(idle, self.pieces.send(piece)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                self.given_up.cancel();
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn pieces(count: usize) -> impl Stream<Item = Result<Bytes, String>> + Unpin {
        stream::iter((0..count).map(|at| Ok(Bytes::from(vec![at as u8; 10]))))
    }

    /// All that comes, and whether it ended well.
    async fn read(mut reader: Reader) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        while let Some(piece) = reader.pieces.recv().await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece),
                Err(_) => return (all, false),
            }
        }
        (all, !reader.given_up.is_cancelled())
    }

    #[tokio::test]
    async fn everybody_gets_every_byte() {
        let (writers, readers): (Vec<_>, Vec<_>) = (0..3).map(|_| pipe()).unzip();
        let mut told = Vec::new();
        let reading = futures_util::future::join_all(readers.into_iter().map(read));
        let (handed, read) =
            tokio::join!(hand_on(pieces(100), writers, IDLE, |bytes| told.push(bytes)), reading);
        assert_eq!(handed, Ok(()));
        let all: Vec<u8> = (0..100).flat_map(|at| [at; 10]).collect();
        assert_eq!(read, vec![(all, true); 3]);
        assert_eq!(told.last(), Some(&1000));
    }

    #[tokio::test]
    async fn who_is_gone_holds_nobody_up() {
        let ((gone, reader), (writer, stays)) = (pipe(), pipe());
        drop(reader);
        let (handed, read) =
            tokio::join!(hand_on(pieces(100), vec![gone, writer], IDLE, |_| ()), read(stays));
        assert_eq!((handed, read.0.len(), read.1), (Ok(()), 1000, true));
    }

    #[tokio::test]
    async fn nobody_left_ends_it() {
        let (writer, reader) = pipe();
        drop(reader);
        let endless = stream::repeat_with(|| Ok::<_, String>(Bytes::from_static(b"x")));
        assert_eq!(hand_on(endless, vec![writer], IDLE, |_| ()).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_is_given_up_and_the_others_get_everything() {
        let ((still, held), (writer, stays)) = (pipe(), pipe());
        let begun = tokio::time::Instant::now();
        let (handed, read) =
            tokio::join!(hand_on(pieces(100), vec![still, writer], IDLE, |_| ()), read(stays));
        assert_eq!((handed, read.0.len(), read.1), (Ok(()), 1000, true));
        assert!(held.given_up.is_cancelled());
        assert!(begun.elapsed() < 2 * IDLE, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_source_that_breaks_off_is_no_end() {
        let (writer, reader) = pipe();
        let broken = pieces(3).chain(stream::iter([Err("gone".to_owned())]));
        let (handed, read) = tokio::join!(hand_on(broken, vec![writer], IDLE, |_| ()), read(reader));
        assert_eq!(handed, Err("gone".to_owned()));
        assert_eq!((read.0.len(), read.1), (30, false));
    }
}
