//! The connections of a command: one a node, whoever asks for it and however often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::{SshConnection, SshFailure, SshRoute, SshSettings};
use crate::host::HostError;
use crate::host_name::HostName;

/// The connections to nodes of one cluster, opened as they are asked for. They stay open for as long as somebody else
/// holds them; clones share them.
#[derive(Debug, Clone, Default)]
pub struct SshConnections {
    settings: SshSettings,
    nodes: Arc<Mutex<HashMap<HostName, Arc<Turn<Known>>>>>,
}

/// What is known of the connection to a node.
#[derive(Debug, Default)]
struct Known {
    open: Weak<SshConnection>,
    failed: Option<(Instant, SshFailure)>,
}

impl SshConnections {
    /// None yet; each will be opened with `settings`.
    pub fn new(settings: SshSettings) -> Self {
        Self { settings, nodes: Arc::default() }
    }

    /// How they are opened.
    pub fn settings(&self) -> &SshSettings {
        &self.settings
    }

    /// The connection to `node`, which `route` leads to. It and those that it goes through are opened unless they are.
    /// Who asks while it is being opened waits for that, and fails as it does.
    pub async fn open(&self, node: &HostName, route: &SshRoute) -> Result<Arc<SshConnection>, HostError> {
        let opened = self.opened(node, route).await;
        opened.map_err(|what| HostError { on: node.clone(), what: what.into() })
    }

    fn opened<'a>(
        &'a self,
        node: &'a HostName,
        route: &'a SshRoute,
    ) -> BoxFuture<'a, Result<Arc<SshConnection>, SshFailure>> {
        async move {
            let asked = Instant::now();
            let turn = {
                let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(nodes.entry(node.clone()).or_default())
            };
            let mut known = turn.lock().await;
            if let Some(open) = known.open.upgrade().filter(|open| open.is_lost().is_none()) {
                return Ok(open);
            }
            // Since then somebody has waited for it, and the node has not changed meanwhile.
            if let Some((_, failure)) = known.failed.as_ref().filter(|(at, _)| *at >= asked) {
                return Err(failure.clone());
            }
            let opened = self.make(node, route).await;
            match &opened {
                Ok(connection) => *known = Known { open: Arc::downgrade(connection), failed: None },
                Err(failure) => known.failed = Some((Instant::now(), failure.clone())),
            }
            opened
        }
        .boxed()
    }

    async fn make(&self, node: &HostName, route: &SshRoute) -> Result<Arc<SshConnection>, SshFailure> {
        let through = match route.last_hop() {
            None => None,
            Some((hop, way)) => {
                let opened = self.opened(hop, &way).await;
                Some(opened.map_err(|failure| failure.through(hop.clone()))?)
            }
        };
        SshConnection::open_through(through, node.clone(), route.to.clone(), self.settings.clone()).await
    }
}
