//! A mock server on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::scenario::Scenario;
use super::server::{MockError, MockServer};
use super::truth::ServedTruth;

/// A mock server on a thread of its own; it stops when dropped.
#[derive(Debug)]
pub struct RunningMock {
    address: SocketAddr,
    truth: ServedTruth,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Start a mock server on a thread of its own, which is named `mock`.
pub fn spawn(scenario: Scenario, address: SocketAddr) -> Result<RunningMock, MockError> {
    let stop = CancellationToken::new();
    let until = stop.clone();
    let (bound, ready) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("mock".into()).spawn(move || {
        runtime.block_on(async move {
            match MockServer::bind(scenario, address).await {
                Ok(server) => {
                    // Whoever started it waits for this.
                    let _ = bound.send(Ok((server.address(), server.truth())));
                    server.serve(until).await;
                }
                Err(error) => {
                    let _ = bound.send(Err(error));
                }
            }
        });
    })?;
    let (address, truth) =
        ready.recv().unwrap_or_else(|_| Err(MockError::Thread(io::Error::other("it ended at once"))))?;
    Ok(RunningMock { address, truth, stop, thread: Some(thread) })
}

impl RunningMock {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What really leaves it.
    pub fn truth(&self) -> &ServedTruth {
        &self.truth
    }
}

impl Drop for RunningMock {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
