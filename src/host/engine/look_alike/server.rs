//! HTTP, and which path is what.

use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::Misdeed;
use super::answer::{Answer, Asked, no, yes};
use super::state::Shared;
use super::{containers, exec, images};

/// Answer whoever connects, until `stop`. Connections end with the runtime that this is run on, and so after nobody can
/// connect any more: who is cut off and asks again hears that there is no engine, and not that it is lost.
pub(super) async fn serve(
    listener: std::os::unix::net::UnixListener,
    state: Shared,
    stop: CancellationToken,
) {
    let listener = UnixListener::from_std(listener).unwrap();
    while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
        let (state, stop) = (Arc::clone(&state), stop.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let (state, stop) = (Arc::clone(&state), stop.clone());
                answer(request, state, stop)
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // One that was cut short is no concern of an engine.
            let _ = connection.with_upgrades().await;
        });
    }
}

/// An error is no answer: the connection ends.
async fn answer(request: Request<Incoming>, state: Shared, stop: CancellationToken) -> io::Result<Answer> {
    let asked = Asked::of(&request);
    let misdeed = state.lock().unwrap().misdeed(&asked.method, &asked.path);
    match misdeed {
        None => Ok(work(asked, request, &state, false).await),
        Some(Misdeed::Refuses(status)) => Ok(no(status, "it was told to refuse")),
        Some(Misdeed::Hangs) => std::future::pending().await,
        Some(Misdeed::CutsOff) => cut(work(asked, request, &state, true).await).await,
        Some(Misdeed::Dies) => {
            stop.cancel();
            std::future::pending().await
        }
    }
}

async fn work(asked: Asked, request: Request<Incoming>, state: &Shared, cuts: bool) -> Answer {
    let path = asked.path.clone();
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (asked.method.as_str(), &words[..]) {
        ("GET", ["version"]) => yes(json!({
            "Components": [{"Name": "Engine", "Version": "20.10.24"}], "ApiVersion": "1.41", "MinAPIVersion": "1.12",
        })),
        ("GET", ["info"]) => yes(json!({
            "Driver": "overlay2", "DockerRootDir": "/var/lib/look-alike", "Architecture": "any",
        })),
        ("POST", ["exec", id, "start"]) => exec::start(request, state, id, cuts),
        ("GET", ["exec", id, "json"]) => exec::inspect(state, id),
        (_, ["images", ..]) => images::work(&asked, request, state).await,
        (_, ["containers", ..]) => containers::work(&asked, request, state, &words[1..]).await,
        _ => no(404, "the look-alike of an engine does not know this"),
    }
}

/// The same answer up to the middle of its first piece, then nothing: the connection is cut.
async fn cut(answer: Answer) -> io::Result<Answer> {
    let (mut head, mut body) = answer.into_parts();
    if head.status.is_informational() {
        // The streams of a program are cut by themselves.
        return Ok(Response::from_parts(head, body));
    }
    let first = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
    let first = first.unwrap_or_default();
    if first.is_empty() {
        // Its head is all there is to cut.
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    head.headers.insert("content-length", (first.len() + 100).into());
    let half = first.slice(..first.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(io::ErrorKind::ConnectionReset.into())];
    // The half is on its way before the cut.
    let frames = stream::iter(frames).then(|frame| async {
        tokio::task::yield_now().await;
        frame
    });
    Ok(Response::from_parts(head, StreamBody::new(frames).boxed_unsync()))
}
