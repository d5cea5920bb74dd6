//! A server for tests that answers every path with bytes as they are given.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is written for a path, and whether the connection then stays open.
#[derive(Debug, Clone)]
pub(super) struct Canned {
    pub(super) bytes: Vec<u8>,
    /// The last bytes again and again.
    pub(super) endless: bool,
    /// Kept open, silent.
    pub(super) hang: bool,
}

/// A server that is gone with the test's runtime.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Heads and bodies of the requests so far.
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

pub(super) fn answer(status: u16, body: &str) -> Canned {
    let bytes =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    Canned { bytes: bytes.into(), endless: false, hang: false }
}

impl Server {
    pub(super) async fn start(paths: impl IntoIterator<Item = (&'static str, Canned)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let paths: Arc<HashMap<_, _>> = Arc::new(paths.into_iter().collect());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (paths, heard) = (paths.clone(), heard.clone());
                tokio::spawn(async move { serve(socket, &paths, &heard).await });
            }
        });
        Self { address, asked }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(mut socket: TcpStream, paths: &HashMap<&str, Canned>, heard: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut piece = [0; 65536];
    loop {
        let Ok(read @ 1..) = socket.read(&mut piece).await else { return };
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::trim)?.parse().ok())
            .unwrap_or(0_usize);
        if body.len() >= length {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    heard.lock().unwrap().push(text);
    let canned =
        paths.get(path.as_str()).cloned().unwrap_or_else(|| answer(404, "{\"detail\":\"Not Found\"}"));
    let mut sent = socket.write_all(&canned.bytes).await;
    while canned.endless && sent.is_ok() {
        sent = socket.write_all(&[b' '; 65536]).await;
    }
    if canned.hang {
        std::future::pending::<()>().await;
    }
    let _ = socket.shutdown().await;
}
