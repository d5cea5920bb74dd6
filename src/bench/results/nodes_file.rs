//! `nodes.json`: the machines behind the server, where a run was told which they are.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FORMAT, NODES, ResultsError, run_file};
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

/// None where the run was not told of any nodes.
pub(super) fn read(dir: &Path) -> Result<Option<NodesAround>, ResultsError> {
    let path = dir.join(NODES);
    let Some(bytes) = super::read::bytes(&path)? else { return Ok(None) };
    let value = run_file::parse_format(&path, &bytes)?;
    Ok(Some(run_file::from_value::<NodesFile>(&path, value)?.nodes))
}
