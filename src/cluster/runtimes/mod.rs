//! What serves models on each node: in the image of its containers, or in its own Python.
//!
//! An image is asked once, in a container of its own without a network, and what it said is kept by the image's
//! content: nodes that have the same image are not asked again. A node without containers is asked each time.

mod error;
mod image;
mod kept;
mod options;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub(crate) use error::NoRuntime;
pub(crate) use image::probe_lines;
pub(crate) use options::{OptionsFrom, ServerOptions};

use self::image::{Found, find};
use self::kept::Kept;
use self::options::OptionsAnswer;
use super::connect::Connected;
use super::installed::{ConfigFiles, ConfigPlace, Installed, NoPlace, probe_with_tools};
use super::inventory::Node;
use crate::host::container_spec::ContainerVariable;
use crate::host::{Host, HostPath};
use crate::host_name::HostName;

/// How nodes are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The cluster's name, for labels.
    pub(crate) cluster: &'a str,
    /// The user's cache folder for this project.
    pub(crate) cache: &'a Path,
    /// Ask images again that were asked before.
    pub(crate) fresh: bool,
    /// Also ask for the options of the server's command, which may load all of it.
    pub(crate) options: bool,
    /// How long one node may take to answer. What is waited for twice is asked of another node after the first failed.
    pub(crate) limit: Duration,
}

/// What an interpreter said.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    installed: Installed,
    /// None where nobody wanted to know.
    options: Option<OptionsAnswer>,
}

/// What serves on a node.
#[derive(Debug, Clone)]
pub(crate) struct NodeRuntime {
    /// The image it is in, by name and by the engine's ID; none where it is the node's own.
    pub(crate) image: Option<(String, String)>,
    /// The interpreter.
    pub(crate) python: HostPath,
    /// What that has, [`Installed::tools`] included.
    pub(crate) installed: Installed,
    /// What the server's command takes; none where nobody wanted to know.
    pub(crate) options: Option<Result<ServerOptions, String>>,
    /// Whether it was known from before.
    pub(crate) kept: bool,
    /// What went wrong besides.
    pub(crate) notes: Vec<String>,
}

/// Ask every node, all at once, what serves there; one outcome a node, in their order.
///
/// Of nodes that have the same image the first is asked; the others only where it failed, all at once. `cancel` ends
/// the waiting; the containers are removed even then.
pub(crate) async fn runtimes(
    nodes: &[&Connected],
    wish: &Wish<'_>,
    cancel: &CancellationToken,
) -> Vec<Result<NodeRuntime, NoRuntime>> {
    let kept = Kept::below(wish.cache);
    let found = join_all(nodes.iter().map(|node| find(node, wish, cancel))).await;
    let mut answers: Vec<Option<Result<NodeRuntime, NoRuntime>>> = Vec::new();
    let mut places = Vec::new();
    let mut notes: Vec<Vec<String>> = vec![Vec::new(); nodes.len()];
    for (at, found) in found.into_iter().enumerate() {
        match found {
            Err(error) => {
                answers.push(Some(Err(error)));
                places.push(None);
            }
            Ok(place) => {
                let known = place.key().filter(|_| !wish.fresh).and_then(|key| {
                    let known = kept.get(key);
                    known.unwrap_or_else(|damaged| {
                        notes[at].push(format!("{damaged}: the image is asked again"));
                        None
                    })
                });
                let known = known.filter(|answer| answer.options.is_some() || !wish.options);
                answers.push(known.map(|answer| place.runtime(nodes[at], answer, true)));
                places.push(Some(place));
            }
        }
    }
    // The first of each image and whatever is no image's; then, where the first had no answer, the rest.
    for first in [true, false] {
        let key = |at: usize| places[at].as_ref().and_then(Found::key);
        let open: Vec<usize> = (0..nodes.len()).filter(|at| answers[*at].is_none()).collect();
        let is_first =
            |at: usize| key(at).is_none_or(|_| open.iter().find(|it| key(**it) == key(at)) == Some(&at));
        let asked = open.iter().copied().filter(|at| !first || is_first(*at));
        let asked = asked.filter_map(|at| Some((at, places[at].as_ref()?)));
        let asked: Vec<(usize, &Found)> = asked.collect();
        let said = join_all(asked.iter().map(|(at, place)| place.ask(nodes[*at], wish, cancel))).await;
        for ((at, place), said) in asked.into_iter().zip(said) {
            let said = said.map(|(answer, left)| {
                notes[at].extend(left);
                answer
            });
            if let (Ok(answer), Some(key)) = (&said, place.key()) {
                notes[at].extend(kept.put(key, place.image_name(), answer).err());
                for other in open.iter().copied().filter(|other| *other != at) {
                    let same = places[other].as_ref().filter(|it| it.key() == Some(key));
                    if let (Some(same), None) = (same, &answers[other]) {
                        answers[other] = Some(same.runtime(nodes[other], answer.clone(), false));
                    }
                }
            }
            answers[at] = Some(said.and_then(|answer| place.runtime(nodes[at], answer, false)));
        }
    }
    // Each was asked in one of the two rounds.
    let answers = answers.into_iter().map(|answer| answer.unwrap_or(Err(NoRuntime::Interrupted)));
    answers.zip(notes).map(|(answer, notes)| Ok(NodeRuntime { notes, ..answer? })).collect()
}

/// Ask one interpreter.
async fn ask(host: &dyn Host, python: &HostPath, options: bool) -> Result<Answer, NoPlace> {
    let installed = probe_with_tools(host, python).await?;
    let options = match installed.family().filter(|_| options) {
        Some(family) => Some(options::ask(host, python, family).await?),
        None => None,
    };
    Ok(Answer { installed, options })
}

impl NodeRuntime {
    /// Where the runtime looks for config files once it runs on `node`.
    pub(crate) fn place(&self, node: &Node) -> Result<ConfigPlace, NoPlace> {
        let set = |(name, variable): (&String, &ContainerVariable)| match variable {
            ContainerVariable::Set(value) => Some((name.clone(), value.clone())),
            ContainerVariable::FromHarness => None,
        };
        let variables: BTreeMap<_, _> = node.settings.environment().iter().filter_map(set).collect();
        self.installed.place(&node.name, &self.python, None, &variables)
    }

    /// The config files in the folder of `place`, by name, and whether they can be written; none where that folder is
    /// only known once the runtime runs, such as one of the node that is mounted.
    pub(crate) fn config_files(&self, place: &ConfigPlace) -> Option<ConfigFiles> {
        let found = self.installed.tools.as_ref()?.configs.get(place.above.as_str())?;
        let below = place.folder.as_str().strip_prefix(place.above.as_str())?.trim_start_matches('/');
        let name = |file: &String| match below {
            "" => Some(file.clone()),
            below => Some(file.strip_prefix(below)?.strip_prefix('/')?.to_owned()),
        };
        let files = found.files.iter().filter_map(name).filter(|name| !name.contains('/')).collect();
        Some(ConfigFiles { writable: found.writable, files })
    }
}

fn on(node: &Connected) -> HostName {
    node.name().clone()
}
