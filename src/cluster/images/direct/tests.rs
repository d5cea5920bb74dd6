//! The program on this machine as both nodes, between look-alikes of engines.

use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::cluster::connect;
use crate::cluster::inventory::Inventory;
use crate::host::ssh::SshConnections;

const LOADED: &str = r#"{"stream":"Loaded image: a:b\n"}"#;

/// Something at an engine's socket that says `answer` to whoever has sent a whole request, and keeps the request.
struct LookAlike {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    request: tokio::task::JoinHandle<Vec<u8>>,
}

impl LookAlike {
    fn saying(answer: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let request = tokio::spawn(async move {
            let (mut stream, _): (UnixStream, _) = listener.accept().await.unwrap();
            let (mut held, mut piece) = (Vec::new(), vec![0; 65536]);
            let is_whole = |held: &[u8]| match held.starts_with(b"GET ") {
                true => held.ends_with(b"\r\n\r\n"),
                false => held.ends_with(b"\r\n0\r\n\r\n"),
            };
            while !is_whole(&held) {
                match stream.read(&mut piece).await.unwrap() {
                    0 => return held,
                    read => held.extend_from_slice(&piece[..read]),
                }
            }
            let _ = stream.write_all(answer.as_bytes()).await;
            held
        });
        Self { _folder: folder, socket, request }
    }

    /// One that has an image of these bytes.
    fn with(image: &str) -> Self {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Self::saying(format!("{head}{:x}\r\n{image}\r\n0\r\n\r\n", image.len()))
    }

    /// One that says this to an image it is sent.
    fn loading(said: &str) -> Self {
        Self::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len()))
    }
}

/// This machine as a node called `name`, with an engine at `socket`.
async fn node(name: &str, socket: &Path) -> Connected {
    let text = format!(
        "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"{name}\"\nrole = \"head\"\nlocal = true\n\
         engine_url = \"unix://{}\"\n",
        socket.display()
    );
    let inventory = Inventory::parse(Path::new("/lab/sparks.toml"), &text).unwrap();
    connect::connect(&inventory.nodes[0], &SshConnections::default()).await.unwrap()
}

async fn handed(giver: &Path, takers: &[&Path]) -> (Vec<Result<Vec<String>, NotTaken>>, u64) {
    let giver = node("giver", giver).await;
    let takers: Vec<Connected> = join_all(takers.iter().map(|socket| node("taker", socket))).await;
    let here: IpAddr = "127.0.0.1".parse().unwrap();
    let meeting = Meeting { at: here, from: here };
    let takers: Vec<Taker<'_>> = takers.iter().map(|node| Taker { node, meeting }).collect();
    let mut sent = 0;
    let handed = hand_over(&"a:b".parse().unwrap(), &giver, &takers, |bytes| sent = bytes).await;
    (handed, sent)
}

#[tokio::test]
async fn every_node_has_what_one_node_had() {
    let image = "x".repeat(200_000);
    let (source, first, second) =
        (LookAlike::with(&image), LookAlike::loading(LOADED), LookAlike::loading(LOADED));
    let (taken, sent) = handed(&source.socket, &[&first.socket, &second.socket]).await;
    assert_eq!((taken, sent), (vec![Ok(vec!["a:b".to_owned()]); 2], 200_000));
    for target in [first, second] {
        let request = target.request.await.unwrap();
        assert!(request.starts_with(b"POST /images/load "), "{}", String::from_utf8_lossy(&request[..100]));
        assert_eq!(request.iter().filter(|byte| **byte == b'x').count(), 1 + image.len(), "one in `x-tar`");
    }
    let request = String::from_utf8(source.request.await.unwrap()).unwrap();
    assert!(request.starts_with("GET /images/get?names=a%3Ab "), "{request}");
}

#[tokio::test]
async fn an_engine_that_says_no_is_told_from_a_way_that_fails() {
    let (source, full) = (LookAlike::with("image"), LookAlike::loading(r#"{"error":"no space left"}"#));
    let none = PathBuf::from("/none/there.sock");
    let (taken, _) = handed(&source.socket, &[&full.socket, &none]).await;
    assert_eq!(taken[0], Err(NotTaken::Refused("no space left".into())));
    assert!(matches!(&taken[1], Err(NotTaken::Lost(why)) if why.contains("No such file")), "{taken:?}");
}

#[tokio::test]
async fn a_node_that_has_nothing_to_give_keeps_nobody() {
    let none = PathBuf::from("/none/there.sock");
    let target = LookAlike::loading(LOADED);
    let (taken, sent) = handed(&none, &[&target.socket]).await;
    assert!(
        matches!(&taken[..], [Err(NotTaken::Lost(why))] if why.starts_with("giver: ") && why.contains("No such file")),
        "{taken:?}"
    );
    assert_eq!(sent, 0);
    assert!(!target.request.await.unwrap().ends_with(b"0\r\n\r\n"), "it was told that this is all");
}

#[tokio::test]
async fn a_node_that_cannot_listen_is_named() {
    let source = LookAlike::with("image");
    let giver = node("giver", &source.socket).await;
    let taker = node("taker", &source.socket).await;
    // For documentation alone (RFC 5737), so no machine's.
    let at = "192.0.2.1".parse().unwrap();
    let takers = [Taker { node: &taker, meeting: Meeting { at, from: at } }];
    let taken = hand_over(&"a:b".parse().unwrap(), &giver, &takers, |_| ()).await;
    assert!(
        matches!(&taken[..], [Err(NotTaken::Lost(why))] if why.starts_with("giver: cannot listen on 192.0.2.1")),
        "{taken:?}"
    );
}
