//! What a program in a node's container has: a container of the node's image and settings, up for a few seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::on_node::{are_there, told};
use super::seen::{GpuInside, Obstacle, Tuned};
use super::tuned;
use crate::cluster::connect::Connected;
use crate::cluster::inventory::Node;
use crate::host::container_spec::{Gpus, Labels};
use crate::host::engine::{Engine, EngineFailure, ShortLived};
use crate::host::{ContainerSpec, Host, HostPath, Program, ShellLine};

/// What a container of this kind is for, as its label says.
const PURPOSE: &str = "doctor";
const GPU: &str = include_str!("../../../worker/node/gpu.py");
/// Time for the container to come up and to be asked.
const LIMIT: Duration = Duration::from_secs(30);
/// Time to remove it.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);

/// What is asked of a node's containers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its GPUs.
    pub(super) gpus: bool,
    /// Where its runtime looks for config files.
    pub(super) tuned: bool,
}

/// What came of it; none of what was not asked for.
#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) gpus: Option<GpuInside>,
    pub(super) tuned: Option<Result<Tuned, Obstacle>>,
}

/// Ask in the node's container of cluster `cluster` what is `wanted`. Config files are looked for where the running
/// container of the inventory's name has them, if there is one.
pub(super) async fn inside(
    connected: &Connected,
    engine: &Engine,
    cluster: &str,
    wanted: Wanted,
    cancel: &CancellationToken,
) -> Inside {
    let python = HostPath::new("python3");
    let running = match (wanted.tuned, connected.node.settings.container(Labels::default())) {
        (true, Some(spec)) => {
            let named = cancel.run_until_cancelled(engine.named(&spec.name)).await;
            named.and_then(Result::ok).map(|host| (spec.name, host))
        }
        _ => None,
    };
    let of_running = async {
        let (name, host) = running.as_ref()?;
        let whose = format!("in the container {name}");
        let none = BTreeMap::new();
        let tuned = timeout(LIMIT, tuned::look(host, python.clone(), &none, whose));
        Some(cancel.run_until_cancelled(tuned).await?.unwrap_or_else(|_| Err(late())))
    };
    let asked = Wanted { tuned: wanted.tuned && running.is_none(), ..wanted };
    let of_own = async {
        if !(asked.gpus || asked.tuned) {
            return Inside::default();
        }
        own(connected, engine, cluster, asked, cancel).await
    };
    let (of_running, of_own) = tokio::join!(of_running, of_own);
    Inside { tuned: of_own.tuned.or(of_running), ..of_own }
}

/// The same in a container of our own, which is gone afterwards.
async fn own(
    connected: &Connected,
    engine: &Engine,
    cluster: &str,
    wanted: Wanted,
    cancel: &CancellationToken,
) -> Inside {
    let Some(spec) = connected.node.settings.container(Labels::of_this_command(cluster, PURPOSE)) else {
        return Inside::default();
    };
    let spec = short_lived(spec, &connected.node, wanted);
    let name = spec.name.clone();
    let work = async {
        let container = match bring_up(connected, engine, spec).await {
            Ok(container) => container,
            Err(NotUp::Unknown(trouble)) => {
                return Inside {
                    gpus: wanted.gpus.then(|| GpuInside::Unknown(trouble.clone())),
                    tuned: wanted.tuned.then_some(Err(trouble)),
                };
            }
            Err(NotUp::NoContainer(trouble)) => {
                return Inside {
                    gpus: wanted.gpus.then(|| GpuInside::NoContainer(trouble.clone())),
                    // Where the GPUs are in the way, it is told of them.
                    tuned: (wanted.tuned && !wanted.gpus).then_some(Err(trouble)),
                };
            }
        };
        ask(&container.host(), wanted, &spec_image(connected)).await
    };
    let asked = cancel.run_until_cancelled(timeout(LIMIT, work)).await;
    remove(engine, &name).await;
    match asked {
        Some(Ok(inside)) => inside,
        Some(Err(_)) => Inside {
            gpus: wanted.gpus.then(|| GpuInside::Unknown(late())),
            tuned: wanted.tuned.then(|| Err(late())),
        },
        None => Inside::default(),
    }
}

/// The command lines that equal what [`inside`] does on `node`; `tuned` is whether config files are looked for.
pub(crate) fn lines(node: &Node, cluster: &str, tuned: bool) -> Vec<ShellLine> {
    let wanted = Wanted { gpus: node.settings.wants_gpus(), tuned };
    let spec = node.settings.container(Labels::of_this_command(cluster, PURPOSE));
    let (Some(spec), Some(kind), true) = (spec, node.settings.engine(), wanted.gpus || wanted.tuned) else {
        return Vec::new();
    };
    let spec = short_lived(spec, node, wanted);
    let engine = |words: &[&str]| ShellLine::of(&Program::new(kind.program(), words.iter().copied()));
    let exec = |program| engine(&["exec", "--interactive", &spec.name, "python3", "-I", "-c", program]);
    let gpus = wanted.gpus.then(|| exec("node/gpu.py"));
    let files = ["node/runtime.py", "node/deploy.py"].into_iter().filter(|_| tuned).map(exec);
    let begin = std::iter::once(spec.short_lived_line(kind)).chain(gpus).chain(files);
    begin.chain([engine(&["rm", "--force", &spec.name])]).collect()
}

async fn ask(host: &Arc<dyn Host>, wanted: Wanted, image: &str) -> Inside {
    let gpus = async {
        if !wanted.gpus {
            return None;
        }
        let told = told(&**host, GPU, &serde_json::Value::Null).await;
        Some(told.map_or_else(GpuInside::Unknown, GpuInside::Seen))
    };
    let files = async {
        if !wanted.tuned {
            return None;
        }
        let whose = format!("in a container of {image}");
        Some(tuned::look(host, HostPath::new("python3"), &BTreeMap::new(), whose).await)
    };
    let (gpus, tuned) = tokio::join!(gpus, files);
    Inside { gpus, tuned }
}

fn spec_image(connected: &Connected) -> String {
    connected.node.settings.image().unwrap_or_default().to_owned()
}

fn late() -> Obstacle {
    Obstacle { says: format!("a container did not answer within {} s", LIMIT.as_secs()), fix: None }
}

/// As the node's own containers are, but short-lived. It sees folders of the node only where it is asked for files.
fn short_lived(spec: ContainerSpec, node: &Node, wanted: Wanted) -> ContainerSpec {
    let mut spec = spec.short_lived(&node.name);
    if !wanted.gpus {
        spec.gpus = Gpus::None;
    }
    if !wanted.tuned {
        spec.volumes.clear();
    }
    spec
}

/// Why there is no container to ask.
enum NotUp {
    /// It says nothing of the node's GPUs: the node could not be asked for folders, or the image has no Python.
    Unknown(Obstacle),
    /// The engine brought none up.
    NoContainer(Obstacle),
}

async fn bring_up(
    connected: &Connected,
    engine: &Engine,
    mut spec: ContainerSpec,
) -> Result<ShortLived, NotUp> {
    let host = connected.host().ok().map(|host| &**host);
    // An engine would make those that are not there, as root.
    let sources: Vec<String> = spec.volumes.iter().map(|volume| volume.source.to_string()).collect();
    let there = match host {
        Some(host) if !sources.is_empty() => are_there(host, &sources).await.map_err(NotUp::Unknown)?,
        _ => Vec::new(),
    };
    let mut there = there.into_iter();
    spec.volumes.retain(|_| there.next().unwrap_or(false));
    let home = connected.home_for(&spec).await.map_err(|error| NotUp::Unknown(error.into()))?;
    engine.run_short_lived(&spec, &home, host).await.map_err(|error| match error.what {
        EngineFailure::NoPython(_) => NotUp::Unknown(error.into()),
        _ => NotUp::NoContainer(error.into()),
    })
}

/// Remove the container, however far it came.
async fn remove(engine: &Engine, name: &str) {
    match timeout(REMOVE_LIMIT, engine.remove_named(name)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(container = name, "cannot remove it: {error}"),
        Err(_) => tracing::warn!(container = name, "it was not removed in time; the next command does that"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::inventory::Inventory;
    use crate::host::EngineKind;

    #[test]
    fn the_container_is_the_nodes_own_but_ends_by_itself_and_knows_no_secret() {
        let text = "name = \"lab\"\nimage = \"i\"\nenv = { A = \"1\" }\nenv_from = [\"HF_TOKEN\"]\n\
                    container = { name = \"sglang\", restart = \"always\", volumes = [\"/c:/c\"], cap_add = \
                    [\"IPC_LOCK\"], entrypoint = [\"/bin/tini\"] }\n[[nodes]]\nname = \"a\"\nrole = \"head\"\nssh \
                    = \"a\"\n";
        let node = Inventory::parse(Path::new("sparks.toml"), text).unwrap().nodes.remove(0);
        let line = |gpus, tuned| {
            let spec = node.settings.container(Labels::of_this_command("lab", PURPOSE)).unwrap();
            let spec = short_lived(spec, &node, Wanted { gpus, tuned });
            spec.short_lived_line(EngineKind::Docker).to_string()
        };
        let with_gpus = line(true, false);
        assert!(with_gpus.contains("--name sparktune-lab-doctor-a-"), "{with_gpus}");
        assert!(with_gpus.contains(" --network host --gpus all"), "{with_gpus}");
        assert!(with_gpus.contains("--cap-add IPC_LOCK --env 'A=1' --label"), "{with_gpus}");
        assert!(with_gpus.ends_with("--entrypoint '' i python3 -I -c node/idle.py 900"), "{with_gpus}");
        assert!(with_gpus.contains("--label 'sparktune.purpose=doctor'"), "{with_gpus}");
        let with_files = line(false, true);
        assert!(!with_files.contains("--gpus") && with_files.contains("--volume /c:/c"), "{with_files}");
        for line in [with_gpus, with_files] {
            assert!(!line.contains("HF_TOKEN") && !line.contains("--restart"), "{line}");
        }
    }
}
