//! `sparktune image`: the same image on every node, which one each has, and one with tuned config files in it.

mod build;
mod contents;
mod lines;
mod show;
mod wanted;

use std::fmt;
use std::path::PathBuf;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::build::BuildSettings;
use self::wanted::{Wanted, wanted};
use crate::cluster::connect::{Connected, connect_all};
use crate::cluster::images::{
    Brought, CopyPlan, ImageSyncError, NodeImage, Site, Told, copy, held, plan, pull,
};
use crate::cluster::inventory::{self, Node};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host::engine::{Engine, Image, ImageName};
use crate::host::ssh::SshConnections;
use crate::host_name::HostName;

/// What the user said.
#[derive(Debug)]
pub struct ImageSettings {
    /// The inventory; the usual one where not given.
    pub cluster: Option<PathBuf>,
    /// The image; each node's own by the inventory where not given.
    pub image: Option<ImageName>,
    /// What to do.
    pub action: ImageAction,
    /// Print one JSON object.
    pub json: bool,
}

/// What is done about an image.
#[derive(Debug)]
pub enum ImageAction {
    /// Say what each node has.
    List {
        /// Say by which commands, and do nothing.
        dry_run: bool,
    },
    /// Copy it to those that need it.
    Sync {
        /// The node that has the right one.
        from: Option<HostName>,
        /// Not from node to node.
        through_here: bool,
        /// Say by which commands, and do nothing.
        dry_run: bool,
    },
    /// Make one with tuned config files on top of it, and copy that to the nodes.
    Build(BuildSettings),
    /// Fetch it from its registry on every node.
    Pull {
        /// Say by which commands, and do nothing.
        dry_run: bool,
    },
}

/// Nodes that do not have the image; the others do.
#[derive(Debug)]
struct NotEverywhere {
    failures: Vec<ImageSyncError>,
    of: usize,
}

impl fmt::Display for NotEverywhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} nodes could not be brought in line, the others were:",
            self.failures.len(),
            self.of
        )?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl std::error::Error for NotEverywhere {}

impl Failure for NotEverywhere {
    fn kind(&self) -> Kind {
        let all_pass = self.failures.iter().all(ImageSyncError::passes);
        if all_pass { Kind::Incomplete } else { Kind::Environment }
    }

    fn hint(&self) -> Option<String> {
        match self.kind() {
            Kind::Incomplete => Some("run it again: what is done is skipped".into()),
            _ => self.failures.iter().find_map(Failure::hint),
        }
    }
}

/// Nodes that did not say what they have.
#[derive(Debug)]
struct NotAsked {
    failures: Vec<ImageSyncError>,
    of: usize,
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} nodes did not say what they have:", self.failures.len(), self.of)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl std::error::Error for NotAsked {}

impl Failure for NotAsked {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        self.failures.iter().find_map(Failure::hint)
    }
}

/// The user wanted no more of it.
#[derive(Debug, thiserror::Error)]
#[error("stopped: nodes that have the image keep it; engines keep no part of one")]
struct Interrupted;

impl Failure for Interrupted {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
}

/// A node whose engine has answered.
struct Reached {
    node: Connected,
    engine: Engine,
    held: NodeImage,
}

/// A node, and what its engine says of the image.
struct Asked {
    node: HostName,
    answer: Result<Reached, ImageSyncError>,
}

/// What a node had, and what it has now.
struct Row {
    node: HostName,
    had: Option<Image>,
    now: Result<Brought, ImageSyncError>,
}

/// List images, or bring them to every node.
pub async fn run(
    settings: &ImageSettings,
    cancel: CancellationToken,
    progress: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let inventory = inventory::find(settings.cluster.as_deref())?.inventory;
    let wanted = wanted(settings, &inventory)?;
    if let ImageAction::Build(build) = &settings.action {
        // It has containers to remove, whenever it ends.
        return build::run(&wanted, build, settings.json, &cancel, progress, out).await;
    }
    if let ImageAction::List { dry_run: true } = settings.action {
        lines::list(&wanted, out).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    cancel
        .run_until_cancelled(each(&wanted, settings, progress, out))
        .await
        .unwrap_or(Err(Interrupted.into()))
}

async fn each(
    wanted: &Wanted,
    settings: &ImageSettings,
    progress: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let Wanted { head, images, .. } = wanted;
    let mut shown = show::Shown::new(settings.json);
    for (image, nodes) in images {
        let asked = ask(image, nodes, &wanted.ssh).await;
        match &settings.action {
            ImageAction::List { .. } => shown.list(image, head, asked, out).map_err(OutputError)?,
            ImageAction::Sync { from, through_here, dry_run } => {
                let held: Vec<NodeImage> = reached(&asked).map(|it| it.held.clone()).collect();
                note_failures(&asked, progress);
                let plan = plan(image, &held, head, from.as_ref())?;
                if *dry_run {
                    let nodes: Vec<&Connected> = reached(&asked).map(|it| &it.node).collect();
                    lines::copies(image, &plan, &nodes, *through_here, out).map_err(OutputError)?;
                } else {
                    let rows = synced(image, asked, &plan, *through_here, progress).await;
                    let source = &held[plan.source].node;
                    shown.brought(image, Some(source), rows, out).map_err(OutputError)?;
                }
            }
            // That has been done.
            ImageAction::Build(_) => {}
            ImageAction::Pull { dry_run: true } => {
                note_failures(&asked, progress);
                let mut nodes = reached(&asked);
                nodes.try_for_each(|it| lines::pull(image, &it.node, out)).map_err(OutputError)?;
            }
            ImageAction::Pull { dry_run: false } => {
                let rows = pulled(image, asked, progress).await;
                shown.brought(image, None, rows, out).map_err(OutputError)?;
            }
        }
    }
    shown.end(out).map_err(OutputError)?;
    let of = images.iter().map(|(_, nodes)| nodes.len()).sum();
    match (&settings.action, shown.failures, shown.differ) {
        (ImageAction::List { .. }, failures, _) if !failures.is_empty() => {
            Err(NotAsked { failures, of }.into())
        }
        (_, failures, _) if !failures.is_empty() => Err(NotEverywhere { failures, of }.into()),
        (_, _, true) => Ok(Verdict::CheckSaidNo),
        (_, _, false) => Ok(Verdict::Done),
    }
}

/// All `nodes` at once.
async fn ask(image: &ImageName, nodes: &[Node], ssh: &SshConnections) -> Vec<Asked> {
    let connected = connect_all(nodes, ssh).await;
    join_all(nodes.iter().zip(connected).map(|(node, connected)| async {
        let answer = async {
            let node = connected?;
            let engine = node.engine().await?.clone();
            let held = held(&engine, image).await?;
            Ok(Reached { node, engine, held })
        };
        Asked { node: node.name.clone(), answer: answer.await }
    }))
    .await
}

fn reached(asked: &[Asked]) -> impl Iterator<Item = &Reached> {
    asked.iter().filter_map(|asked| asked.answer.as_ref().ok())
}

/// Where lines or a refusal are all that is shown, nothing else says who did not answer.
fn note_failures(asked: &[Asked], progress: &mut dyn Observer) {
    for error in asked.iter().filter_map(|asked| asked.answer.as_ref().err()) {
        progress.note(error.to_string());
    }
}

async fn synced(
    image: &ImageName,
    asked: Vec<Asked>,
    plan: &CopyPlan,
    through_here: bool,
    progress: &mut dyn Observer,
) -> Vec<Row> {
    let nodes: Vec<Site<'_>> = reached(&asked)
        .zip(&plan.steps)
        .map(|(Reached { node, engine, held }, step)| Site { node, engine, held, step: *step })
        .collect();
    let (tell, told) = mpsc::unbounded_channel();
    let work = copy(image, plan.source, &nodes, through_here, tell);
    let brought = listening(work, told, progress).await;
    rows(asked, brought)
}

async fn pulled(image: &ImageName, asked: Vec<Asked>, progress: &mut dyn Observer) -> Vec<Row> {
    let nodes: Vec<(&Engine, &NodeImage)> = reached(&asked).map(|it| (&it.engine, &it.held)).collect();
    let (tell, told) = mpsc::unbounded_channel();
    let brought = listening(pull(image, &nodes, tell), told, progress).await;
    rows(asked, brought)
}

/// `work`, while `progress` hears what it tells. The work owns the other end.
async fn listening<T>(
    work: impl Future<Output = T>,
    mut told: mpsc::UnboundedReceiver<Told>,
    progress: &mut dyn Observer,
) -> T {
    let hear = async {
        while let Some((node, event)) = told.recv().await {
            progress.say_from(&node, event);
        }
    };
    tokio::join!(work, hear).0
}

/// `brought` has an outcome for each node that was reached, in their order.
fn rows(asked: Vec<Asked>, brought: Vec<Result<Brought, ImageSyncError>>) -> Vec<Row> {
    let mut brought = brought.into_iter();
    let row = |Asked { node, answer }| match answer {
        Err(error) => Some(Row { node, had: None, now: Err(error) }),
        Ok(reached) => Some(Row { node, had: reached.held.image, now: brought.next()? }),
    };
    asked.into_iter().filter_map(row).collect()
}
