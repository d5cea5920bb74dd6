//! `sparktune init`: an inventory of this machine, of hosts given, or of hosts found.

mod dialogue;
mod nodes;

use std::io;
use std::path::{Path, PathBuf};

pub use dialogue::Dialogue;
pub use nodes::{BadNode, GivenNode};

use crate::cluster::inventory::{Draft, DraftNode, EngineChoice, Inventory, InventoryError, NodeRole};
use crate::cluster::nearby::{Found, look};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::failure::{Failure, Kind, forwards};
use crate::fs::{write_atomic, write_atomic_new};
use crate::host::{EngineKind, Here};
use crate::host_name::HostName;

/// What the user said.
#[derive(Debug, Clone)]
pub struct InitSettings {
    /// The file.
    pub output: PathBuf,
    /// Whether a file that is there is overwritten.
    pub force: bool,
    /// Print the file and write nothing.
    pub dry_run: bool,
    /// Ask nothing: what was found is taken.
    pub yes: bool,
    /// The cluster's name.
    pub name: String,
    /// Nodes by hand.
    pub nodes: Vec<GivenNode>,
    /// Which of the nodes is the head.
    pub head: Option<HostName>,
    /// What keeps the containers.
    pub engine: Option<EngineChoice>,
    /// Their image.
    pub image: Option<String>,
    /// Look for hosts.
    pub discover: bool,
}

/// Why no inventory was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The file is somebody's.
    #[error("`{}` is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Hosts would be taken that nobody has seen.
    #[error("--discover takes whatever it finds, and nobody is here to look at it first")]
    Unseen,
    /// Looked, and nobody was there.
    #[error("no host was found")]
    NobodyFound,
    /// Containers of nothing.
    #[error("no image: the nodes' programs run in containers of one")]
    NoImage,
    /// An image that nothing runs.
    #[error("--image `{0}`: nothing reads it with --engine none")]
    ImageUnread(String),
    /// A head that is no node.
    #[error("--head `{head}` is none of the nodes: {}", nodes.join(", "))]
    NoSuchHead {
        /// What was given.
        head: HostName,
        /// The nodes' names.
        nodes: Vec<String>,
    },
    /// The user said no, or nothing more.
    #[error("nothing was written")]
    Declined,
    /// What was asked for can be no inventory.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The terminal cannot be read.
    #[error("cannot read the answer: {0}")]
    Answer(io::Error),
    /// The file system refused.
    #[error("{0}")]
    Write(io::Error),
}

forwards! {
    impl Failure for InitError forwarding Inventory {
        InitError::Exists { .. } => Kind::Input, "--force overwrites it, --output FILE writes another";
        InitError::Unseen => Kind::Input, "look with --dry-run, then say --yes";
        InitError::NobodyFound => Kind::Environment, "name them: --node NAME=ADDRESS";
        InitError::NoImage => Kind::Input, "give one with --image, or --engine none where programs run without";
        InitError::ImageUnread(_) | InitError::NoSuchHead { .. } => Kind::Input;
        InitError::Declined => Kind::Interrupted;
        InitError::Answer(_) | InitError::Write(_) => Kind::Environment;
    }
}

/// Write the inventory that `settings` and the answers of `dialogue` come to; nobody is asked where there is none.
pub async fn run(
    settings: &InitSettings,
    mut dialogue: Option<&mut dyn Dialogue>,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let path = &settings.output;
    let exists = || InitError::Exists { path: path.clone() };
    // Before anything is asked.
    if !settings.dry_run && !settings.force && path.symlink_metadata().is_ok() {
        return Err(exists().into());
    }
    if settings.discover && dialogue.is_none() && !settings.yes && !settings.dry_run {
        return Err(InitError::Unseen.into());
    }
    let looks = match &mut dialogue {
        _ if settings.discover => true,
        Some(asked) if settings.nodes.is_empty() => {
            asked.yes_or_no("Look for other machines (mDNS, neighbours on the fabric)?")?
        }
        _ => false,
    };
    let found = if looks { Some(look(&Here::new()).await) } else { None };
    for note in found.iter().flat_map(|found| &found.notes) {
        observer.note(note);
    }
    if dialogue.is_none() {
        for host in found.iter().flat_map(|found| &found.hosts) {
            observer.note(format!("found {}", nodes::shown(host)));
        }
    }
    let draft = draft(settings, found.as_ref(), &mut dialogue)?;
    let text = draft.render();
    let inventory = Inventory::parse(path, &text).map_err(InitError::from)?;
    if settings.dry_run {
        out.bytes(text.as_bytes()).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    if let Some(asked) = dialogue {
        asked.say(&format!("\n{text}"));
        if !asked.yes_or_no(&format!("Write this to `{}`?", path.display()))? {
            return Err(InitError::Declined.into());
        }
    }
    write(path, settings.force, &text)?;
    out.line(&summary(path, &inventory)).map_err(OutputError)?;
    Ok(Verdict::Done)
}

fn write(path: &Path, force: bool, text: &str) -> Result<(), InitError> {
    let written = match force {
        true => write_atomic(path, text.as_bytes()),
        // Somebody may have made it while the questions were answered.
        false => write_atomic_new(path, text.as_bytes()),
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists { path: path.to_owned() },
        _ => InitError::Write(error),
    })
}

fn summary(path: &Path, inventory: &Inventory) -> String {
    let count = inventory.nodes.len();
    let head = inventory.nodes.iter().find(|node| node.role == NodeRole::Head);
    let head = head.map(|node| node.name.as_str()).unwrap_or_default();
    let nodes = if count == 1 { "node" } else { "nodes" };
    format!("wrote {}  {count} {nodes}, head {head}", path.display())
}

/// What was given, found where anybody looked, and answered.
fn draft(
    settings: &InitSettings,
    found: Option<&Found>,
    dialogue: &mut Option<&mut dyn Dialogue>,
) -> Result<Draft, InitError> {
    let mut nodes: Vec<DraftNode> = settings.nodes.iter().map(GivenNode::draft).collect();
    let hosts = found.map(|found| nodes::unlike(&found.hosts, &nodes));
    if let Some(asked) = dialogue {
        if let Some(hosts) = &hosts {
            nodes.extend(asked.chosen(hosts)?);
        }
        let alone = nodes.is_empty();
        let here = nodes.iter().any(|node| node.ssh.is_none());
        if alone || (!here && settings.nodes.is_empty() && asked.yes_or_no("Is this machine a node too?")?) {
            nodes.insert(0, nodes::this_machine());
        }
    } else {
        nodes.extend(hosts.into_iter().flatten().map(nodes::of_host));
        if nodes.is_empty() {
            if settings.discover {
                return Err(InitError::NobodyFound);
            }
            nodes.push(nodes::this_machine());
        }
    }
    let head = head(settings, &nodes, dialogue)?;
    for node in &mut nodes {
        node.role = if node.name == head { NodeRole::Head } else { NodeRole::Worker };
    }
    let containers = containers(settings, dialogue)?;
    Ok(Draft { name: settings.name.clone(), containers, nodes })
}

/// The head's name: as given or answered, else this machine's, else the first node's.
fn head(
    settings: &InitSettings,
    nodes: &[DraftNode],
    dialogue: &mut Option<&mut dyn Dialogue>,
) -> Result<HostName, InitError> {
    let names: Vec<String> = nodes.iter().map(|node| node.name.to_string()).collect();
    if let Some(head) = &settings.head {
        return match nodes.iter().any(|node| node.name == *head) {
            true => Ok(head.clone()),
            false => Err(InitError::NoSuchHead { head: head.clone(), nodes: names }),
        };
    }
    let usual = nodes.iter().find(|node| node.ssh.is_none()).or(nodes.first());
    let usual = usual.map_or_else(HostName::local, |node| node.name.clone());
    match dialogue {
        Some(asked) if nodes.len() > 1 => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let answer = asked.one_of("Which node is the head?", &names, usual.as_str())?;
            Ok(nodes.iter().find(|node| node.name.as_str() == answer).map_or(usual, |node| node.name.clone()))
        }
        _ => Ok(usual),
    }
}

fn containers(
    settings: &InitSettings,
    dialogue: &mut Option<&mut dyn Dialogue>,
) -> Result<Option<(EngineKind, String)>, InitError> {
    let engine = match (settings.engine, &mut *dialogue) {
        (Some(engine), _) => engine,
        (None, Some(asked)) => {
            match asked
                .one_of("What keeps the containers?", &["docker", "podman", "none"], "docker")?
                .as_str()
            {
                "podman" => EngineChoice::Podman,
                "none" => EngineChoice::None,
                _ => EngineChoice::Docker,
            }
        }
        (None, None) => EngineChoice::Docker,
    };
    match (engine.kind(), &settings.image, dialogue) {
        (None, None, _) => Ok(None),
        (None, Some(image), _) => Err(InitError::ImageUnread(image.clone())),
        (Some(engine), Some(image), _) => Ok(Some((engine, image.clone()))),
        // The image that SGLang's own people made for the Spark.
        (Some(engine), None, Some(asked)) => {
            Ok(Some((engine, asked.text("Which image?", "lmsysorg/sglang:spark")?)))
        }
        (Some(_), None, None) => Err(InitError::NoImage),
    }
}

#[cfg(test)]
mod tests;
