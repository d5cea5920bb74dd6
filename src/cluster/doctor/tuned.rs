//! Config files for a model's kernels, where the runtime of each node looks for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Judgement;
use super::asked::AskedModel;
use super::seen::{Examined, Obstacle, Seen, Tuned};
use crate::artifact::ConfigName;
use crate::cluster::deploy::ConfigFolder;
use crate::cluster::installed::probe;
use crate::cluster::runtimes::NoRuntime;
use crate::device::Device;
use crate::host::{Host, HostPath};
use crate::model::{FusionChoice, moe_shape};
use crate::shape::Role;

/// Where the runtime that `python` of `host` has looks for config files, and which are there. `variables` are those that
/// it will be started with beyond its host's; `whose` says whose runtime it is.
pub(super) async fn look(
    host: &Arc<dyn Host>,
    python: HostPath,
    variables: &BTreeMap<String, String>,
    whose: String,
) -> Result<Tuned, Obstacle> {
    let on = format!("{}: ", host.name());
    // The node is named beside it.
    let obstacle = |error: String| Obstacle {
        says: format!("{whose}: {}", error.strip_prefix(&on).unwrap_or(&error)),
        fix: None,
    };
    let installed = probe(&**host, &python).await.map_err(|error| obstacle(error.to_string()))?;
    let place = installed.place(host.name(), &python, None, variables);
    let place = place.map_err(|error| obstacle(error.to_string()))?;
    let folder = ConfigFolder {
        host: Arc::clone(host),
        python,
        folder: place.folder.clone(),
        above: place.above.clone(),
    };
    let contents = folder.look().await.map_err(|error| obstacle(error.to_string()))?;
    Ok(Tuned { place, whose, files: contents.files.into_keys().collect() })
}

/// Whether the files are there that the runtime of each node looks for.
pub(super) fn files(examined: &Examined, at: usize) -> Vec<Option<Judgement>> {
    let model = &examined.models[at];
    examined.nodes.iter().map(|seen| judge(model, seen)).collect()
}

fn judge(model: &AskedModel, seen: &Seen) -> Option<Judgement> {
    let unknown = |says: String| Some(Judgement::unknown(format!("{}: {says}", model.name)));
    let found = match seen.tuned.as_ref()? {
        Ok(found) => found,
        // That the image serves nothing is said already.
        Err(_)
            if matches!(seen.runtime, Some(Err(NoRuntime::NoPython { .. } | NoRuntime::Neither { .. }))) =>
        {
            return None;
        }
        Err(trouble) => return unknown(trouble.says.clone()),
    };
    let (family, version) = (found.place.family.name(), &found.place.version);
    let Some(runtime) = found.place.runtime else {
        return unknown(format!(
            "{family} {version} {}: nobody has read its rules for file names",
            found.whose
        ));
    };
    let config = match &model.config {
        Ok(config) => config,
        Err(why) => return unknown(why.clone()),
    };
    let shape = match moe_shape(config, model.parallelism, runtime, FusionChoice::Auto) {
        Ok(geometry) => geometry.shape,
        Err(error) if error.reads_no_files() => return Some(Judgement::ok(format!("none is read: {error}"))),
        Err(error) => return unknown(error.to_string()),
    };
    let named = seen.node.settings.expect_gpu();
    let gpu = named.or_else(|| Some(seen.facts()?.gpus.first()?.name.as_str()))?;
    let Ok(device) = Device::find(gpu) else {
        return unknown(format!("there is no profile of {gpu}"));
    };
    let roles = Role::BOTH.into_iter().filter(|role| *role == Role::Up || runtime.reads_down_file());
    let wanted: Vec<String> =
        roles.map(|role| ConfigName::for_shape(&shape, &device, runtime, role).file_name(runtime)).collect();
    let missing: Vec<&str> =
        wanted.iter().filter(|name| !found.files.contains(*name)).map(String::as_str).collect();
    let folder = &found.place.folder;
    if missing.is_empty() {
        return Some(Judgement::ok(format!(
            "{}: {} in {folder}, {}",
            model.name,
            wanted.join(", "),
            found.whose
        )));
    }
    let says = format!("{}: {} not in {folder}, {}", model.name, missing.join(", "), found.whose);
    Some(Judgement::warning(says).fix(make(model, runtime.sglang_version(), &found.place.triton.to_string())))
}

/// The commands that make the files and bring them there. Nothing is made for vLLM, whose kernels are SGLang's.
fn make(model: &AskedModel, sglang: Option<&str>, triton: &str) -> String {
    let (tp, ep) = (model.parallelism.tp(), model.parallelism.ep());
    let ep = if ep > 1 { format!(" --ep {ep}") } else { String::new() };
    let sglang = sglang.map(|version| format!(" --sglang {version} --triton {triton}")).unwrap_or_default();
    format!("sparktune moe --model {} --tp {tp}{ep}{sglang}, then sparktune deploy results/RUN", model.name)
}
