//! HTTP/1.1 by hand: requests in, answers out.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::scenario::Refusals;

/// A request's head may take this much.
const MAX_HEAD: usize = 64 * 1024;

/// And its body this much.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The line with a chunk's size may take this much.
const MAX_CHUNK_HEAD: usize = 1024;

/// An idle connection keeps this much of its buffer: thousands of them may have sent long prompts.
const KEPT_BUFFER: usize = 16 * 1024;

/// How long a refused client may still send.
const LINGER: Duration = Duration::from_millis(500);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) request_id: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) keep_alive: bool,
}

/// What one connection's client sends, with what was read beyond the last request.
#[derive(Debug)]
pub(super) struct Reader {
    half: OwnedReadHalf,
    unread: Vec<u8>,
}

/// What it is sent.
#[derive(Debug)]
pub(super) struct Writer {
    half: OwnedWriteHalf,
    refusals: Refusals,
}

/// Both ends of a connection.
pub(super) fn open(socket: TcpStream, refusals: Refusals) -> io::Result<(Reader, Writer)> {
    socket.set_nodelay(true)?;
    let (reader, writer) = socket.into_split();
    Ok((Reader { half: reader, unread: Vec::new() }, Writer { half: writer, refusals }))
}

/// Why there is no next request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// The client has closed, or broke off.
    Closed,
    /// What came is refused with this status and reason, and the connection closed.
    Refused(u16, &'static str),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        NoRequest::Closed
    }
}

impl Reader {
    /// The next request. `writer` is asked to say that a body may come, where the client waits for that.
    pub(super) async fn receive(&mut self, writer: &mut Writer) -> Result<Received, NoRequest> {
        let head = loop {
            if let Some(found) = parse_head(&self.unread)? {
                break found;
            }
            if self.unread.len() > MAX_HEAD {
                return Err(NoRequest::Refused(431, "the request's head is too long"));
            }
            self.more().await?;
        };
        self.unread.drain(..head.size);
        let mut request = head.request;
        if let Length::Known(length) = head.length
            && length > MAX_BODY
        {
            return Err(NoRequest::Refused(413, "the request's body is too long"));
        }
        if head.expects_continue && self.unread.is_empty() {
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match head.length {
            Length::Known(length) => {
                self.unread.reserve(length.saturating_sub(self.unread.len()));
                while self.unread.len() < length {
                    self.more().await?;
                }
                self.unread.drain(..length).collect()
            }
            Length::Chunked => self.chunks().await?,
        };
        if self.unread.is_empty() {
            self.unread.shrink_to(KEPT_BUFFER);
        }
        Ok(request)
    }

    /// Wait until the client has closed. Further requests that it sends meanwhile are kept for later.
    pub(super) async fn gone(&mut self) {
        while self.unread.len() <= MAX_HEAD {
            if self.more().await.is_err() {
                return;
            }
        }
        // It sends faster than it is answered; that it closes will be seen when that has been read.
        std::future::pending().await
    }

    /// Read and throw away, for a moment, what a refused client still sends: a socket closed with bytes unread
    /// resets the connection, and the client would never read why it was refused.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        let rest = async {
            while self.more().await.is_ok() {
                self.unread.clear();
            }
        };
        let _ = tokio::time::timeout(LINGER, rest).await;
        Ok(())
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, NoRequest> {
        let mut body = Vec::new();
        loop {
            let (start, size) = loop {
                match httparse::parse_chunk_size(&self.unread) {
                    Ok(httparse::Status::Complete((start, size))) => break (start, size),
                    Ok(httparse::Status::Partial) if self.unread.len() <= MAX_CHUNK_HEAD => {
                        self.more().await?;
                    }
                    _ => return Err(NoRequest::Refused(400, "a chunk's size does not read")),
                }
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > MAX_BODY - body.len() {
                return Err(NoRequest::Refused(413, "the request's body is too long"));
            }
            while self.unread.len() < start + size + 2 {
                self.more().await?;
            }
            body.extend_from_slice(&self.unread[start..start + size]);
            self.unread.drain(..start + size + 2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn more(&mut self) -> Result<(), NoRequest> {
        match self.half.read_buf(&mut self.unread).await? {
            0 => Err(NoRequest::Closed),
            _ => Ok(()),
        }
    }
}

impl Writer {
    /// A whole answer in JSON.
    pub(super) async fn answer_json(&mut self, status: u16, body: &Value) -> io::Result<()> {
        self.answer(status, "application/json", body.to_string().as_bytes()).await
    }

    /// A refusal in JSON.
    pub(super) async fn refuse(&mut self, status: u16, message: &str) -> io::Result<()> {
        let kind = match status {
            401 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let error = match self.refusals {
            Refusals::OpenAi => {
                json!({"error": {"message": message, "type": kind, "param": null, "code": status}})
            }
            Refusals::Flat => {
                json!({"object": "error", "message": message, "type": kind, "param": null, "code": status})
            }
        };
        self.answer_json(status, &error).await
    }

    /// A whole answer.
    pub(super) async fn answer(&mut self, status: u16, kind: &str, body: &[u8]) -> io::Result<()> {
        let retry = if matches!(status, 429 | 503) { "Retry-After: 1\r\n" } else { "" };
        let mut bytes = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\n{retry}Content-Length: {}\r\n\r\n",
            reason(status),
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes).await
    }

    /// Write bytes as they are.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await
    }

    /// Say that nothing more will come.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }

    /// Let the connection be reset when the reader closes, too: no orderly end, and unsent bytes are lost.
    pub(super) fn reset(self) -> io::Result<()> {
        self.half.as_ref().set_zero_linger()?;
        self.half.forget();
        Ok(())
    }
}

struct Head {
    request: Received,
    /// Bytes of it.
    size: usize,
    length: Length,
    expects_continue: bool,
}

enum Length {
    Known(usize),
    Chunked,
}

/// The head of a request, once it is whole.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let size = match head.parse(bytes) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(NoRequest::Refused(431, "the request has too many headers"));
        }
        Err(_) => return Err(NoRequest::Refused(400, "this is no HTTP request")),
    };
    let (mut length, mut expects_continue) = (Length::Known(0), false);
    let mut received = Received {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().split('?').next().unwrap_or_default().to_owned(),
        request_id: None,
        authorization: None,
        body: Vec::new(),
        keep_alive: head.version == Some(1),
    };
    for header in head.headers.iter() {
        // A chunked body wins over a length, RFC 9112 6.3; a proxy between would have to refuse both.
        let text = String::from_utf8_lossy(header.value).trim().to_owned();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" if !matches!(length, Length::Chunked) => {
                let known =
                    text.parse().map_err(|_| NoRequest::Refused(400, "Content-Length is no number"))?;
                length = Length::Known(known);
            }
            "transfer-encoding" if text.eq_ignore_ascii_case("chunked") => length = Length::Chunked,
            "connection" => received.keep_alive = !text.eq_ignore_ascii_case("close"),
            "expect" => expects_continue = text.eq_ignore_ascii_case("100-continue"),
            "x-request-id" => received.request_id = Some(text),
            "authorization" => received.authorization = Some(text),
            _ => {}
        }
    }
    Ok(Some(Head { request: received, size, length, expects_continue }))
}

fn reason(status: u16) -> &'static str {
    reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}
