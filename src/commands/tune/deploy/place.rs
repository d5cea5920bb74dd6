//! Where files go on a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::ForNodes;
use crate::cluster::connect::{ConnectError, Connected};
use crate::cluster::deploy::ConfigFolder;
use crate::cluster::installed::{Family, NoPlace, probe};
use crate::failure::{Failure, Kind};
use crate::host::container_spec::{ContainerVariable, Labels, NodePath};
use crate::host::{EngineKind, Host, HostPath};
use crate::host_name::HostName;
use crate::runtime::{Runtime, TritonVersion};

/// Where the user wants files.
#[derive(Debug, Clone)]
pub enum PlaceChoice {
    /// Where the runtime looks that the inventory says: in the container of its name, else in its virtual environment.
    Inventory,
    /// Where the runtime of this running container looks.
    Container(String),
    /// Where the runtime of this virtual environment looks.
    Virtualenv(NodePath),
    /// In this folder of the node, which is mounted into containers, or which the runtime is told of.
    HostDir(NodePath),
}

/// A place on one node.
#[derive(Debug)]
pub(in crate::commands::tune) struct Place {
    /// The folder, and who works there.
    pub folder: ConfigFolder,
    /// The container it is in, and whose engine's that is.
    pub container: Option<(EngineKind, String)>,
    /// The runtime's family.
    pub family: Family,
    /// The rules that are known of its version.
    pub runtime: Option<Runtime>,
    /// Its Triton; none where the folder is for all.
    pub triton: Option<TritonVersion>,
    /// Why there.
    pub reason: String,
}

/// A folder for which it cannot be said what reads it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHostDir {
    /// Files of several kinds.
    #[error("{on}: `{dir}` would be read by one runtime, and the files are for several: {found}")]
    Several {
        /// The node.
        on: HostName,
        /// The folder.
        dir: HostPath,
        /// What the files are for.
        found: String,
    },
    /// Without files it is not known which of several is meant.
    #[error("{on}: files were deployed to several folders below `{dir}`; name one with --host-dir: {found}")]
    DeployedToSeveral {
        /// The node.
        on: HostName,
        /// The folder.
        dir: HostPath,
        /// Those that were deployed to.
        found: String,
    },
    /// Files of no Triton say nothing of the folder.
    #[error("{on}: which folder below `{dir}` is meant depends on the files; name it whole, with --host-dir")]
    Unknown {
        /// The node.
        on: HostName,
        /// The folder.
        dir: HostPath,
    },
}

impl Failure for NoHostDir {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            NoHostDir::Several { .. } => Some("name the files of one runtime and one Triton".into()),
            NoHostDir::DeployedToSeveral { .. } | NoHostDir::Unknown { .. } => None,
        }
    }
}

pub(super) async fn find(
    node: &Connected,
    choice: &PlaceChoice,
    family: Option<Family>,
    files: Option<&ForNodes>,
) -> Result<Place, Box<dyn Failure>> {
    match choice {
        PlaceChoice::HostDir(dir) => host_dir(node, dir, files).await,
        PlaceChoice::Virtualenv(dir) => virtualenv(node, dir, family).await,
        PlaceChoice::Container(name) => container(node, name, family).await,
        PlaceChoice::Inventory => match (container_name(node), node.node.settings.virtualenv()) {
            (Some(name), _) => container(node, &name, family).await,
            (None, Some(dir)) => virtualenv(node, dir, family).await,
            (None, None) => installed(node, node.host()?, HostPath::new("python3"), None, family).await,
        },
    }
}

/// The name that the inventory gives to the node's container.
pub(super) fn container_name(node: &Connected) -> Option<String> {
    node.node.settings.container(Labels::default()).map(|spec| spec.name)
}

async fn container(node: &Connected, name: &str, family: Option<Family>) -> Result<Place, Box<dyn Failure>> {
    let engine = node.engine().await?;
    let host = engine.named(name).await.map_err(ConnectError::from)?;
    installed(node, &host, HostPath::new("python3"), Some((engine.kind(), name.to_owned())), family).await
}

async fn virtualenv(
    node: &Connected,
    dir: &NodePath,
    family: Option<Family>,
) -> Result<Place, Box<dyn Failure>> {
    let python = on_node(node, dir).await?.join("bin/python");
    installed(node, node.host()?, python, None, family).await
}

/// Where the runtime that `python` has looks.
async fn installed(
    node: &Connected,
    host: &Arc<dyn Host>,
    python: HostPath,
    container: Option<(EngineKind, String)>,
    family: Option<Family>,
) -> Result<Place, Box<dyn Failure>> {
    let set = |(name, variable): (&String, &ContainerVariable)| match variable {
        ContainerVariable::Set(value) => Some((name.clone(), value.clone())),
        ContainerVariable::FromHarness => None,
    };
    // A container has its variables already, and they may be others than a newer inventory's.
    let variables: BTreeMap<String, String> = match container {
        Some(_) => BTreeMap::new(),
        None => node.node.settings.environment().iter().filter_map(set).collect(),
    };
    let found = probe(&**host, &python).await?.place(host.name(), &python, family, &variables);
    let found = found.map_err(|error: NoPlace| Box::new(error) as Box<dyn Failure>)?;
    let folder = ConfigFolder { host: Arc::clone(host), python, folder: found.folder, above: found.above };
    Ok(Place {
        folder,
        container,
        family: found.family,
        runtime: found.runtime,
        triton: Some(found.triton),
        reason: found.reason,
    })
}

/// The folder `dir` itself.
pub(super) async fn named(node: &Connected, dir: &NodePath) -> Result<ConfigFolder, Box<dyn Failure>> {
    let dir = on_node(node, dir).await?;
    let host = Arc::clone(node.host()?);
    Ok(ConfigFolder { host, python: HostPath::new("python3"), folder: dir.clone(), above: dir })
}

/// Below `dir`, as the runtime would look there that the files are for.
async fn host_dir(
    node: &Connected,
    dir: &NodePath,
    files: Option<&ForNodes>,
) -> Result<Place, Box<dyn Failure>> {
    let on = node.name().clone();
    let dir = on_node(node, dir).await?;
    let Some(files) = files else {
        return deployed_below(node, dir).await;
    };
    let Some((family, triton)) = files.kind() else {
        return Err(NoHostDir::Several { on, dir, found: files.kinds() }.into());
    };
    match family {
        Family::Vllm => {
            let reason = format!("for VLLM_TUNED_CONFIG_FOLDER={dir}");
            place_in(node, dir.clone(), dir, family, None, reason)
        }
        Family::Sglang => {
            let Some(triton) = triton else { return Err(NoHostDir::Unknown { on, dir }.into()) };
            let folder = dir.join("configs").join(&triton.directory());
            let reason = format!("for SGLANG_MOE_CONFIG_DIR={dir}");
            place_in(node, dir, folder, family, Some(triton), reason)
        }
    }
}

/// The folder below `dir` that files were deployed to, which were of a runtime that is not known now.
async fn deployed_below(node: &Connected, dir: HostPath) -> Result<Place, Box<dyn Failure>> {
    let named = |folder: HostPath, reason: &str| {
        place_in(node, dir.clone(), folder, Family::Sglang, None, reason.to_owned())
    };
    let place = named(dir.clone(), "it was named")?;
    // Where that cannot be asked, it is told when the folder itself is asked for.
    let Ok(mut found) = place.folder.deployed_below().await else { return Ok(place) };
    match (found.pop(), found.is_empty()) {
        (None, _) => Ok(place),
        (Some(folder), true) => named(folder, "files were deployed there"),
        (Some(last), false) => {
            let found = found.into_iter().chain([last]).map(|it| format!("`{it}`")).collect::<Vec<_>>();
            let on = node.name().clone();
            Err(NoHostDir::DeployedToSeveral { on, dir, found: found.join(", ") }.into())
        }
    }
}

fn place_in(
    node: &Connected,
    above: HostPath,
    folder: HostPath,
    family: Family,
    triton: Option<TritonVersion>,
    reason: String,
) -> Result<Place, Box<dyn Failure>> {
    let host = Arc::clone(node.host()?);
    let folder = ConfigFolder { host, python: HostPath::new("python3"), folder, above };
    Ok(Place { folder, container: None, family, runtime: None, triton, reason })
}

async fn on_node(node: &Connected, path: &NodePath) -> Result<HostPath, ConnectError> {
    match path {
        NodePath::Absolute(path) => Ok(path.clone()),
        NodePath::Home(_) => Ok(path.on(&node.home().await?)),
    }
}
