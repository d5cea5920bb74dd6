//! The same image on every node: asked, copied, asked again.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::direct::{NotTaken, Taker, hand_over};
use super::error::{ImageSyncError, link_lost};
use super::fabric::meeting;
use super::plan::{CopyStep, NodeImage, runs};
use super::same::{SameBy, same};
use super::tee::{Reader, hand_on, pipe};
use super::told::{Copying, TOLD_EVERY, Told, failed, say};
use crate::cluster::connect::Connected;
use crate::events::ImageEvent;
use crate::host::engine::{Engine, EngineError, EngineFailure, Image, ImageName};
use crate::host_name::HostName;

/// Nodes that are served at once. More of them take turns: each has its share of one link.
const AT_ONCE: usize = 8;
/// How long a node may take no byte of what flows.
const IDLE: Duration = Duration::from_secs(60);
/// Which way a copy went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From node to node, over the fabric.
    Fabric,
    /// Through this machine.
    ThroughHere,
}

/// A node, and what is to be done for it.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The way to it.
    pub node: &'a Connected,
    /// Its engine.
    pub engine: &'a Engine,
    /// What it has.
    pub held: &'a NodeImage,
    /// What is planned.
    pub step: CopyStep,
}

/// How a node came to have the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Others were brought in line with it.
    Source,
    /// It had it, as is known by this.
    HadIt(SameBy),
    /// It was copied there.
    Copied(Way),
    /// It came from its registry.
    Pulled,
    /// Its registry has what it had.
    PulledTheSame,
}

/// What a node has after all, and how it came to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The image.
    pub image: Image,
    /// How.
    pub how: How,
}

/// What goes by `name` on the node of `engine`.
pub async fn held(engine: &Engine, name: &ImageName) -> Result<NodeImage, EngineError> {
    let (image, facts) = tokio::join!(find(engine, name), engine.facts());
    let (image, architecture) = (image?, facts?.architecture);
    Ok(NodeImage { node: engine.node().clone(), image, architecture })
}

async fn find(engine: &Engine, name: &ImageName) -> Result<Option<Image>, EngineError> {
    match engine.image(name).await {
        Ok(image) => Ok(Some(image)),
        Err(EngineError { what: EngineFailure::NoImage(_), .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Do for each of `nodes` the step that was planned, where the one at `source` is what others are brought in line with;
/// one outcome each, in their order. A node that fails stops none of the others; a copy that was cut is begun anew by
/// the next call, because engines keep no part of one. Bytes go over the fabric where two nodes meet there, and through
/// this machine where they do not, where that fails, and everywhere if `through_here` says so.
pub async fn copy(
    name: &ImageName,
    source: usize,
    nodes: &[Site<'_>],
    through_here: bool,
    tell: UnboundedSender<Told>,
) -> Vec<Result<Brought, ImageSyncError>> {
    let NodeImage { image: Some(reference), .. } = nodes[source].held else { return Vec::new() };
    let job = Job { name, reference, from: nodes[source], tell: &tell };
    let targets: Vec<Site<'_>> = nodes.iter().filter(|site| site.step == CopyStep::Copy).copied().collect();
    let mut copied = Vec::new();
    for turn in targets.chunks(AT_ONCE) {
        copied.extend(job.copy_turn(turn, through_here).await);
    }
    let mut copied = copied.into_iter();
    let outcome = |Site { engine, held, step, .. }: &Site<'_>| match (step, &held.image) {
        (CopyStep::Source, Some(image)) => Some(Ok(Brought { image: image.clone(), how: How::Source })),
        (CopyStep::Skip(by), Some(image)) => Some(Ok(Brought { image: image.clone(), how: How::HadIt(*by) })),
        (CopyStep::WrongArchitecture, _) => Some(Err(ImageSyncError::Architecture {
            on: engine.node().clone(),
            image: reference.architecture.clone(),
            node: held.architecture.clone(),
        })),
        (CopyStep::Copy, _) => copied.next(),
        // A plan has no such step.
        (CopyStep::Source | CopyStep::Skip(_), None) => None,
    };
    nodes.iter().filter_map(outcome).collect()
}

/// One image on its way from one node.
struct Job<'a> {
    name: &'a ImageName,
    reference: &'a Image,
    from: Site<'a>,
    tell: &'a UnboundedSender<Told>,
}

impl Job<'_> {
    /// To all `targets` at once.
    async fn copy_turn(
        &self,
        targets: &[Site<'_>],
        through_here: bool,
    ) -> Vec<Result<Brought, ImageSyncError>> {
        let mut outcomes: Vec<Option<Result<Brought, ImageSyncError>>> = Vec::new();
        outcomes.resize_with(targets.len(), || None);
        if !through_here {
            let mut takers = Vec::new();
            for (at, site) in targets.iter().enumerate() {
                match meeting(&self.from.node.node, &site.node.node) {
                    Ok(meeting) => takers.push((at, Taker { node: site.node, meeting })),
                    Err(why) => self.detour(site.engine, why),
                }
            }
            for ((at, _), outcome) in takers.iter().zip(self.over_fabric(&takers, targets).await) {
                outcomes[*at] = outcome;
            }
        }
        let rest: Vec<&Engine> = targets
            .iter()
            .zip(&outcomes)
            .filter(|(_, done)| done.is_none())
            .map(|(it, _)| it.engine)
            .collect();
        let mut rest = match rest.is_empty() {
            true => Vec::new(),
            false => copy_at_once(self.name, self.reference, self.from.engine, &rest, self.tell).await,
        }
        .into_iter();
        outcomes.into_iter().filter_map(|done| done.or_else(|| rest.next())).collect()
    }

    /// Over the fabric; none for those to whom another way may lead, who are told so.
    async fn over_fabric(
        &self,
        takers: &[(usize, Taker<'_>)],
        targets: &[Site<'_>],
    ) -> Vec<Option<Result<Brought, ImageSyncError>>> {
        if takers.is_empty() {
            return Vec::new();
        }
        let engines = takers.iter().map(|(at, _)| targets[*at].engine).collect();
        let copying = Copying::begin(self.name, self.reference, self.from.engine.node(), engines, self.tell);
        let nodes: Vec<Taker<'_>> = takers.iter().map(|(_, taker)| *taker).collect();
        let handed = hand_over(self.name, self.from.node, &nodes, |bytes| copying.sent(bytes)).await;
        let outcome = |((at, _), handed): (&(usize, Taker<'_>), Result<Vec<String>, NotTaken>)| {
            let target = targets[*at].engine;
            let copying = &copying;
            async move {
                let error = match handed {
                    Ok(names) => match settle(self.name, self.reference, target, &names, Way::Fabric).await {
                        Ok(brought) => {
                            copying.done(target);
                            return Some(Ok(brought));
                        }
                        Err(error) => error,
                    },
                    Err(NotTaken::Refused(message)) => target.cannot_load(&message).into(),
                    Err(NotTaken::BrokeOff(why) | NotTaken::Lost(why)) => {
                        self.detour(target, why);
                        return None;
                    }
                };
                Some(failed(target, error, self.tell))
            }
        };
        join_all(takers.iter().zip(handed).map(outcome)).await
    }

    fn detour(&self, target: &Engine, why: String) {
        say(self.tell, target, ImageEvent::Detour { image: self.name.to_string(), why });
    }
}

/// The image once out of `from`, and into all `targets`.
async fn copy_at_once(
    name: &ImageName,
    reference: &Image,
    from: &Engine,
    targets: &[&Engine],
    tell: &UnboundedSender<Told>,
) -> Vec<Result<Brought, ImageSyncError>> {
    let broken = |error: &EngineError| {
        let (why, passes) = (error.to_string(), link_lost(error));
        move |on: &HostName| ImageSyncError::Source { on: on.clone(), why: why.clone(), passes }
    };
    let pieces = match from.save(name).await {
        Ok(pieces) => pieces,
        Err(error) => {
            let broken = broken(&error);
            return targets.iter().map(|target| failed(target, broken(target.node()), tell)).collect();
        }
    };
    let (writers, readers): (Vec<_>, Vec<_>) = targets.iter().map(|_| pipe()).unzip();
    let copying = Copying::begin(name, reference, from.node(), targets.to_vec(), tell);
    let takes = targets.iter().zip(readers).map(|(target, reader)| async {
        let brought = take(name, reference, target, reader).await;
        if brought.is_ok() {
            copying.done(target);
        }
        brought
    });
    let progress = |bytes| copying.sent(bytes);
    let (handed, taken) = tokio::join!(hand_on(pieces, writers, IDLE, progress), join_all(takes));
    let broken = handed.err().map(|error| broken(&error));
    let outcome = |(target, taken): (&&Engine, Result<Brought, ImageSyncError>)| {
        let error = match (taken, &broken) {
            (Ok(brought), _) => return Ok(brought),
            (Err(ImageSyncError::Engine(error)), Some(broken)) if is_source(&error) => broken(target.node()),
            (Err(error), _) => error,
        };
        failed(target, error, tell)
    };
    targets.iter().zip(taken).map(outcome).collect()
}

fn is_source(error: &EngineError) -> bool {
    matches!(error.what, EngineFailure::Source { .. })
}

/// Let `target` take in what comes, and see what it has then.
async fn take(
    name: &ImageName,
    reference: &Image,
    target: &Engine,
    Reader { pieces, given_up }: Reader,
) -> Result<Brought, ImageSyncError> {
    let pieces = stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
    let loaded = given_up.run_until_cancelled(target.load(pieces, |_| ())).await;
    let stalled = || ImageSyncError::Stalled { on: target.node().clone(), seconds: IDLE.as_secs() };
    let names = loaded.ok_or_else(stalled)??;
    settle(name, reference, target, &names, Way::ThroughHere).await
}

/// See what `target` has that was told to load the image, which goes by `names` there now.
async fn settle(
    name: &ImageName,
    reference: &Image,
    target: &Engine,
    names: &[String],
    way: Way,
) -> Result<Brought, ImageSyncError> {
    let image = match find(target, name).await? {
        Some(image) if same(reference, &image).is_some() => image,
        // Docker and Podman put another registry before a name that has none: `localhost/`, `docker.io/library/`.
        _ => {
            let loaded = names.iter().find_map(|loaded| loaded.parse::<ImageName>().ok());
            if let Some(loaded) = loaded {
                target.tag(&loaded, name).await?;
            }
            target.image(name).await?
        }
    };
    verified(name, reference, target, image, How::Copied(way))
}

fn verified(
    name: &ImageName,
    reference: &Image,
    target: &Engine,
    image: Image,
    how: How,
) -> Result<Brought, ImageSyncError> {
    match same(reference, &image) {
        Some(_) => Ok(Brought { image, how }),
        None => Err(ImageSyncError::Differs { on: target.node().clone(), image: name.clone() }),
    }
}

/// Fetch `name` from its registry on each of `nodes`; one outcome each, in their order. Where a name moved on in the
/// registry meanwhile, the nodes that differ from the first one that got it have failed.
pub async fn pull(
    name: &ImageName,
    nodes: &[(&Engine, &NodeImage)],
    tell: UnboundedSender<Told>,
) -> Vec<Result<Brought, ImageSyncError>> {
    let mut pulled: Vec<Result<Brought, ImageSyncError>> = Vec::new();
    for turn in nodes.chunks(AT_ONCE) {
        pulled.extend(join_all(turn.iter().map(|(engine, held)| pull_one(name, engine, held, &tell))).await);
    }
    let reference = pulled.iter().find_map(|pulled| pulled.as_ref().ok()).map(|first| first.image.clone());
    let checked = |((engine, _), pulled): (&(&Engine, &NodeImage), Result<Brought, ImageSyncError>)| {
        let brought = pulled?;
        match &reference {
            // Each architecture has an image of its own.
            Some(first) if runs(&first.architecture, &brought.image.architecture) => {
                verified(name, first, engine, brought.image, brought.how)
            }
            _ => Ok(brought),
        }
    };
    nodes.iter().zip(pulled).map(checked).collect()
}

async fn pull_one(
    name: &ImageName,
    engine: &Engine,
    held: &NodeImage,
    tell: &UnboundedSender<Told>,
) -> Result<Brought, ImageSyncError> {
    let begun = Instant::now();
    let mut last = begun;
    let image = engine
        .pull(name, |progress| {
            if last.elapsed() >= TOLD_EVERY {
                last = Instant::now();
                say(tell, engine, ImageEvent::Pulling { image: name.to_string(), status: progress.status });
            }
        })
        .await;
    let image = match image {
        Ok(image) => image,
        Err(error) => return failed(engine, error.into(), tell),
    };
    say(tell, engine, ImageEvent::Pulled { image: name.to_string(), seconds: begun.elapsed().as_secs_f64() });
    let same = held.image.as_ref().is_some_and(|had| same(had, &image).is_some());
    Ok(Brought { image, how: if same { How::PulledTheSame } else { How::Pulled } })
}
