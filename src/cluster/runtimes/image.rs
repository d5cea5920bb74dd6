//! Asking what is in an image: a container of it that idles without a network, and goes as soon as it has answered.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::kept::key_of;
use super::{Answer, NoRuntime, NodeRuntime, Wish, ask, on, own_python};
use crate::cluster::connect::Connected;
use crate::cluster::images::runs;
use crate::cluster::installed::NoPlace;
use crate::cluster::inventory::Node;
use crate::host::container_spec::{Gpus, Labels, Restart};
use crate::host::engine::{Engine, EngineError, EngineFailure, ImageName};
use crate::host::{ContainerSpec, HostPath, Program, ShellLine};

/// What a container of this kind is for, as its label says.
const PURPOSE: &str = "probe";
/// How long a container idles that nobody removes, seconds: longer than any of its questions.
const IDLE_S: &str = "900";

/// Where a node's runtime is.
#[derive(Debug)]
pub(super) enum Found {
    /// In this image.
    Image { name: ImageName, id: String, key: String },
    /// In the node's own Python.
    Own { python: HostPath },
}

/// Where the runtime of `node` is.
pub(super) async fn find(
    node: &Connected,
    wish: &Wish<'_>,
    cancel: &CancellationToken,
) -> Result<Found, NoRuntime> {
    within(node, wish, cancel, find_out(node)).await
}

async fn find_out(node: &Connected) -> Result<Found, NoRuntime> {
    let Some(kind) = node.node.settings.engine() else {
        node.host()?;
        return Ok(Found::Own { python: own_python(node).await? });
    };
    let name = node.node.settings.image().unwrap_or_default();
    let name: ImageName = name.parse().map_err(|error| NoRuntime::BadImage { on: on(node), error })?;
    let engine = node.engine().await?;
    let image = engine.image(&name).await.map_err(|error| match error.what {
        EngineFailure::NoImage(_) => {
            NoRuntime::NotThere { on: on(node), engine: kind, image: name.to_string() }
        }
        _ => error.into(),
    })?;
    let machine = engine.facts().await?.architecture;
    if !runs(&image.architecture, &machine) {
        let (built_for, image) = (image.architecture, name.to_string());
        return Err(NoRuntime::OtherArchitecture { on: on(node), engine: kind, image, built_for, machine });
    }
    let key = key_of(&image);
    Ok(Found::Image { name, id: image.id, key })
}

impl Found {
    /// What it is kept by; none where it is not.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Found::Image { key, .. } => Some(key),
            Found::Own { .. } => None,
        }
    }

    pub(super) fn image_name(&self) -> &str {
        match self {
            Found::Image { name, .. } => name.as_str(),
            Found::Own { .. } => "",
        }
    }

    /// What `answer` says of the node.
    pub(super) fn runtime(
        &self,
        node: &Connected,
        answer: Answer,
        kept: bool,
    ) -> Result<NodeRuntime, NoRuntime> {
        let Answer { installed, options } = answer;
        let (image, python) = match self {
            Found::Image { name, id, .. } => (Some((name.to_string(), id.clone())), HostPath::new("python3")),
            Found::Own { python } => (None, python.clone()),
        };
        if installed.family().is_none() {
            return Err(match image {
                Some((image, _)) => NoRuntime::Neither { on: on(node), image },
                None => NoPlace::NoRuntime { on: on(node), python }.into(),
            });
        }
        let options = options.map(|answer| answer.options());
        Ok(NodeRuntime { image, python, installed, options, kept, notes: Vec::new() })
    }

    /// The answer, and what of ours stays on the node against our will.
    pub(super) async fn ask(
        &self,
        node: &Connected,
        wish: &Wish<'_>,
        cancel: &CancellationToken,
    ) -> Result<(Answer, Option<String>), NoRuntime> {
        match self {
            Found::Own { python } => {
                within(node, wish, cancel, async {
                    Ok((ask(&**node.host()?, python, wish.options).await?, None))
                })
                .await
            }
            Found::Image { name, .. } => in_container(node, name, wish, cancel).await,
        }
    }
}

async fn within<T>(
    node: &Connected,
    wish: &Wish<'_>,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, NoRuntime>>,
) -> Result<T, NoRuntime> {
    match cancel.run_until_cancelled(timeout(wish.limit, work)).await {
        None => Err(NoRuntime::Interrupted),
        Some(Err(_)) => Err(NoRuntime::Late { on: on(node), seconds: wish.limit.as_secs() }),
        Some(Ok(outcome)) => outcome,
    }
}

async fn in_container(
    node: &Connected,
    name: &ImageName,
    wish: &Wish<'_>,
    cancel: &CancellationToken,
) -> Result<(Answer, Option<String>), NoRuntime> {
    if cancel.is_cancelled() {
        return Err(NoRuntime::Interrupted);
    }
    let engine = node.engine().await?;
    if let Err(error) = remove_left(engine).await {
        tracing::warn!(node = %node.name(), "cannot look for containers left behind: {error}");
    }
    let spec = spec(&node.node, name, wish.cluster);
    // Not given up half-way: what is being created cannot be removed yet. The engine's calls have limits.
    let container = engine.run(&spec, &BTreeMap::new(), &HostPath::new("/"), None).await?;
    let host = engine.within_container(&container);
    let python = HostPath::new("python3");
    let asked = within(node, wish, cancel, async {
        ask(&*host, &python, wish.options).await.map_err(|error| match error {
            NoPlace::Ask(error) if error.is_no_python() => {
                NoRuntime::NoPython { on: on(node), image: name.to_string() }
            }
            error => error.into(),
        })
    });
    let asked = asked.await;
    let left = engine.remove(&container).await.err();
    let left =
        left.map(|error| format!("the container `{}` could not be removed: {error}", container.name()));
    match asked {
        Ok(answer) => Ok((answer, left)),
        Err(error) => {
            // The first error is the one to tell.
            left.inspect(|left| tracing::warn!("{left}"));
            Err(error)
        }
    }
}

/// The commands that equal asking the image of `node`, typed where its engine is reached from; none where it has none.
pub(crate) fn probe_lines(node: &Node, cluster: &str, options: bool) -> Vec<ShellLine> {
    let image = node.settings.image().and_then(|image| image.parse::<ImageName>().ok());
    let (Some(kind), Some(image)) = (node.settings.engine(), image) else { return Vec::new() };
    let spec = spec(node, &image, cluster);
    let engine = |words: &[&str]| ShellLine::of(&Program::new(kind.program(), words.iter().copied()));
    let exec = engine(&["exec", "--interactive", &spec.name, "python3", "-I", "-c", "node/runtime.py"]);
    let options = options
        .then(|| engine(&["exec", "--interactive", &spec.name, "python3", "-I", "-c", "node/options.py"]));
    let remove = engine(&["rm", "--force", &spec.name]);
    [Some(spec.run_line(kind)), Some(exec), options, Some(remove)].into_iter().flatten().collect()
}

/// Nothing of the node's settings: what it says is kept for every node that has the image.
fn spec(node: &Node, image: &ImageName, cluster: &str) -> ContainerSpec {
    let begun = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let own = std::process::id();
    ContainerSpec {
        image: image.to_string(),
        name: format!("sparktune-{cluster}-{PURPOSE}-{}-{begun}-{own}", node.name),
        network: "none".to_owned(),
        ipc: None,
        gpus: Gpus::None,
        ulimits: BTreeMap::new(),
        shm_size: None,
        devices: Vec::new(),
        cap_add: Vec::new(),
        volumes: Vec::new(),
        environment: BTreeMap::new(),
        entrypoint: Some(Vec::new()),
        command: ["sleep", IDLE_S].map(str::to_owned).to_vec(),
        restart: Restart::No,
        labels: Labels {
            cluster: cluster.to_owned(),
            purpose: PURPOSE.to_owned(),
            owner: format!("{}:{own}", machine()),
        },
    }
}

/// Remove the containers of programs that were killed on this machine while they asked.
async fn remove_left(engine: &Engine) -> Result<(), EngineError> {
    let wanted = BTreeMap::from([(format!("{}purpose", Labels::PREFIX), PURPOSE.to_owned())]);
    for left in engine.list(&wanted).await? {
        let owner = left.labels.get(&format!("{}owner", Labels::PREFIX));
        if owner.is_some_and(|owner| is_gone(owner)) {
            engine.remove(&left.container).await?;
        }
    }
    Ok(())
}

/// Whether the owner is a program of this machine that has ended.
fn is_gone(owner: &str) -> bool {
    let process = owner.strip_prefix(&machine()).and_then(|rest| rest.strip_prefix(':'));
    process
        .and_then(|id| id.parse::<u32>().ok())
        .is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists())
}

fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_program_of_this_machine_left_is_nobodys() {
        let own = std::process::id();
        assert!(!is_gone(&format!("{}:{own}", machine())), "it lives");
        // Above what Linux gives out.
        assert!(is_gone(&format!("{}:4294967295", machine())));
        for other in ["elsewhere:4294967295", "", ":", "4294967295", &format!("{}:x", machine()), &machine()]
        {
            assert!(!is_gone(other), "{other}");
        }
    }
}
