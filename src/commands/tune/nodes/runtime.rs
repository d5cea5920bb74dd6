//! What serves on each node: asked, and shown beside what the node is.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::NodesSettings;
use crate::cluster::connect::{ConnectError, Connected};
use crate::cluster::installed::{KernelCode, NoPlace, Tools};
use crate::cluster::inventory::Node;
use crate::cluster::runtimes::{NoRuntime, NodeRuntime, Wish, runtimes};
use crate::commands::{CommandResult, Verdict};
use crate::failure::{Failure, Kind};

/// How long a node may take to say what serves there. A runtime's help loads all of it, from a disk that is cold.
const LIMIT: Duration = Duration::from_secs(300);

/// A node, as the inventory has it, and what serves there.
pub(super) type Serving = (Node, Result<NodeRuntime, NoRuntime>);

pub(super) fn wish<'a>(cluster: &'a str, settings: &'a NodesSettings) -> Wish<'a> {
    Wish {
        cluster,
        cache: &settings.cache,
        fresh: settings.fresh,
        options: settings.options.is_some(),
        limit: LIMIT,
    }
}

/// What serves on each of `nodes`, those that nobody got to included.
pub(super) async fn ask(
    nodes: &[Node],
    connected: Vec<Result<Connected, ConnectError>>,
    wish: &Wish<'_>,
    cancel: &CancellationToken,
) -> Vec<Serving> {
    let reached: Vec<&Connected> = connected.iter().flatten().collect();
    let mut answers = runtimes(&reached, wish, cancel).await.into_iter();
    let each = nodes.iter().zip(&connected).map(|(node, connected)| {
        // One answer a node that was reached.
        let answer = connected.is_ok().then(|| answers.next()).flatten();
        (node.clone(), answer)
    });
    let each: Vec<_> = each.collect();
    let unreached = |connected: Result<Connected, ConnectError>| connected.err().map(NoRuntime::from);
    let whole = each.into_iter().zip(connected).map(|((node, answer), connected)| {
        let unreached = || Err(unreached(connected).unwrap_or(NoRuntime::Interrupted));
        (node, answer.unwrap_or_else(unreached))
    });
    whole.collect()
}

/// What serves on each of the nodes `reached`.
pub(super) async fn of_reached(
    reached: &[Connected],
    wish: &Wish<'_>,
    cancel: &CancellationToken,
) -> Vec<Serving> {
    let nodes: Vec<&Connected> = reached.iter().collect();
    let answers = runtimes(&nodes, wish, cancel).await;
    reached.iter().map(|node| node.node.clone()).zip(answers).collect()
}

/// Some images cannot be served from.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|(says, _)| says.as_str()).collect::<Vec<_>>().join("; "))]
struct Unusable(Vec<(String, Option<String>)>);

impl Failure for Unusable {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        self.0.iter().find_map(|(_, hint)| hint.clone())
    }
}

/// Nodes without their image, their engine or any runtime are as they are; an image that is there and serves nothing,
/// or does not say what, is an error.
pub(super) fn verdict(serving: &[Serving]) -> CommandResult {
    let unusable = |error: &NoRuntime| match error {
        NoRuntime::NotThere { .. } | NoRuntime::Connect(_) | NoRuntime::Engine(_) => false,
        NoRuntime::Python(error) => !matches!(**error, NoPlace::NoRuntime { .. }),
        _ => true,
    };
    let found =
        serving.iter().filter_map(|(_, runtime)| runtime.as_ref().err()).filter(|error| unusable(error));
    let found: Vec<_> = found.map(|error| (error.to_string(), error.hint())).collect();
    if found.is_empty() { Ok(Verdict::Done) } else { Err(Unusable(found).into()) }
}

/// The columns of [`row`].
pub(super) const HEADER: [&str; 12] = [
    "node",
    "runtime",
    "Triton",
    "ptxas",
    "torch",
    "CUDA",
    "NCCL",
    "Ray",
    "Python",
    "kernels for",
    "image",
    "problem",
];

/// `capability` is that of the node's GPU, times ten.
pub(super) fn row((node, runtime): &Serving, capability: Option<u32>) -> Vec<String> {
    let none = || "-".to_owned();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let mut row = vec![none(); HEADER.len()];
            row[0] = node.name.to_string();
            row[10] = node.settings.image().map_or_else(none, str::to_owned);
            row[11] = error.problem();
            return row;
        }
    };
    let version = |package| runtime.installed.version(package).map_or_else(none, str::to_owned);
    let tools = runtime.installed.tools.as_ref();
    let assembler = tools.and_then(|tools| tools.assembler(capability.unwrap_or(0)));
    vec![
        node.name.to_string(),
        named(runtime),
        version("triton"),
        assembler.and_then(|it| it.version.clone()).unwrap_or_else(none),
        version("torch"),
        tools.and_then(|tools| tools.cuda.clone()).unwrap_or_else(none),
        tools.and_then(|tools| tools.nccl.clone()).unwrap_or_else(none),
        version("ray"),
        runtime.installed.python.clone(),
        kernels(runtime).unwrap_or_else(none),
        runtime.image.as_ref().map_or_else(none, |(name, _)| name.clone()),
        String::new(),
    ]
}

/// `SGLang 0.5.23`
pub(super) fn named(runtime: &NodeRuntime) -> String {
    let family = runtime.installed.family();
    family.map_or_else(String::new, |family| {
        format!(
            "{} {}",
            family.name(),
            runtime.installed.version(family.package()).unwrap_or("of unknown version")
        )
    })
}

/// The GPUs that any library has code for.
fn kernels(runtime: &NodeRuntime) -> Option<String> {
    let tools = runtime.installed.tools.as_ref()?;
    let mut found: Vec<&String> = tools.kernels.values().flat_map(|it: &KernelCode| &it.code).collect();
    // `sm_90` before `sm_100`.
    found.sort_by_key(|name| (name.len(), *name));
    found.dedup();
    (!found.is_empty()).then(|| found.into_iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// Lines that tell more of a node: where its config files are, and what keeps its runtime from working.
pub(super) fn notes((node, runtime): &Serving, capability: Option<u32>) -> (Vec<String>, Vec<String>) {
    let name = &node.name;
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return (Vec::new(), error.hint().map(|hint| format!("{name}: {hint}")).into_iter().collect());
        }
    };
    let mut lines = Vec::new();
    let mut notes: Vec<String> = runtime.notes.iter().map(|note| format!("{name}: {note}")).collect();
    match runtime.place(node) {
        Ok(place) => {
            let files = match runtime.config_files(&place) {
                Some(files) if files.writable => format!("{} there", files.files.len()),
                Some(files) => format!("{} there, not writable", files.files.len()),
                None => "known once it runs".to_owned(),
            };
            lines.push(format!("{name}: config files {} ({files}): {}", place.folder, place.reason));
        }
        Err(error) => notes.push(error.to_string()),
    }
    let tools = runtime.installed.tools.as_ref();
    let taken = capability.and_then(|it| Some((Tools::target(it), tools?.assembler(it)?)));
    let said = ["TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH"]
        .iter()
        .any(|name| node.settings.environment().contains_key(*name));
    if let Some((target, assembler)) = taken.filter(|(target, it)| !said && !it.knows(target)) {
        let path = &assembler.path;
        notes.push(format!(
            "{name}: {path} does not know {target}: point TRITON_PTXAS_PATH at one that does (CUDA 13 has one)"
        ));
    }
    if let Some(why) = tools.and_then(|tools| tools.no_kernels.as_ref()) {
        notes.push(format!("{name}: which GPUs its kernels are for is not known: {why}"));
    }
    (lines, notes)
}

pub(super) fn as_json((node, runtime): &Serving) -> Value {
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return json!({ "error": error.to_string(), "hint": error.hint() }),
    };
    let place = runtime.place(node);
    let files = place.as_ref().ok().and_then(|place| runtime.config_files(place));
    json!({
        "image": runtime.image.as_ref().map(|(name, id)| json!({ "name": name, "id": id })),
        "python": runtime.python,
        "kept": runtime.kept,
        "notes": runtime.notes,
        "family": runtime.installed.family(),
        "installed": runtime.installed,
        "config_place": place.as_ref().ok(),
        "config_files": files,
        "config_problem": place.as_ref().err().map(ToString::to_string),
        "options": runtime.options.as_ref().and_then(|options| options.as_ref().ok()),
        "options_problem": runtime.options.as_ref().and_then(|options| options.as_ref().err()),
    })
}
