//! Where an HTTP/1.1 answer's body ends, and which of the bytes are its: RFC 9112, sections 6 and 7.
//!
//! Bytes may be split anywhere, and none are kept: what belongs to the body is given on where it lies.

/// A size line with more digits than any size has.
const MAX_DIGITS: u32 = 16;

/// Bytes of extensions behind a chunk's size, or of trailers, that are stepped over. None are known to be sent.
const MAX_ASIDE: usize = 16 * 1024;

/// How a body is delimited, and how far it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    /// Everything until the connection closes.
    UntilClose,
    /// Chunks, each behind its size.
    Chunked(Chunked),
}

/// Place in a chunked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Bytes stepped over in extensions and trailers.
    aside: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        size: u64,
        digits: u32,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk.
    Trailer,
    TrailerLine,
    LastLf,
    Over,
}

/// Bytes that are no body of this framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadFraming(&'static str);

impl Framing {
    pub(super) fn chunked() -> Self {
        Framing::Chunked(Chunked { state: State::Size { size: 0, digits: 0 }, aside: 0 })
    }

    /// Whether nothing more of the body can come.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Framing::Length(left) => *left == 0,
            Framing::UntilClose => false,
            Framing::Chunked(chunked) => chunked.state == State::Over,
        }
    }

    /// Whether the body is whole if the connection closes now.
    pub(super) fn may_end(&self) -> bool {
        *self == Framing::UntilClose || self.is_over()
    }

    /// The next bytes of the body in `bytes`, which is shortened by what was read; None once it is used up or
    /// the body is over. What is left then lies behind the body.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadFraming> {
        match self {
            Framing::Length(left) => Ok(take(bytes, left)),
            Framing::UntilClose => Ok(take(bytes, &mut { u64::MAX })),
            Framing::Chunked(chunked) => chunked.next(bytes),
        }
    }
}

/// Up to `left` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], left: &mut u64) -> Option<&'a [u8]> {
    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (taken, rest) = bytes.split_at(size);
    *bytes = rest;
    *left -= size as u64;
    (size > 0).then_some(taken)
}

impl Chunked {
    fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadFraming> {
        loop {
            if let State::Data { left } = &mut self.state {
                let taken = take(bytes, left);
                if *left == 0 {
                    self.state = State::DataCr;
                }
                if taken.is_some() {
                    return Ok(taken);
                }
            }
            if self.state == State::Over {
                return Ok(None);
            }
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(None) };
            *bytes = rest;
            self.state = self.step(byte)?;
        }
    }

    /// The state after one byte that is not data.
    fn step(&mut self, byte: u8) -> Result<State, BadFraming> {
        let aside = |aside: &mut usize, state: State| {
            *aside += 1;
            if *aside > MAX_ASIDE {
                Err(BadFraming("chunk extensions or trailers without an end"))
            } else {
                Ok(state)
            }
        };
        match (self.state, byte) {
            (State::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == MAX_DIGITS {
                    return Err(BadFraming("a chunk's size is no size"));
                }
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Size { digits: 0, .. }, _) => Err(BadFraming("a chunk's size is no number")),
            (State::Size { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            // Some servers end lines with LF alone, which readers may accept.
            (State::Size { size, .. } | State::SizeLf { size } | State::Extension { size }, b'\n') => {
                Ok(if size == 0 { State::Trailer } else { State::Data { left: size } })
            }
            (State::Size { size, .. }, b';' | b' ' | b'\t') => Ok(State::Extension { size }),
            (State::Size { .. }, _) => Err(BadFraming("a chunk's size is no number")),
            (State::SizeLf { .. }, _) => Err(BadFraming("a chunk's size has no end of line")),
            (State::Extension { size }, _) => aside(&mut self.aside, State::Extension { size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataCr | State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::DataCr | State::DataLf, _) => Err(BadFraming("a chunk is longer than its size")),
            (State::Trailer, b'\r') => Ok(State::LastLf),
            (State::Trailer | State::LastLf, b'\n') => Ok(State::Over),
            (State::LastLf, _) => Err(BadFraming("the last chunk has no end of line")),
            (State::TrailerLine, b'\n') => Ok(State::Trailer),
            (State::Trailer | State::TrailerLine, _) => aside(&mut self.aside, State::TrailerLine),
            // Neither takes a byte.
            (state @ (State::Data { .. } | State::Over), _) => Ok(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a body comes to when it is fed in these pieces; what lies behind it; whether it may end there.
    fn read(mut framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), BadFraming> {
        let (mut body, mut behind) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut bytes = *piece;
            while let Some(data) = framing.next(&mut bytes)? {
                body.extend_from_slice(data);
            }
            behind.extend_from_slice(bytes);
        }
        Ok((body, behind, framing.may_end()))
    }

    fn chunks(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>, bool), BadFraming> {
        let whole = read(Framing::chunked(), &[bytes]);
        for at in 0..=bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert_eq!(read(Framing::chunked(), &[one, two]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(Framing::chunked(), &single), whole, "byte by byte");
        whole
    }

    #[test]
    fn chunks_are_joined_wherever_they_are_split() {
        let whole = |body: &str, behind: &str| Ok((body.into(), behind.into(), true));
        assert_eq!(chunks(b"5\r\nhello\r\n0\r\n\r\n"), whole("hello", ""));
        assert_eq!(
            chunks(b"5\r\nhello\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\nHTTP"),
            whole("hello0123456789", "HTTP")
        );
        assert_eq!(
            chunks(b"a \t\n\r\n0\r\n\r\n0\r\n\n0\nTrailer: x\r\nOther: y\r\n\r\n!"),
            whole("\r\n0\r\n\r\n0\r\n", "!")
        );
        assert_eq!(chunks(b"0\r\n\r\n"), whole("", ""));
    }

    #[test]
    fn what_does_not_end_may_not_end() {
        for cut in
            ["", "5", "5\r", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\n\r", "0\r\nT: x\r\n"]
        {
            assert!(!chunks(cut.as_bytes()).unwrap().2, "{cut:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for (bad, why) in [
            ("no chunk\r\n", "no number"),
            ("\r\n", "no number"),
            ("-1\r\n", "no number"),
            ("5x\r\n", "no number"),
            ("12345678901234567\r\n", "no size"),
            ("5\rx", "end of line"),
            ("2\r\nhello", "longer than its size"),
            ("0\r\n\rx", "end of line"),
        ] {
            let error = chunks(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
        let endless = [b"0\r\n".to_vec(), b"x: y\r\n".repeat(MAX_ASIDE)].concat();
        assert!(read(Framing::chunked(), &[&endless]).is_err());
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        assert_eq!(read(Framing::Length(3), &[b"ab", b"cd"]), Ok((b"abc".into(), b"d".into(), true)));
        assert_eq!(read(Framing::Length(3), &[b"ab"]), Ok((b"ab".into(), vec![], false)));
        assert_eq!(read(Framing::Length(0), &[b"x"]), Ok((vec![], b"x".into(), true)));
        assert_eq!(read(Framing::UntilClose, &[b"ab", b"cd"]), Ok((b"abcd".into(), vec![], true)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_body_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let (one, two) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(read(Framing::chunked(), &[one, two]), read(Framing::chunked(), &[&bytes]));
        }

        #[test]
        fn what_was_chunked_comes_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8), at in 0usize..400) {
            let mut sent = Vec::new();
            for piece in &pieces {
                sent.extend(format!("{:X}\r\n", piece.len()).into_bytes());
                sent.extend(piece);
                sent.extend(b"\r\n");
            }
            sent.extend(b"0\r\n\r\nnext");
            let (one, two) = sent.split_at(at.min(sent.len()));
            prop_assert_eq!(read(Framing::chunked(), &[one, two]), Ok((pieces.concat(), b"next".to_vec(), true)));
        }
    }
}
