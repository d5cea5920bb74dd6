//! The same image on every node: asked, copied, asked again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::error::{ImageSyncError, link_lost};
use super::plan::{CopyStep, NodeImage, runs};
use super::same::{SameBy, same};
use super::tee::{Reader, hand_on, pipe};
use crate::events::ImageEvent;
use crate::host::engine::{Engine, EngineError, EngineFailure, Image, ImageName};
use crate::host_name::HostName;

/// Nodes that are served at once. More of them take turns: each has its share of one link.
const AT_ONCE: usize = 8;
/// How long a node may take no byte of what flows.
const IDLE: Duration = Duration::from_secs(60);
/// How often it is told how far a copy is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What happened on which node.
pub type Told = (HostName, ImageEvent);

/// How a node came to have the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Others were brought in line with it.
    Source,
    /// It had it, as is known by this.
    HadIt(SameBy),
    /// It was copied there.
    Copied,
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
/// one outcome each, in their order. A node that fails stops none of the others; a copy that was cut is begun anew by the next
/// call, because engines keep no part of one.
pub async fn copy(
    name: &ImageName,
    source: usize,
    nodes: &[(&Engine, &NodeImage, CopyStep)],
    tell: UnboundedSender<Told>,
) -> Vec<Result<Brought, ImageSyncError>> {
    let (from, NodeImage { image: Some(reference), .. }, _) = nodes[source] else { return Vec::new() };
    let targets: Vec<&Engine> =
        nodes.iter().filter(|(.., step)| *step == CopyStep::Copy).map(|(engine, ..)| *engine).collect();
    let mut copied = Vec::new();
    for turn in targets.chunks(AT_ONCE) {
        copied.extend(copy_at_once(name, reference, from, turn, &tell).await);
    }
    let mut copied = copied.into_iter();
    let outcome = |(engine, held, step): &(&Engine, &NodeImage, CopyStep)| match (step, &held.image) {
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
    let begun = Instant::now();
    let sent = AtomicU64::new(0);
    let mut last = begun;
    let progress = |bytes| {
        sent.store(bytes, Ordering::Relaxed);
        if last.elapsed() < TOLD_EVERY {
            return;
        }
        last = Instant::now();
        for target in targets {
            say(
                tell,
                target,
                ImageEvent::Copying {
                    image: name.to_string(),
                    from: from.node().clone(),
                    bytes,
                    size: reference.bytes,
                    seconds: begun.elapsed().as_secs_f64(),
                },
            );
        }
    };
    let takes = targets.iter().zip(readers).map(|(target, reader)| async {
        let brought = take(name, reference, target, reader).await;
        if brought.is_ok() {
            say(
                tell,
                target,
                ImageEvent::Copied {
                    image: name.to_string(),
                    from: from.node().clone(),
                    bytes: sent.load(Ordering::Relaxed),
                    seconds: begun.elapsed().as_secs_f64(),
                },
            );
        }
        brought
    });
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
    verified(name, reference, target, image, How::Copied)
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

fn failed(
    target: &Engine,
    error: ImageSyncError,
    tell: &UnboundedSender<Told>,
) -> Result<Brought, ImageSyncError> {
    say(tell, target, ImageEvent::Failed { why: error.problem() });
    Err(error)
}

fn say(tell: &UnboundedSender<Told>, on: &Engine, event: ImageEvent) {
    // Whoever listens no more wants to know no more.
    let _ = tell.send((on.node().clone(), event));
}
