//! A look-alike of the hub for tests: a real HTTP/1.1 server on a free port that answers from a
//! table, and remembers what it was asked. It is not the hub, and knows nothing of its API beyond
//! status codes and headers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Before the first byte.
    pub delay: Duration,
    /// Announce more bytes than are sent, and hang up.
    pub cut_off: bool,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// One request: its path and its headers, names in lower case.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub path: String,
    pub headers: HashMap<String, String>,
}

/// The running server. Its thread ends with the test process.
pub(super) struct LookAlikeHub {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl LookAlikeHub {
    /// Serve `answers` by path; everything else is 404.
    pub(super) fn start(answers: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers: HashMap<String, Answer> =
            answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log) = (answers.clone(), Arc::clone(&log));
                std::thread::spawn(move || {
                    // The client may hang up at any moment; that is its business.
                    let _ = serve(stream, &answers, &log);
                });
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &HashMap<String, Answer>,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    log.lock().unwrap().push(Asked { path: path.clone(), headers });
    let answer = answers.get(&path).cloned().unwrap_or_else(|| Answer::status(404));
    std::thread::sleep(answer.delay);
    let length = answer.body.len() + if answer.cut_off { 100 } else { 0 };
    let mut head =
        format!("HTTP/1.1 {} X\r\nconnection: close\r\ncontent-length: {length}\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(&answer.body)
}
