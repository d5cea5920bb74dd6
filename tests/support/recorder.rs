//! Stands between a client and a server, passes everything on, and remembers the requests.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Where to, without the server.
    pub path: String,
    /// The body as JSON; null where there is none.
    pub body: Value,
}

/// What came over one connection.
type Heard = Arc<Mutex<Vec<u8>>>;

/// Listens as long as the test runs.
pub struct Recorder {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Recorder {
    /// Stand before the server at `url`.
    pub fn before(url: &str) -> Self {
        let server: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = heard.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                let bytes = Heard::default();
                all.lock().unwrap().push(bytes.clone());
                let (back_from, back_to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pass(client, upstream, |part| bytes.lock().unwrap().extend(part)));
                std::thread::spawn(move || pass(back_from, back_to, |_| {}));
            }
        });
        Self { address, heard }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, connection by connection.
    pub fn sent(&self) -> Vec<Sent> {
        self.heard.lock().unwrap().iter().flat_map(|bytes| requests(&bytes.lock().unwrap())).collect()
    }

    /// Those for streams: what is measured, and the warm-up.
    pub fn streams(&self) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.body["stream"] == true).collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        note(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Either side may have gone already.
    let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}

fn requests(mut bytes: &[u8]) -> Vec<Sent> {
    let mut found = Vec::new();
    while let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let end = at + 4 + length.unwrap_or(0);
        let Some(body) = bytes.get(at + 4..end) else { break };
        let path = head.split(' ').nth(1).unwrap().to_owned();
        found.push(Sent { path, body: serde_json::from_slice(body).unwrap_or(Value::Null) });
        bytes = &bytes[end..];
    }
    found
}
