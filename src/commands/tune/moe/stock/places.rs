//! Where the script runs: containers and bare nodes of a cluster, or this machine; and the script there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::super::nodes::FromNodes;
use super::gpu::{fit_to_tune_on, is_fit};
use super::script_source::{self, Found, same, there};
use crate::cluster::installed::{Family, Installed, probe};
use crate::commands::tune::installation::{Installation, Named, same_target};
use crate::device::Device;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host::{Here, Host, HostPath, Variable};
use crate::host_name::HostName;
use crate::runtime::{Runtime, Target, TritonVersion, VllmVersion};
use crate::tuner::error::RunError;
use crate::tuner::plan::PlannedImage;
use crate::tuner::session::local_gpus;
use crate::tuner::stock::gpu_use::GpuUse;
use crate::tuner::stock::own_tuner::OwnTuner;
use crate::tuner::stock::run::StockNode;
use crate::tuner::stock::script::{Options, ScriptIdentity};
use crate::worker::target_of;

/// What every place is to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) tuner: &'static OwnTuner,
    /// Which vLLM; none where it is SGLang, whose release the target says.
    pub(super) release: Option<&'a VllmVersion>,
    pub(super) device: &'a Device,
    /// The script, where the user gave one.
    pub(super) given: Option<&'a Found>,
    /// Whether a GPU that others use is waited for; else it is refused.
    pub(super) may_wait: bool,
}

/// What the places that work for a run have in common, and each of them.
pub(super) struct Places {
    pub(super) nodes: Vec<StockNode>,
    pub(super) identity: ScriptIdentity,
    pub(super) options: Options,
    pub(super) script: String,
    pub(super) target: (Option<Runtime>, Option<TritonVersion>),
    pub(super) image: Option<PlannedImage>,
}

/// A vLLM that is not the one that was named.
#[derive(Debug, thiserror::Error)]
#[error("{on} has vLLM {found}, and the run is for {wanted}")]
struct OtherRelease {
    on: HostName,
    found: String,
    wanted: VllmVersion,
}

impl Failure for OtherRelease {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some("--vllm says which is there".into())
    }
}

/// Those of the nodes that can tune for the device, and the script on each.
pub(super) async fn on_nodes(
    opened: FromNodes,
    sought: Sought<'_>,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Places, Box<dyn Failure>> {
    let FromNodes { environments, target, image } = opened;
    let asking = fit_to_tune_on(environments, sought.device, sought.may_wait, observer);
    let environments = cancel.run_until_cancelled(asking).await.ok_or(RunError::Interrupted)??;
    let mut nodes = Vec::new();
    let mut first: Option<(HostName, Found)> = None;
    for (environment, in_use) in environments {
        let host = environment.starter.host;
        let (name, python) = (host.name().clone(), environment.starter.python);
        let looked = async {
            if let Some(wanted) = sought.release {
                is_release(&name, &probe(&*host, &python).await?, wanted)?;
            }
            Ok::<_, Box<dyn Failure>>(place(&*host, Some(&environment.package_root), sought).await?)
        };
        let found = cancel.run_until_cancelled(looked).await.ok_or(RunError::Interrupted)??;
        if let Some((first, ours)) = &first {
            same(sought.tuner, (first, &ours.script.identity), (&name, &found.script.identity))?;
        }
        let plain = |(name, variable): (String, Variable)| match variable {
            Variable::Set(value) => Some((name, value)),
            Variable::Unset | Variable::Secret(_) => None,
        };
        let variables = environment.starter.variables.into_iter().filter_map(plain).collect();
        let place = found.place.clone();
        nodes.push(StockNode { name: name.clone(), host, python, place, variables, in_use });
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
    sought: Sought<'_>,
    said: (Option<Runtime>, Option<TritonVersion>),
    observer: &mut dyn Observer,
) -> Result<Places, Box<dyn Failure>> {
    let host = Here::new();
    let (target, root, python) = match sought.release {
        Some(release) => vllm_here(&host, python, release, said).await?,
        None => sglang_here(&host, python, said, observer).await?,
    };
    let users = GpuUse::on(&host, &python).await.users();
    let in_use = is_fit(host.name(), &local_gpus(), users, sought.device, sought.may_wait)?;
    let Found { script, place, path } = place(&host, root.as_ref(), sought).await?;
    let name = host.name().clone();
    let (host, variables): (Arc<dyn Host>, _) = (Arc::new(host), BTreeMap::new());
    let nodes = vec![StockNode { name, host, python, place, variables, in_use }];
    Ok(Places {
        nodes,
        identity: script.identity,
        options: script.options,
        script: path,
        target,
        image: None,
    })
}

/// The target of an interpreter, the folder above the runtime's package, and the interpreter.
type OfInterpreter = ((Option<Runtime>, Option<TritonVersion>), Option<HostPath>, HostPath);

async fn sglang_here(
    host: &Here,
    python: &Path,
    said: (Option<Runtime>, Option<TritonVersion>),
    observer: &mut dyn Observer,
) -> Result<OfInterpreter, Box<dyn Failure>> {
    let installation = Installation::find(Named { python: Some(python), sglang_root: None }).await;
    let target = installation.decide(said, observer)?;
    let python = HostPath::try_from(python)?;
    let installed = probe(host, &python).await?;
    let package = installed.folder("sglang").and_then(|folder| folder.as_str().rsplit_once('/'));
    let root = package.map(|(above, _)| HostPath::new(above));
    Ok((target, root, python))
}

async fn vllm_here(
    host: &Here,
    python: &Path,
    release: &VllmVersion,
    said: (Option<Runtime>, Option<TritonVersion>),
) -> Result<OfInterpreter, Box<dyn Failure>> {
    let holder = format!("`{}`", python.display());
    let python = HostPath::try_from(python)?;
    let installed = probe(host, &python).await?;
    let (Target { runtime, triton }, root) = target_of(&installed, Family::Vllm, || holder.clone())?;
    same_target(&holder, (None, Some(triton)), said)?;
    is_release(host.name(), &installed, release)?;
    Ok(((Some(runtime), Some(triton)), Some(root), python))
}

/// That what is `installed` on a node has the vLLM that is `wanted`.
fn is_release(on: &HostName, installed: &Installed, wanted: &VllmVersion) -> Result<(), OtherRelease> {
    let found = installed.version(Family::Vllm.package()).unwrap_or("of unknown version");
    if wanted.is(found) {
        return Ok(());
    }
    Err(OtherRelease { on: on.clone(), found: found.to_owned(), wanted: wanted.clone() })
}

/// The script for a node: the one that was given, or its own.
async fn place(
    host: &dyn Host,
    root: Option<&HostPath>,
    sought: Sought<'_>,
) -> Result<Found, script_source::NoScript> {
    match sought.given {
        Some(Found { script, place, path }) => {
            Ok(Found { script: script.clone(), place: place.clone(), path: path.clone() })
        }
        None => there(host, root, sought.tuner).await,
    }
}
