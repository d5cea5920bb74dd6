//! Requests whose answer is a stream of JSON, one object behind another: images pulled and loaded.
//!
//! bollard drops the field `error` of these objects, which is all that older engines fill, so that a pull that failed
//! looks like one that went well (bollard#160, #242). The requests are therefore read here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::BollardRequest;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::time::timeout;

use super::{CALL_LIMIT, Engine, EngineError, EngineFailure};

/// The longest object of such a stream, and of an answer that says no, bytes.
const MOST_OBJECT: usize = 1 << 20;

/// How far an engine is with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What it does, in its own words.
    pub status: String,
    /// The layer that it does it with, where it is one.
    pub layer: Option<String>,
    /// Bytes done, and bytes in all, where it knows.
    pub bytes: Option<(u64, u64)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    status: Option<String>,
    stream: Option<String>,
    id: Option<String>,
    #[serde(rename = "progressDetail")]
    detail: Option<Detail>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    error_detail: Option<Message>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: Option<u64>,
    total: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    message: Option<String>,
}

impl Object {
    /// Why it went wrong, if this says that it did.
    fn error(&self) -> Option<String> {
        let detail = self.error_detail.as_ref().and_then(|detail| detail.message.clone());
        detail.or_else(|| self.error.clone()).filter(|error| !error.is_empty())
    }

    fn progress(self) -> Option<Progress> {
        let status = self.status.or(self.stream).map(|status| status.trim().to_owned());
        let known = |detail: Detail| detail.current.zip(detail.total).filter(|(_, total)| *total > 0);
        let bytes = self.detail.and_then(known);
        Some(Progress { status: status.filter(|status| !status.is_empty())?, layer: self.id, bytes })
    }
}

/// What is wrong with a stream, or what it says went wrong.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    Said(String),
    Garbled(String),
}

/// Take the whole objects out of `held`, telling of each.
fn take_objects(held: &mut BytesMut, tell: &mut impl FnMut(Progress)) -> Result<(), Trouble> {
    let mut objects = serde_json::Deserializer::from_slice(held).into_iter::<Object>();
    let mut done = 0;
    loop {
        let next = objects.next();
        let taken = objects.byte_offset();
        match next {
            Some(Ok(object)) => {
                if let Some(error) = object.error() {
                    return Err(Trouble::Said(error));
                }
                if let Some(progress) = object.progress() {
                    tell(progress);
                }
                done = taken;
            }
            // The rest of it is still to come.
            Some(Err(error)) if error.is_eof() => break,
            Some(Err(error)) => return Err(Trouble::Garbled(format!("its answer is no JSON: {error}"))),
            None => {
                done = held.len();
                break;
            }
        }
    }
    let _ = held.split_to(done);
    match held.len() > MOST_OBJECT {
        true => Err(Trouble::Garbled("an object of its answer has no end".into())),
        false => Ok(()),
    }
}

/// `work`, unless nothing `moved` for `limit`. It may take up to twice as long to notice.
pub(super) async fn while_moving<T>(
    limit: Duration,
    moved: &AtomicU64,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        if let Ok(done) = timeout(limit, &mut work).await {
            return Some(done);
        }
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return None;
        }
        before = now;
    }
}

impl Engine {
    /// The answer to `request` once it begins, unless it says no.
    ///
    /// # Errors
    /// The engine's no with its status; a time in which nothing was sent (which `sent` counts) or received.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        request: BollardRequest,
        idle: Duration,
        sent: &AtomicU64,
    ) -> Result<Result<Response<Incoming>, (u16, String)>, EngineError> {
        let answer = while_moving(idle, sent, self.transport.send(request, u64::MAX)).await;
        let timed_out = || self.fail(EngineFailure::TimedOut { doing, seconds: idle.as_secs() });
        let answer = answer.ok_or_else(timed_out)?.map_err(|error| self.failure(doing, error))?;
        if answer.status().is_success() {
            return Ok(Ok(answer));
        }
        let status = answer.status().as_u16();
        let body = http_body_util::Limited::new(answer.into_body(), MOST_OBJECT).collect();
        let body = timeout(CALL_LIMIT, body).await;
        // A no is a no, whether or not it can be read.
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        let said = serde_json::from_slice::<Object>(&body).ok().and_then(|said| said.message);
        Ok(Err((status, said.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()))))
    }

    /// Read `answer` to its end, telling of everything that is done.
    ///
    /// # Errors
    /// What the stream says went wrong, one that is garbled or breaks off, and one that is silent for `idle`.
    pub(super) async fn read_progress(
        &self,
        doing: &'static str,
        answer: Response<Incoming>,
        idle: Duration,
        mut tell: impl FnMut(Progress),
    ) -> Result<(), EngineError> {
        let at = self.transport.address();
        let trouble = |trouble| {
            self.fail(match trouble {
                Trouble::Said(message) => EngineFailure::refused(doing, &message),
                Trouble::Garbled(why) => EngineFailure::garbled(at, why),
            })
        };
        let mut body = answer.into_body();
        let mut held = BytesMut::new();
        loop {
            let frame = timeout(idle, body.frame()).await;
            let frame = frame
                .map_err(|_| self.fail(EngineFailure::TimedOut { doing, seconds: idle.as_secs() }))?
                .transpose()
                .map_err(|error| self.failure(doing, error.into()))?;
            let Some(frame) = frame else { break };
            if let Ok(bytes) = frame.into_data() {
                held.extend_from_slice(&bytes);
                take_objects(&mut held, &mut tell).map_err(trouble)?;
            }
        }
        match held.trim_ascii().is_empty() {
            true => Ok(()),
            false => Err(trouble(Trouble::Garbled("its answer breaks off".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&str]) -> (Vec<Progress>, Result<(), Trouble>, String) {
        let mut held = BytesMut::new();
        let mut told = Vec::new();
        for piece in pieces {
            held.extend_from_slice(piece.as_bytes());
            if let Err(trouble) = take_objects(&mut held, &mut |progress| told.push(progress)) {
                return (told, Err(trouble), String::new());
            }
        }
        (told, Ok(()), String::from_utf8(held.to_vec()).unwrap())
    }

    fn done(status: &str) -> Progress {
        Progress { status: status.into(), layer: None, bytes: None }
    }

    #[test]
    fn objects_come_in_any_pieces_and_with_any_space_between() {
        let whole = "{\"status\":\"Pulling\"}\r\n{\"stream\":\"Loaded image: a\\n\"}{\"progressDetail\":{}}\n \
                     {\"status\":\"Downloading\",\"id\":\"f00\",\"progressDetail\":{\"current\":1,\"total\":4}}\n";
        let layer = Progress { status: "Downloading".into(), layer: Some("f00".into()), bytes: Some((1, 4)) };
        let expected = vec![done("Pulling"), done("Loaded image: a"), layer];
        for cut in 0..whole.len() {
            let (told, result, left) = taken(&[&whole[..cut], &whole[cut..]]);
            assert_eq!((&told, result, left.trim()), (&expected, Ok(()), ""), "cut at {cut}");
        }
    }

    #[test]
    fn an_error_is_one_in_either_field() {
        for text in [
            // As Docker 20.10 and Podman 4.3.1 end a load and a pull.
            r#"{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#,
            r#"{"progressDetail":{},"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#,
            r#"{"error":"unexpected EOF"}"#,
            r#"{"errorDetail":{"message":"unexpected EOF"}}"#,
            r#"{"errorDetail":{},"error":"unexpected EOF"}"#,
        ] {
            let (told, result, _) = taken(&["{\"status\":\"Pulling\"}\n", text]);
            assert_eq!(told, [done("Pulling")]);
            assert_eq!(result, Err(Trouble::Said("unexpected EOF".into())), "{text}");
        }
        let (_, fine, _) = taken(&[r#"{"status":"Pulling","error":"","errorDetail":null}"#]);
        assert_eq!(fine, Ok(()));
    }

    #[test]
    fn what_is_no_json_or_never_ends_is_garbled() {
        for text in ["<html>", "{\"status\":\"a\"}\nbye", "7", "{\"status\":7}"] {
            let (_, result, _) = taken(&[text]);
            assert!(
                matches!(&result, Err(Trouble::Garbled(why)) if why.contains("no JSON")),
                "{text}: {result:?}"
            );
        }
        let (_, result, _) = taken(&["{\"status\":\"", &"x".repeat(MOST_OBJECT)]);
        assert!(matches!(&result, Err(Trouble::Garbled(why)) if why.contains("no end")), "{result:?}");
        let (told, _, left) = taken(&["{\"status\":\"a"]);
        assert_eq!((told, left.as_str()), (Vec::new(), "{\"status\":\"a"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_moves_has_all_the_time_he_wants() {
        let moved = AtomicU64::new(0);
        let limit = Duration::from_secs(10);
        let slow = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                moved.fetch_add(1, Ordering::Relaxed);
            }
        };
        assert_eq!(while_moving(limit, &moved, slow).await, Some(()));
        let before = tokio::time::Instant::now();
        assert_eq!(while_moving(limit, &moved, std::future::pending::<()>()).await, None);
        assert!(before.elapsed() <= 2 * limit);
    }
}
