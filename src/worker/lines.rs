//! A stream cut into lines, none of which may grow without end.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// The longest line either side of the protocol may send, bytes. The longest in use is a compile request of a whole
/// search space, about a tenth of it.
pub(super) const LONGEST_LINE: usize = 4 << 20;

/// BoundedLines of bytes: whoever writes them may write anything.
#[derive(Debug)]
pub(super) struct BoundedLines<R> {
    stream: BufReader<R>,
    longest: usize,
}

/// What comes next on the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// What was there when a line had grown too long or the stream ended. More may follow.
    Part(Vec<u8>),
}

impl<R: AsyncRead + Unpin> BoundedLines<R> {
    pub(super) fn new(stream: R, longest: usize) -> Self {
        Self { stream: BufReader::new(stream), longest }
    }

    /// The next line, or `None` at the stream's end. Given up half-way, it loses what it has read.
    pub(super) async fn next(&mut self) -> io::Result<Option<Piece>> {
        let mut line = Vec::new();
        // One byte more for the line's end.
        let most = self.longest as u64 + 1;
        (&mut self.stream).take(most).read_until(b'\n', &mut line).await?;
        Ok(match line.pop() {
            None => None,
            Some(b'\n') => Some(Piece::Whole(line)),
            Some(byte) => {
                line.push(byte);
                Some(Piece::Part(line))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_at_their_end_at_the_bound_and_with_the_stream() {
        let mut lines = BoundedLines::new(&b"ab\n\nabcd\nabcdefgh\nxy"[..], 4);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        let whole = |text: &[u8]| Piece::Whole(text.to_vec());
        let part = |text: &[u8]| Piece::Part(text.to_vec());
        assert_eq!(
            all,
            [whole(b"ab"), whole(b""), whole(b"abcd"), part(b"abcde"), whole(b"fgh"), part(b"xy")]
        );
    }

    /// A stream that never ends a line costs no more than one line.
    #[tokio::test]
    async fn a_line_without_end_is_held_up_to_the_bound() {
        let mut lines = BoundedLines::new(tokio::io::repeat(b'x'), 1000);
        let Some(Piece::Part(part)) = lines.next().await.unwrap() else { panic!("a whole line") };
        assert_eq!(part.len(), 1001);
        assert!(part.capacity() < 4096);
    }
}
