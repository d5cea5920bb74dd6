//! A server that gives every request the same kind of answer and closes: worse than the mock can be.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

/// Listens as long as the test runs.
pub struct Canned(SocketAddr);

/// JSON with status 200.
pub fn json_answer(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Canned {
    /// Answers what `answer` makes of the request's head.
    pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        Self::serving(move |mut socket| {
            let request = head(&mut socket);
            // The client may be gone.
            let _ = socket.write_all(&answer(&request));
            let _ = socket.shutdown(Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        })
    }

    /// Answers `begin` and then blanks for as long as anybody reads.
    pub fn endless(begin: &'static [u8]) -> Self {
        Self::serving(move |mut socket| {
            head(&mut socket);
            let _ = socket.write_all(begin);
            while socket.write_all(&[b' '; 64 * 1024]).is_ok() {}
        })
    }

    fn serving(serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.incoming().for_each(|socket| serve(socket.unwrap())));
        Self(address)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// What is sent up to the empty line.
fn head(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        match socket.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
