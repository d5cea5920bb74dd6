//! The heads of requests and answers: HTTP/1.1 by httparse, and by hand what little is sent.

use std::fmt::Write as _;

use super::framing::Framing;

/// Headers an answer may have.
const MAX_HEADERS: usize = 100;

/// Bytes its head may have.
const MAX_HEAD: usize = 64 * 1024;

/// An answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// The server's words for it.
    pub(super) reason: String,
    /// Content-Type, as it came.
    pub(super) content_type: Vec<u8>,
    pub(super) framing: Framing,
    /// Whether the connection can serve another request after the body.
    pub(super) keeps_alive: bool,
}

/// A head, or that there is none yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// More bytes are needed.
    Partial,
    /// Its first bytes, so many, are an interim answer (1xx): the one that counts is still to come.
    Interim(usize),
    /// Its first bytes, so many, are the head.
    Whole(usize, Head),
}

/// Bytes that are no head of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    #[error("{0}")]
    NoHttp(#[from] httparse::Error),
    #[error("its head is longer than {MAX_HEAD} bytes")]
    TooLong,
    #[error("its {0} cannot be read")]
    Header(&'static str),
    #[error("it switches to another protocol")]
    Upgrade,
}

/// Read the head that `bytes` begin with.
pub(super) fn read(bytes: &[u8]) -> Result<Read, BadHead> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let size = match parsed.parse(bytes)? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial if bytes.len() > MAX_HEAD => return Err(BadHead::TooLong),
        httparse::Status::Partial => return Ok(Read::Partial),
    };
    let status = parsed.code.unwrap_or_default();
    match status {
        101 => return Err(BadHead::Upgrade),
        100..=199 => return Ok(Read::Interim(size)),
        _ => {}
    }
    let values = |name: &'static str| {
        let named = parsed.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    };
    let has_token = |name, token: &str| {
        let mut tokens = values(name).flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    let framing = match values("transfer-encoding").next_back() {
        _ if matches!(status, 204 | 304) => Framing::Length(0),
        // The last coding decides; one that is not chunked ends with the connection.
        Some(codings) => match codings.rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii) {
            Some(last) if last.eq_ignore_ascii_case(b"chunked") => Framing::chunked(),
            _ => Framing::UntilClose,
        },
        None => length(values("content-length"))?.map_or(Framing::UntilClose, Framing::Length),
    };
    let keeps_alive = match parsed.version {
        Some(1) => !has_token("connection", "close"),
        _ => has_token("connection", "keep-alive"),
    };
    let head = Head {
        status,
        reason: parsed.reason.unwrap_or_default().to_owned(),
        content_type: values("content-type").next().unwrap_or_default().to_vec(),
        keeps_alive: keeps_alive && framing != Framing::UntilClose,
        framing,
    };
    Ok(Read::Whole(size, head))
}

/// The one length that all values name.
fn length<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<u64>, BadHead> {
    let mut found = None;
    // A list of equal values stands for one (RFC 9112, 6.3).
    for value in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let digits = value.trim_ascii();
        let length = Some(digits)
            .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .ok_or(BadHead::Header("Content-Length"))?;
        if found.is_some_and(|found| found != length) {
            return Err(BadHead::Header("Content-Length"));
        }
        found = Some(length);
    }
    Ok(found)
}

/// What every request to a server begins with.
#[derive(Clone)]
pub(super) struct RequestHead(String);

/// It may hold a key.
impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestHead(..)")
    }
}

impl RequestHead {
    /// For `path`, which no space or control character may be in.
    pub(super) fn post(path: &str) -> Self {
        Self(format!("POST {path} HTTP/1.1\r\n"))
    }

    /// One header more; false where its value cannot be sent.
    #[must_use]
    pub(super) fn set(&mut self, name: &str, value: &str) -> bool {
        let fits = is_value(value);
        if fits {
            // Writing to a text cannot fail.
            let _ = write!(self.0, "{name}: {value}\r\n");
        }
        fits
    }

    /// The bytes of a request with this id and body; None where the id cannot be sent.
    pub(super) fn request(&self, id: &str, body: &[u8]) -> Option<Vec<u8>> {
        let own = format!("x-request-id: {id}\r\ncontent-length: {}\r\n\r\n", body.len());
        is_value(id).then(|| [self.0.as_bytes(), own.as_bytes(), body].concat())
    }
}

/// Whether a header may have it: visible ASCII, spaces and tabs, and the upper half that servers pass on.
fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let bytes = format!("HTTP/1.1 200 OK\r\n{text}\r\n");
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes.as_bytes()[..cut]).unwrap(), Read::Partial, "{cut} bytes of {bytes:?}");
        }
        match read((bytes.clone() + "body").as_bytes()).unwrap() {
            Read::Whole(size, head) => {
                assert_eq!(size, bytes.len());
                head
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_body_ends_where_the_head_says() {
        for (headers, framing, keeps_alive) in [
            ("Transfer-Encoding: chunked\r\n", Framing::chunked(), true),
            ("transfer-encoding: gzip, Chunked\r\ncontent-length: 3\r\n", Framing::chunked(), true),
            ("transfer-encoding: gzip\r\n", Framing::UntilClose, false),
            ("CONTENT-LENGTH: 12\r\n", Framing::Length(12), true),
            (
                "content-length: 12, 12\r\ncontent-length: 12\r\nconnection: x, Close\r\n",
                Framing::Length(12),
                false,
            ),
            ("", Framing::UntilClose, false),
        ] {
            let head = head(headers);
            assert_eq!((head.framing, head.keeps_alive), (framing, keeps_alive), "{headers}");
        }
    }

    #[test]
    fn what_else_matters_is_read() {
        let found = head("content-type: text/event-stream; charset=utf-8\r\ncontent-length: 0\r\n");
        assert_eq!((found.status, found.reason.as_str()), (200, "OK"));
        assert_eq!(found.content_type, b"text/event-stream; charset=utf-8");
        assert_eq!(head("").content_type, b"");
        let whole = |bytes: &str| match read(bytes.as_bytes()).unwrap() {
            Read::Whole(_, head) => head,
            other => panic!("{other:?}"),
        };
        assert_eq!(whole("HTTP/1.1 304 Not Modified\r\n\r\n").framing, Framing::Length(0));
        let old = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n";
        assert!(!whole(&format!("{old}\r\n")).keeps_alive);
        assert!(whole(&format!("{old}connection: Keep-Alive\r\n\r\n")).keeps_alive);
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(read(format!("{interim}HTTP").as_bytes()).unwrap(), Read::Interim(interim.len()));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bad in [
            "\0\x01 garbage\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD));
        assert_eq!(read(endless.as_bytes()), Err(BadHead::TooLong));
    }

    #[test]
    fn a_request_is_its_head_and_its_body() {
        let mut head = RequestHead::post("/v1/x");
        assert!(head.set("host", "a:1"));
        assert!(!head.set("authorization", "a\r\nb"), "no header is smuggled in");
        let sent = String::from_utf8(head.request("id-1", b"{}").unwrap()).unwrap();
        assert_eq!(
            sent,
            "POST /v1/x HTTP/1.1\r\nhost: a:1\r\nx-request-id: id-1\r\ncontent-length: 2\r\n\r\n{}"
        );
        assert_eq!(head.request("a\nb", b""), None);
        assert!(!format!("{head:?}").contains("a:1"));
    }
}
