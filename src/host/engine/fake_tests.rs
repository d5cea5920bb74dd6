//! What answers on an engine's socket and is none, or a bad one.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use super::{Engine, EngineAddress, EngineError, EngineFailure, ImageName};
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

const VERSION: &str = r#"{"Components":[{"Name":"Engine","Version":"20.10.24"}],"ApiVersion":"1.41"}"#;

/// A server that lets `answer` reply to every connection, by the first bytes of its request.
struct Fake {
    _folder: tempfile::TempDir,
    path: PathBuf,
    serving: tokio::task::JoinHandle<()>,
}

impl Fake {
    fn new<A, F>(answer: A) -> Self
    where
        A: Fn(String, UnixStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let count = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                tokio::spawn(answer(head, stream));
            }
        });
        Self { _folder: folder, path, serving }
    }

    /// One that says `text` to everybody and hangs up.
    fn saying(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(move |_, mut stream| {
            let text = text.clone();
            async move {
                let _ = stream.write_all(text.as_bytes()).await;
            }
        })
    }

    /// An engine that says this to what is asked of it first.
    fn engine(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(move |head, mut stream| {
            let text = if head.contains("/version ") { http(200, VERSION) } else { text.clone() };
            async move {
                let _ = stream.write_all(text.as_bytes()).await;
            }
        })
    }

    async fn connect(&self) -> Result<Engine, EngineError> {
        connect(&self.path).await
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connect(path: &std::path::Path) -> Result<Engine, EngineError> {
    Engine::connect(EngineAddress::unix(path).unwrap(), "spark-1".parse().unwrap()).await
}

fn http(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn image() -> ImageName {
    "a:b".parse().unwrap()
}

#[tokio::test]
async fn who_is_no_engine_is_named_as_such() {
    let page = "<!DOCTYPE html><html><body>Welcome to nginx!</body></html>";
    for (text, words) in [
        ("\x00\x01\x02 garbage\r\n\r\n".to_owned(), "is no HTTP"),
        ("SSH-2.0-OpenSSH_9.2p1 Debian\r\n".to_owned(), "is no HTTP"),
        (http(200, page), "no container engine"),
        (http(404, page), "Welcome to nginx"),
        (http(200, "{}"), "neither Docker nor Podman"),
        (http(200, "[1]"), "no container engine"),
        (http(200, ""), "no container engine"),
    ] {
        let error = Fake::saying(text.clone()).connect().await.unwrap_err();
        assert!(matches!(error.what, EngineFailure::NotAnEngine { .. }), "{text}: {error:?}");
        assert!(error.to_string().starts_with("spark-1: what answers at `/"), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.kind(), Kind::Environment);
        assert!(error.hint().unwrap().contains("socket"), "{error}");
    }
}

#[tokio::test]
async fn an_engine_too_old_is_named() {
    let old = VERSION.replace("1.41", "1.40");
    let error = Fake::saying(http(200, &old)).connect().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "spark-1: docker 20.10.24 speaks version 1.40 of the API; the oldest that is spoken here is 1.41"
    );
    assert!(error.hint().unwrap().contains("update"));
    let new = VERSION.replace("1.41", "9.9");
    assert_eq!(Fake::saying(http(200, &new)).connect().await.unwrap().api().to_string(), "9.9");
}

#[tokio::test]
async fn what_has_no_end_is_cut_short() {
    let garbage = Fake::new(|_, mut stream: UnixStream| async move {
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    });
    let header = Fake::new(|_, mut stream: UnixStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"X-Header: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").await.is_ok() {}
    });
    let body = Fake::new(|_, mut stream: UnixStream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 65536]).await.is_ok() {}
    });
    for fake in [garbage, header, body] {
        let before = Instant::now();
        let error = fake.connect().await.unwrap_err();
        assert!(matches!(error.what, EngineFailure::NotAnEngine { .. }), "{error:?}");
        assert!(before.elapsed() < super::HELLO_LIMIT, "{error}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let silent = Fake::new(|_, stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    });
    // Its listener runs in real time; only once it has been reached may the clock jump.
    let asked = tokio::spawn({
        let path = silent.path.clone();
        async move { connect(&path).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::pause();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error.what, EngineFailure::TimedOut { seconds: 10, .. }), "{error:?}");
    assert_eq!(error.to_string(), "spark-1: no answer within 10 s while it was to say which engine it is");
}

#[tokio::test]
async fn who_hangs_up_is_lost() {
    let error = Fake::saying("").connect().await.unwrap_err();
    assert!(matches!(error.what, EngineFailure::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn sockets_that_are_not_there_or_not_ours_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let error = connect(&path).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::NoSocket(named) if *named == path), "{error:?}");
    assert!(error.hint().unwrap().contains("systemctl start"));
    // Nobody listens any more.
    drop(UnixListener::bind(&path).unwrap());
    let error = connect(&path).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::NotRunning(_)), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    // Something that never was a socket.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(connect(&file).await.unwrap_err().what, EngineFailure::NotRunning(_)));
    // root may use every socket: where tests run as root the kernel does not say this.
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let at = EngineAddress::unix(&path).unwrap();
    let what = EngineFailure::of(denied.into(), "x", &at);
    let error = EngineError::new(&HostName::local(), what);
    assert!(matches!(error.what, EngineFailure::NotPermitted(_)), "{error:?}");
    assert!(error.hint().unwrap().contains("usermod -aG docker"));
}

#[tokio::test]
async fn a_no_is_told_in_the_engines_words() {
    let engine = Fake::engine(http(500, r#"{"message":"disk full\nand more"}"#)).connect_kept().await;
    let error = engine.1.image(&image()).await.unwrap_err();
    assert_eq!(error.to_string(), "spark-1: the engine cannot look at an image: disk full");
    let engine = Fake::engine(http(404, r#"{"message":"no such image"}"#)).connect_kept().await;
    let error = engine.1.image(&image()).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::NoImage(name) if name == "a:b"), "{error:?}");
    let error = engine.1.own("x").await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::NoContainer(name) if name == "x"), "{error:?}");
}

impl Fake {
    async fn connect_kept(self) -> (Self, Engine) {
        let engine = self.connect().await.unwrap();
        (self, engine)
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_an_error() {
    let body = "{\"status\":\"Pulling from a\"}\n{\"error\":\"manifest unknown\"}\n";
    let (_fake, engine) = Fake::engine(http(200, body)).connect_kept().await;
    let mut told = Vec::new();
    let error = engine.pull(&image(), |progress| told.push(progress.status)).await.unwrap_err();
    assert_eq!(error.to_string(), "spark-1: the engine cannot pull the image: manifest unknown");
    assert_eq!(told, ["Pulling from a"]);
    let error = engine.load(futures_util::stream::empty(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("manifest unknown"), "{error}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_error() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":\"Pulling\"}\n";
    let (_fake, engine) = Fake::engine(cut).connect_kept().await;
    let error = engine.pull(&image(), |_| {}).await.unwrap_err();
    assert!(matches!(error.what, EngineFailure::Lost { .. }), "{error:?}");
    let (_fake, engine) = Fake::engine(http(200, "{\"status\":\"Pul")).connect_kept().await;
    let error = engine.pull(&image(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("breaks off"), "{error}");
    let (_fake, engine) = Fake::engine(http(200, "<html>")).connect_kept().await;
    assert!(engine.pull(&image(), |_| {}).await.unwrap_err().to_string().contains("no JSON"));
}

#[tokio::test]
async fn a_source_that_breaks_off_is_told_as_such() {
    let (_fake, engine) = Fake::engine(http(200, "{}")).connect_kept().await;
    let broken = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the far node is gone");
    let pieces = [Ok(bytes::Bytes::from_static(b"x")), Err(broken())];
    // Answered only once all has been read, as engines do.
    let slow = futures_util::stream::iter(pieces);
    match engine.load(slow, |_| {}).await {
        Err(error) => assert!(error.to_string().contains("the far node is gone"), "{error}"),
        Ok(names) => panic!("loaded {names:?}"),
    }
}

#[tokio::test]
async fn somebody_elses_container_is_left_alone() {
    let of = |labels: &str| format!(r#"{{"Id":"00","Name":"/x","Config":{{"Labels":{labels}}}}}"#);
    let (_fake, engine) =
        Fake::engine(http(200, &of(r#"{"sparktune.project":"other"}"#))).connect_kept().await;
    let error = engine.own("x").await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::NotOurs(name) if name == "x"), "{error:?}");
    let (_fake, engine) = Fake::engine(http(200, &of("null"))).connect_kept().await;
    assert!(matches!(engine.own("x").await.unwrap_err().what, EngineFailure::NotOurs(_)));
    let ours = of(r#"{"sparktune.project":"sparktune"}"#);
    let (_fake, engine) = Fake::engine(http(200, &ours)).connect_kept().await;
    assert_eq!(engine.own("x").await.unwrap().name(), "x");
}

#[tokio::test]
async fn a_log_that_is_cut_ends_with_an_error() {
    let of = r#"{"Id":"00","Name":"/x","Config":{"Labels":{"sparktune.project":"sparktune"}}}"#.to_owned();
    let fake = Fake::new(move |head, mut stream: UnixStream| {
        let text = match head {
            head if head.contains("/version ") => http(200, VERSION).into_bytes(),
            head if head.contains("/logs") => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n\x01\0\0\0\0\0\0\x03one\r\n"
                    .to_vec()
            }
            _ => http(200, &of).into_bytes(),
        };
        async move {
            let _ = stream.write_all(&text).await;
        }
    });
    let (_fake, engine) = fake.connect_kept().await;
    let container = engine.own("x").await.unwrap();
    let pieces: Vec<_> = engine.follow(&container).collect().await;
    assert!(matches!(&pieces[0], Ok(super::LogPiece::Output(bytes)) if **bytes == *b"one"), "{pieces:?}");
    assert!(pieces[1].is_err() && pieces.len() == 2, "{pieces:?}");
}
