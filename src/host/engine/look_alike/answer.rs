//! What is asked over HTTP, and what answers are made of.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Answer = Response<Body>;

/// What is asked, apart from its body.
pub(super) struct Asked {
    pub(super) method: Method,
    /// Without the API's version.
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
}

impl Asked {
    pub(super) fn of(request: &Request<Incoming>) -> Self {
        let path = request.uri().path();
        // `/v1.41/...`, or without.
        let rest = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
        let query = request.uri().query().unwrap_or_default();
        let url = reqwest::Url::parse(&format!("http://engine/?{query}")).unwrap();
        let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Self { method: request.method().clone(), path: rest.unwrap_or(path).to_owned(), query }
    }

    pub(super) fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// All of a request's body.
pub(super) async fn whole(request: Request<Incoming>) -> Option<Bytes> {
    request.into_body().collect().await.ok().map(http_body_util::Collected::to_bytes)
}

pub(super) fn yes(value: Value) -> Answer {
    with_status(200, value)
}

pub(super) fn with_status(status: u16, value: Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.boxed_unsync())
        .unwrap()
}

pub(super) fn done() -> Answer {
    Response::builder().status(204).body(bytes_of(Bytes::new())).unwrap()
}

pub(super) fn no(status: u16, message: &str) -> Answer {
    with_status(status, json!({"message": message}))
}

pub(super) fn bytes_of(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body of pieces as they come.
pub(super) fn pieces(pieces: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Answer {
    let frames = pieces.map(|piece| Ok(Frame::data(piece)));
    Response::new(StreamBody::new(frames).boxed_unsync())
}
