//! Over how many GPUs a model is laid out, and how.

use std::fmt;

use serde::Serialize;

/// The split of a model. One GPU a node: what these clusters have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Split {
    /// Tensor parallelism: every layer over so many GPUs.
    pub(crate) tp: u32,
    /// Pipeline parallelism: the layers in so many groups.
    pub(crate) pp: u32,
    /// Expert parallelism: the experts in so many groups, over the GPUs of the tensor parallelism.
    pub(crate) ep: u32,
}

impl Split {
    /// The GPUs that take part, and so the nodes; `u64`, so that no recipe can make it overflow.
    pub(crate) fn gpus(self) -> u64 {
        u64::from(self.tp) * u64::from(self.pp)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tp {}", self.tp)?;
        for (name, value) in [("pp", self.pp), ("ep", self.ep)] {
            if value > 1 {
                write!(f, " {name} {value}")?;
            }
        }
        Ok(())
    }
}
