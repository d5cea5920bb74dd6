//! The engine of a node, Docker's or Podman's, by its API. The one place that knows bollard.
//!
//! Every call has a limit and ends when its future is dropped. Containers are touched as [`OwnContainer`] only, which
//! is made from labels that an engine showed: what this program did not create, it cannot name here.

mod address;
mod attached;
mod body;
mod build;
#[cfg(test)]
mod cluster_tests;
mod containers;
mod error;
mod facts;
#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod fixture;
mod image;
mod images;
mod logs;
#[cfg(test)]
mod look_alike;
#[cfg(test)]
mod misdeed_tests;
mod named;
mod own;
mod progress;
mod run;
mod short_lived;
mod transport;
mod version;
mod within;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use tokio::time::timeout;

pub use address::{BadEngineAddress, Certificates, EngineAddress, PlainTcp, Tcp};
pub use containers::{Listed, LogPiece};
pub use error::{EngineError, EngineFailure};
pub use facts::{EngineFacts, GpuWays};
pub use image::{BadImageName, Image, ImageName};
pub use logs::ContainerLog;
pub use own::OwnContainer;
pub use progress::Progress;
pub use short_lived::ShortLived;
pub use version::ApiVersion;

use self::transport::Transport;
use super::EngineKind;
use crate::host_name::HostName;

/// The oldest version of the API that is spoken here: Docker 20.10's and Podman 4's, the oldest that this was tried
/// against.
pub const OLDEST_API: ApiVersion = ApiVersion { major: 1, minor: 41 };

/// How long an engine may take to say who it is.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take for what it only has to look up or note down.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that is read whole, bytes.
const MOST_ANSWER: u64 = 16 << 20;

/// An engine that answered. Cheap to copy about.
#[derive(Clone)]
pub struct Engine {
    node: HostName,
    kind: EngineKind,
    version: String,
    api: ApiVersion,
    transport: Arc<Transport>,
    /// For answers that are read whole.
    calls: Docker,
    /// For answers that are read as they come.
    streams: Docker,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({}: {} {}, API {})", self.node, self.kind, self.version, self.api)
    }
}

impl Engine {
    /// Ask who listens at `address`, which is the engine of `node`.
    ///
    /// # Errors
    /// Nobody there, nobody we may speak to, somebody who is no engine, and an engine too old.
    pub async fn connect(address: EngineAddress, node: HostName) -> Result<Self, EngineError> {
        let fail = |what| EngineError::new(&node, what);
        let transport = Arc::new(Transport::new(address).map_err(|error| fail(error.into()))?);
        let at = transport.address();
        let asked = client(&transport, MOST_ANSWER, bollard::API_DEFAULT_VERSION);
        let asked = asked.map_err(|error| fail(EngineFailure::of(error, HELLO, at)))?;
        let answer = timeout(HELLO_LIMIT, asked.version()).await;
        let answer = answer
            .map_err(|_| fail(EngineFailure::TimedOut { doing: HELLO, seconds: HELLO_LIMIT.as_secs() }))?
            .map_err(|error| fail(version::failure(error, at)))?;
        let found = version::found(&answer).map_err(|why| fail(EngineFailure::garbled(at, why)))?;
        if found.api < OLDEST_API {
            let version::Found { engine, version, api } = found;
            return Err(fail(EngineFailure::TooOld { engine, version, api: api.to_string() }));
        }
        // What both know.
        let spoken = found.api.min(ApiVersion::newest()).for_bollard();
        let client = |most| {
            client(&transport, most, &spoken).map_err(|error| fail(EngineFailure::of(error, HELLO, at)))
        };
        Ok(Self {
            kind: found.engine,
            version: found.version,
            api: found.api,
            calls: client(MOST_ANSWER)?,
            streams: client(u64::MAX)?,
            transport: Arc::clone(&transport),
            node,
        })
    }

    /// The node it is on.
    pub fn node(&self) -> &HostName {
        &self.node
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// Its version, in its own words.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The newest version of the API that it speaks.
    pub fn api(&self) -> ApiVersion {
        self.api
    }

    fn fail(&self, what: EngineFailure) -> EngineError {
        EngineError::new(&self.node, what)
    }

    fn failure(&self, doing: &'static str, error: Error) -> EngineError {
        self.fail(EngineFailure::of(error, doing, self.transport.address()))
    }

    /// `work`, for so long at most; without an error's place yet, because some statuses mean something.
    async fn within<T>(
        &self,
        doing: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, EngineError> {
        timeout(limit, work)
            .await
            .map_err(|_| self.fail(EngineFailure::TimedOut { doing, seconds: limit.as_secs() }))
    }

    /// `work`, for as long as an engine may take to look something up.
    async fn call<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        self.within(doing, CALL_LIMIT, work).await?.map_err(|error| self.failure(doing, error))
    }
}

const HELLO: &str = "say which engine it is";

/// A client whose answers may have so many bytes.
fn client(transport: &Arc<Transport>, most: u64, version: &bollard::ClientVersion) -> Result<Docker, Error> {
    /// The limits that count are ours.
    const NEVER_S: u64 = u32::MAX as u64;
    let transport = Arc::clone(transport);
    let send = move |request| {
        let transport = Arc::clone(&transport);
        async move { transport.send(request, most).await }
    };
    Docker::connect_with_custom_transport(send, Some("http://engine"), NEVER_S, version)
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
