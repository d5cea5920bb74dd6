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

/// What a host says of its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GpuUse {
    /// Nobody computes on them.
    Free,
    /// These do.
    Used(GpuUsers),
    /// It does not say.
    Unknown,
}

#[derive(Deserialize)]
struct Answer {
    pids: Option<Vec<u32>>,
}

impl std::fmt::Display for GpuUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "other processes compute on its GPU (process ids {:?})", self.pids)
    }
}

impl GpuUse {
    /// Of the GPUs that `host` shows, while nothing of ours runs there.
    pub(crate) async fn on(host: &dyn Host, python: &HostPath) -> Self {
        let answer = match ask(host, python, PROGRAM, &[], LIMIT).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(host = %host.name(), "cannot see who uses the GPU: {error}");
                return GpuUse::Unknown;
            }
        };
        match serde_json::from_slice(&answer) {
            Ok(Answer { pids: Some(pids) }) if pids.is_empty() => GpuUse::Free,
            Ok(Answer { pids: Some(pids) }) => GpuUse::Used(GpuUsers { pids }),
            Ok(Answer { pids: None }) | Err(_) => GpuUse::Unknown,
        }
    }

    /// Who computes on them, as far as is known: a host that does not say is let try.
    pub(crate) fn users(self) -> Option<GpuUsers> {
        match self {
            GpuUse::Used(users) => Some(users),
            GpuUse::Free | GpuUse::Unknown => None,
        }
    }
}
