//! Where the script runs: containers and bare nodes of a cluster, or this machine; and the script there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::super::nodes::FromNodes;
use super::gpu::{has_device, having_device};
use super::script_source::{self, Found, same, there};
use crate::cluster::installed::probe;
use crate::commands::tune::installation::{Installation, Named};
use crate::device::Device;
use crate::events::Observer;
use crate::failure::Failure;
use crate::host::{Here, Host, HostPath, Variable};
use crate::host_name::HostName;
use crate::runtime::{Runtime, Target, TritonVersion};
use crate::tuner::error::RunError;
use crate::tuner::plan::PlannedImage;
use crate::tuner::session::local_gpus;
use crate::tuner::stock::run::StockNode;
use crate::tuner::stock::script::{Options, ScriptIdentity};

/// What the places that work for a run have in common, and each of them.
pub(super) struct Places {
    pub(super) nodes: Vec<StockNode>,
    pub(super) identity: ScriptIdentity,
    pub(super) options: Options,
    pub(super) script: String,
    pub(super) target: (Option<Runtime>, Option<TritonVersion>),
    pub(super) image: Option<PlannedImage>,
}

/// Those of the nodes that have the device, and the script on each.
pub(super) async fn on_nodes(
    opened: FromNodes,
    device: &Device,
    given: Option<&Found>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Places, Box<dyn Failure>> {
    let FromNodes { environments, target, image } = opened;
    let asking = having_device(environments, device, observer);
    let environments = cancel.run_until_cancelled(asking).await.ok_or(RunError::Interrupted)??;
    let mut nodes = Vec::new();
    let mut first: Option<(HostName, Found)> = None;
    for environment in environments {
        let host = environment.starter.host;
        let name = host.name().clone();
        let looked = place(&*host, Some(&environment.sglang_root), given);
        let found = cancel.run_until_cancelled(looked).await.ok_or(RunError::Interrupted)??;
        if let Some((first, ours)) = &first {
            same((first, &ours.script.identity), (&name, &found.script.identity))?;
        }
        let python = environment.starter.python;
        let plain = |(name, variable): (String, Variable)| match variable {
            Variable::Set(value) => Some((name, value)),
            Variable::Unset | Variable::Secret(_) => None,
        };
        let variables = environment.starter.variables.into_iter().filter_map(plain).collect();
        nodes.push(StockNode { name: name.clone(), host, python, place: found.place.clone(), variables });
        first.get_or_insert((name, found));
    }
    let (_, Found { script, place: _, path }) = first.ok_or(RunError::NobodyLeft)?;
    let Target { runtime, triton } = target;
    let target = (Some(runtime), Some(triton));
    Ok(Places { nodes, identity: script.identity, options: script.options, script: path, target, image })
}

/// This machine's interpreter, and its script.
pub(super) async fn here(
    python: &Path,
    device: &Device,
    given: Option<&Found>,
    said: (Option<Runtime>, Option<TritonVersion>),
    observer: &mut dyn Observer,
) -> Result<Places, Box<dyn Failure>> {
    let installation = Installation::find(Named { python: Some(python), sglang_root: None }).await;
    let target = installation.decide(said, observer)?;
    let python = HostPath::try_from(python)?;
    let host = Here::new();
    has_device(host.name(), &local_gpus(), device)?;
    let installed = probe(&host, &python).await?;
    let package = installed.folder("sglang").and_then(|folder| folder.as_str().rsplit_once('/'));
    let root = package.map(|(above, _)| HostPath::new(above));
    let Found { script, place, path } = place(&host, root.as_ref(), given).await?;
    let name = host.name().clone();
    let nodes = vec![StockNode { name, host: Arc::new(host), python, place, variables: BTreeMap::new() }];
    Ok(Places {
        nodes,
        identity: script.identity,
        options: script.options,
        script: path,
        target,
        image: None,
    })
}

/// The script for a node: the one that was given, or its own.
async fn place(
    host: &dyn Host,
    root: Option<&HostPath>,
    given: Option<&Found>,
) -> Result<Found, script_source::NoScript> {
    match given {
        Some(Found { script, place, path }) => {
            Ok(Found { script: script.clone(), place: place.clone(), path: path.clone() })
        }
        None => there(host, root).await,
    }
}
