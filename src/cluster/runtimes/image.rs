//! Asking what is in an image: a container of it that idles without a network, and goes as soon as it has answered.

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::kept::key_of;
use super::{Answer, NoRuntime, NodeRuntime, Wish, ask, on};
use crate::cluster::connect::Connected;
use crate::cluster::images::runs;
use crate::cluster::installed::NoPlace;
use crate::cluster::inventory::Node;
use crate::host::container_spec::Labels;
use crate::host::engine::{EngineFailure, ImageName};
use crate::host::{ContainerSpec, HostPath, Program, ShellLine};

/// What a container of this kind is for, as its label says.
const PURPOSE: &str = "probe";

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
        return Ok(Found::Own { python: node.own_python().await? });
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
    let spec = spec(&node.node, name, wish.cluster);
    // Not given up half-way: what is being created cannot be removed yet. The engine's calls have limits.
    let container = engine.run_short_lived(&spec, &HostPath::new("/"), None).await;
    let container = container.map_err(|error| match error.what {
        EngineFailure::NoPython(image) => NoRuntime::NoPython { on: on(node), image },
        _ => error.into(),
    })?;
    let (host, python, called) = (container.host(), HostPath::new("python3"), container.name().to_owned());
    let asked = within(node, wish, cancel, async {
        ask(&*host, &python, wish.options).await.map_err(|error| match error {
            NoPlace::Ask(error) if error.is_no_python() => {
                NoRuntime::NoPython { on: on(node), image: name.to_string() }
            }
            error => error.into(),
        })
    });
    let asked = asked.await;
    let left = container.close().await.err();
    let left = left.map(|error| format!("the container `{called}` could not be removed: {error}"));
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
    [Some(spec.short_lived_line(kind)), Some(exec), options, Some(remove)].into_iter().flatten().collect()
}

/// Nothing of the node's settings: what it says is kept for every node that has the image.
fn spec(node: &Node, image: &ImageName, cluster: &str) -> ContainerSpec {
    let labels = Labels::of_this_command(cluster, PURPOSE);
    ContainerSpec::apart(image.to_string(), labels).short_lived(&node.name)
}
