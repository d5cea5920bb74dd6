//! `nodes.json`: the machines behind the server, where a run was told which they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FORMAT;
use crate::bench::nodes::NodesAround;

/// The nodes before and after the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodesFile {
    /// The format of all files in the directory.
    pub format: u32,
    /// The nodes.
    #[serde(flatten)]
    pub nodes: NodesAround,
}

impl NodesFile {
    /// For a results directory.
    pub(crate) fn new(nodes: NodesAround) -> Self {
        Self { format: FORMAT, nodes }
    }
}
