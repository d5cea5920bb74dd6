//! Where the processes of a model run on a node: in a container, or on the node itself.

use std::sync::Arc;

use crate::host::detached::DetachedPrograms;
use crate::host::engine::OwnContainer;
use crate::host::{Host, HostPath};
use crate::host_name::HostName;

/// Where processes run.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// As a host, which goes by its node's name.
    pub(super) host: Arc<dyn Host>,
    /// The container; none where it is the node itself.
    pub(super) container: Option<OwnContainer>,
}

impl Place {
    /// Its node.
    pub(super) fn node(&self) -> &HostName {
        self.host.name()
    }

    /// Its processes that outlive us. What keeps them runs in the place's own Python: a virtual environment may be what is
    /// broken.
    pub(super) fn programs(&self) -> DetachedPrograms<'_> {
        DetachedPrograms { host: &*self.host, python: HostPath::new("python3"), records: None }
    }
}
