//! HTTP/1.1 by hand: requests in, answers out.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request's head may take this much.
const MAX_HEAD: usize = 64 * 1024;

/// And its body this much.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Between the pieces of a split write, so that they do not meet again in the client's socket.
const SPLIT_PAUSE: Duration = Duration::from_micros(200);

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

/// Bytes from one connection, with what was read beyond the last request.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    unread: Vec<u8>,
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

impl Connection {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, unread: Vec::new() }
    }

    /// The next request.
    pub(super) async fn receive(&mut self) -> Result<Received, NoRequest> {
        let (mut request, head, length) = loop {
            if let Some(found) = parse_head(&self.unread)? {
                break found;
            }
            if self.unread.len() > MAX_HEAD {
                return Err(NoRequest::Refused(431, "the request's head is too long"));
            }
            self.more().await?;
        };
        self.unread.drain(..head);
        request.body = match length {
            Length::Known(length) if length > MAX_BODY => {
                return Err(NoRequest::Refused(413, "the request's body is too long"));
            }
            Length::Known(length) => {
                while self.unread.len() < length {
                    self.more().await?;
                }
                self.unread.drain(..length).collect()
            }
            Length::Chunked => self.chunks().await?,
        };
        Ok(request)
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, NoRequest> {
        let mut body = Vec::new();
        loop {
            let (start, size) = loop {
                match httparse::parse_chunk_size(&self.unread) {
                    Ok(httparse::Status::Complete((start, size))) => break (start, size as usize),
                    Ok(httparse::Status::Partial) => self.more().await?,
                    Err(_) => return Err(NoRequest::Refused(400, "a chunk's size does not read")),
                }
            };
            if body.len() + size > MAX_BODY {
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
        match self.socket.read_buf(&mut self.unread).await? {
            0 => Err(NoRequest::Closed),
            _ => Ok(()),
        }
    }

    /// A whole answer in JSON.
    pub(super) async fn answer_json(&mut self, status: u16, body: &Value) -> io::Result<()> {
        self.answer(status, "application/json", body.to_string().as_bytes()).await
    }

    /// A refusal in OpenAI's shape.
    pub(super) async fn refuse(&mut self, status: u16, message: &str) -> io::Result<()> {
        let kind = if status == 401 { "authentication_error" } else { "invalid_request_error" };
        let error = json!({"error": {"message": message, "type": kind, "code": status}});
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
        self.socket.write_all(&bytes).await
    }

    /// Write bytes as they are, in one piece or in pieces of `split` bytes.
    pub(super) async fn write(&mut self, bytes: &[u8], split: Option<usize>) -> io::Result<()> {
        let Some(size) = split else {
            return self.socket.write_all(bytes).await;
        };
        for piece in bytes.chunks(size.max(1)) {
            self.socket.write_all(piece).await?;
            tokio::time::sleep(SPLIT_PAUSE).await;
        }
        Ok(())
    }
}

enum Length {
    Known(usize),
    Chunked,
}

/// The head of a request, once it is whole: what it says, its length in bytes, its body's.
fn parse_head(bytes: &[u8]) -> Result<Option<(Received, usize, Length)>, NoRequest> {
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
    let mut length = Length::Known(0);
    let mut received = Received {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().split('?').next().unwrap_or_default().to_owned(),
        request_id: None,
        authorization: None,
        body: Vec::new(),
        keep_alive: head.version == Some(1),
    };
    for header in head.headers.iter() {
        let text = String::from_utf8_lossy(header.value).trim().to_owned();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let known =
                    text.parse().map_err(|_| NoRequest::Refused(400, "Content-Length is no number"))?;
                length = Length::Known(known);
            }
            "transfer-encoding" if text.eq_ignore_ascii_case("chunked") => length = Length::Chunked,
            "connection" => received.keep_alive = !text.eq_ignore_ascii_case("close"),
            "x-request-id" => received.request_id = Some(text),
            "authorization" => received.authorization = Some(text),
            _ => {}
        }
    }
    Ok(Some((received, size, length)))
}

fn reason(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}
