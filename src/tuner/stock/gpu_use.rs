//! Who else computes on a node's GPUs: what is timed beside them chooses for a GPU that is not free.

use std::time::Duration;

use serde::Deserialize;

use crate::host::ask::ask;
use crate::host::{Host, HostPath};

const PROGRAM: &str = include_str!("../../../worker/node/gpu_use.py");
/// It holds `nvidia-smi` to 10 s.
const LIMIT: Duration = Duration::from_secs(30);

/// Processes that compute on GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct GpuUsers {
    pids: Vec<u32>,
}

impl std::fmt::Display for GpuUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "other processes compute on its GPU (process ids {:?})", self.pids)
    }
}

impl GpuUsers {
    /// Those on the GPUs that `host` shows, while nothing of ours runs there. None where there are none, or nothing is
    /// said of them: such a host is let try.
    pub(crate) async fn on(host: &dyn Host, python: &HostPath) -> Option<Self> {
        let answer = match ask(host, python, PROGRAM, &[], LIMIT).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(host = %host.name(), "cannot see who uses the GPU: {error}");
                return None;
            }
        };
        let said: Option<Self> = serde_json::from_slice(&answer).ok();
        said.filter(|users| !users.pids.is_empty())
    }
}
