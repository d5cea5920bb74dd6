//! One HTTP connection, driven by the task that uses it.
//!
//! hyper's connection is a future that must be polled for bytes to move. Usually a task of its own does
//! that and hands each piece of a body to another task: two wake-ups a token. Here the reader polls both,
//! so that one wake-up reads, decodes and takes the time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::connector::Stream;

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// One connection to the server.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended: it must not be polled again.
    driver: Option<Pin<Box<Driver>>>,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>, driver: Driver) -> Self {
        Self { sender, driver: Some(Box::pin(driver)) }
    }

    /// Send a request and wait for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        let answer = self.sender.send_request(request);
        drive(&mut self.driver, answer).await
    }

    /// The next piece of an answer's body; None at its end.
    pub(super) async fn next(&mut self, body: &mut Incoming) -> Option<hyper::Result<Bytes>> {
        loop {
            match drive(&mut self.driver, body.frame()).await? {
                // Trailers carry nothing we want.
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) => return Some(Ok(bytes)),
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Whether the server has not closed it yet, as far as this machine has heard: nobody looks at an idle
    /// connection, so this does. llama.cpp's server closes after every streamed answer without a word in its
    /// head.
    pub(super) fn is_open(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        if let Some(connection) = &mut self.driver
            && connection.as_mut().poll(&mut nobody).is_ready()
        {
            self.driver = None;
        }
        self.driver.is_some() && !self.sender.is_closed()
    }

    /// Whether another request can be sent, once the last answer has been read to its end.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        drive(&mut self.driver, self.sender.ready()).await.is_ok()
    }
}

/// Wait for `future`, which only gets on while the connection is polled.
async fn drive<F: Future>(driver: &mut Option<Pin<Box<Driver>>>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        // An error of the connection reaches the future, too, and says there what it broke.
        if let Some(connection) = driver
            && connection.as_mut().poll(cx).is_ready()
        {
            *driver = None;
        }
        future.as_mut().poll(cx)
    })
    .await
}
