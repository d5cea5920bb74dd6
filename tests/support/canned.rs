//! A real HTTP/1.1 server on a free port that answers what it is told and remembers what it was asked: worse than the
//! mock can be. It knows nobody's API. The library's own tests include this file too.
#![allow(dead_code, reason = "each user takes a part of this")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Listens until the test's process ends.
pub(crate) struct Canned {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

/// What somebody sent: head and body as one text.
#[derive(Debug, Clone)]
pub(crate) struct Request(pub String);

/// What is sent back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The first line and the headers, without the empty line after them; absent where `body` is all there is.
    head: Option<String>,
    body: Vec<u8>,
    /// Bytes announced beyond those of the body.
    missing: usize,
    /// Before the first byte.
    delay: Duration,
    then: Then,
}

/// What comes after the bytes.
#[derive(Debug, Clone, Copy)]
enum Then {
    HangUp,
    /// Blanks for as long as anybody reads.
    Endless,
    Silence,
}

impl Answer {
    /// These bytes and no others.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let (missing, delay, then) = (0, Duration::ZERO, Then::HangUp);
        Self { head: None, body: bytes.into(), missing, delay, then }
    }

    /// Nothing but a status, `503` or `302 Found`.
    pub(crate) fn status(status: impl std::fmt::Display) -> Self {
        let status = status.to_string();
        let reason = if status.contains(' ') { "" } else { " X" };
        Self { head: Some(format!("HTTP/1.1 {status}{reason}\r\nConnection: close")), ..Self::raw("") }
    }

    /// 200 with a body.
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let head = self.head.as_mut().expect("bytes as they are have no headers of ours");
        head.push_str(&format!("\r\n{name}: {value}"));
        self
    }

    /// Announces more than it sends.
    pub(crate) fn cut_off(self) -> Self {
        Self { missing: 100, ..self }
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn endless(self) -> Self {
        Self { then: Then::Endless, ..self }
    }

    /// Keeps the connection and says no more.
    pub(crate) fn silent(self) -> Self {
        Self { then: Then::Silence, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let Some(head) = &self.head else { return self.body.clone() };
        let head = format!("{head}\r\nContent-Length: {}\r\n\r\n", self.body.len() + self.missing);
        [head.as_bytes(), &self.body].concat()
    }
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    /// A header's value; `name` in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found.to_lowercase() == name).then_some(value.trim())
        })
    }

    /// Everything up to the end of the body, or to where the sender stopped.
    fn read(socket: &mut TcpStream) -> Self {
        let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
        while let Ok(count @ 1..) = socket.read(&mut piece) {
            bytes.extend_from_slice(&piece[..count]);
            let request = Self(String::from_utf8_lossy(&bytes).into_owned());
            let Some((_, body)) = request.0.split_once("\r\n\r\n") else { continue };
            let length = request.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0_usize);
            if body.len() >= length {
                break;
            }
        }
        Self(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Canned {
    /// Answers what `answer` makes of each request.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let request = Request::read(&mut socket);
                    log.lock().unwrap().push(request.clone());
                    // The client may hang up at any moment; that is its business.
                    let _ = send(&mut socket, &answer(&request));
                });
            }
        });
        Self { address, asked }
    }

    /// Answers by path; everything else is 404.
    pub(crate) fn paths<'a>(answers: impl IntoIterator<Item = (&'a str, Answer)>) -> Self {
        let answers: Vec<(String, Answer)> =
            answers.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect();
        Self::answering(move |request| {
            let found = answers.iter().find(|(path, _)| path == request.path());
            found.map_or_else(|| Answer::status(404).body("{\"detail\":\"Not Found\"}"), |(_, it)| it.clone())
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn send(socket: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    std::thread::sleep(answer.delay);
    socket.write_all(&answer.bytes())?;
    match answer.then {
        Then::HangUp => {}
        Then::Endless => while socket.write_all(&[b' '; 64 * 1024]).is_ok() {},
        Then::Silence => {
            socket.read_to_end(&mut Vec::new())?;
        }
    }
    // What is still being sent is read, so that closing throws away nothing of the answer.
    socket.shutdown(Shutdown::Write)?;
    socket.read_to_end(&mut Vec::new()).map(drop)
}
