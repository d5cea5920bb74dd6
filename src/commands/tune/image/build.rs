//! `sparktune image build`: an image with tuned config files in it, made on one node and copied to the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::contents::{About, Contents};
use super::show::{Built, Shown};
use super::wanted::{Wanted, tuned_name};
use super::{
    Asked, Interrupted, NotEverywhere, Reached, ask, lines, listening, note_failures, reached, synced,
};
use crate::cluster::connect::Connected;
use crate::cluster::images::build;
use crate::cluster::images::{CopyPlan, CopyStep, ImageBuildError, NodeImage, Tuned, plan, runs};
use crate::cluster::installed::ConfigPlace;
use crate::cluster::inventory::Node;
use crate::commands::tune::deploy::ForNodes;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{ImageEvent, Observer};
use crate::failure::Failure;
use crate::host::Host;
use crate::host::engine::{Engine, Image, ImageName, Progress, ShortLived};
use crate::host_name::HostName;

/// What the user said of an image to build.
#[derive(Debug)]
pub struct BuildSettings {
    /// Run directories, folders of config files, files.
    pub tuned: Vec<PathBuf>,
    /// Its name; made of its base's where not given.
    pub tag: Option<ImageName>,
    /// The node that builds it; the head where not given.
    pub on: Option<HostName>,
    /// Whether the others get it.
    pub sync: bool,
    /// Not from node to node.
    pub through_here: bool,
    /// Say by which commands, and build nothing.
    pub dry_run: bool,
    /// The user's own profiles.
    pub profiles: Option<PathBuf>,
}

/// Files that are left out and told of by name.
const NAMED: usize = 5;

pub(super) async fn run(
    wanted: &Wanted,
    settings: &BuildSettings,
    json: bool,
    cancel: &CancellationToken,
    progress: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    // There is one, as is seen to before.
    let (base_name, nodes) = &wanted.images[0];
    let tag = tuned_name(base_name, settings.tag.as_ref())?;
    let files = ForNodes::read(&settings.tuned, settings.profiles.as_deref())?;
    let on = settings.on.as_ref().unwrap_or(&wanted.head);
    let mut asked = until(cancel, ask(&tag, nodes, &wanted.ssh)).await?;
    let is_site = |asked: &mut Asked| asked.node == *on && asked.answer.is_err();
    if let Some(error) = asked.extract_if(.., is_site).next().and_then(|asked| asked.answer.err()) {
        return Err(error.into());
    }
    let (engine, held) = at(&asked, on)?;
    let base = until(cancel, build::base(&engine, base_name, &held.architecture)).await??;
    let (place, host) = place(&engine, base_name, &base, wanted, nodes, cancel, progress).await?;
    let about = About { base_name, base: &base, place: &place, host: &host, settings };
    let (mut asked, contents) = until(cancel, about.contents(&files, asked)).await??;
    let named = reached(&asked).filter(|it| settings.sync || it.node.name() == on);
    if let Some(on) = named.filter(|it| is_foreign(&it.held)).map(|it| it.node.name().clone()).next() {
        return Err(ImageBuildError::TagTaken { on, tag }.into());
    }
    let new = !held.image.is_some_and(|there| contents.tuned.is_in(&there, &base));
    note_left_out(&contents.left_out, progress);
    if settings.dry_run {
        note_failures(&asked, progress);
        let nodes: Vec<&Connected> = reached(&asked).map(|it| &it.node).collect();
        if new {
            let site = nodes.iter().find(|node| node.name() == on).ok_or(ImageBuildError::NoNode)?;
            let dockerfile = contents.tuned.dockerfile(base_name.as_str());
            lines::build(&tag, &dockerfile, &contents.sources, site, out).map_err(OutputError)?;
        }
        if settings.sync {
            let plan = if new { everybody(on, &base, &asked) } else { plan_from(&tag, wanted, on, &asked)? };
            lines::copies(&tag, &plan, &nodes, out).map_err(OutputError)?;
        }
        return Ok(Verdict::Done);
    }
    if new {
        let work = Work { engine: &engine, tag: &tag, base: &base, place: &place, cluster: &wanted.cluster };
        let built = work.build(&contents, cancel, progress).await?;
        for reached in asked.iter_mut().filter(|asked| asked.node == *on).flat_map(|it| &mut it.answer) {
            reached.held.image = Some(built.clone());
        }
    }
    let mut shown = Shown::new(json);
    let (tuned, left_out) = (&contents.tuned, &contents.left_out);
    let built = Built { image: &tag, on, tuned, place: &place, left_out, new };
    shown.built(&built, out).map_err(OutputError)?;
    let of = asked.len();
    if settings.sync {
        let plan = plan_from(&tag, wanted, on, &asked)?;
        let rows = until(cancel, synced(&tag, asked, &plan, settings.through_here, progress)).await?;
        shown.brought(&tag, Some(on), rows, out).map_err(OutputError)?;
    }
    shown.end(out).map_err(OutputError)?;
    match shown.failures {
        failures if failures.is_empty() => Ok(Verdict::Done),
        failures => Err(NotEverywhere { failures, of }.into()),
    }
}

/// `work`, unless the user wants no more of it.
async fn until<T>(cancel: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Interrupted> {
    cancel.run_until_cancelled(work).await.ok_or(Interrupted)
}

/// Whether the name is an image's there that this program did not build.
fn is_foreign(held: &NodeImage) -> bool {
    held.image.as_ref().is_some_and(|image| Tuned::of(image).is_none())
}

/// The engine of the node that builds, and what it has.
fn at(asked: &[Asked], on: &HostName) -> Result<(Engine, NodeImage), ImageBuildError> {
    let site = reached(asked).find(|reached| reached.node.name() == on).ok_or(ImageBuildError::NoNode)?;
    Ok((site.engine.clone(), site.held.clone()))
}

/// Where files go, asked of a container of the base; and that container as a host, which is gone by then.
async fn place(
    engine: &Engine,
    name: &ImageName,
    base: &Image,
    wanted: &Wanted,
    nodes: &[Node],
    cancel: &CancellationToken,
    progress: &mut dyn Observer,
) -> Result<(ConfigPlace, Arc<dyn Host>), Box<dyn Failure>> {
    let container = build::open(engine, base, name, &wanted.cluster).await?;
    let host = container.host();
    let nodes: Vec<&Node> = nodes.iter().collect();
    let place = until(cancel, build::place(name, &container, &nodes)).await;
    close(container, progress).await;
    Ok((place??, host))
}

/// What a container could not say is the error to tell; that it stays is a note.
async fn close(container: ShortLived, progress: &mut dyn Observer) {
    if let Err(error) = container.close().await {
        progress.note(format!("a container could not be removed: {error}"));
    }
}

/// The one image made.
struct Work<'a> {
    engine: &'a Engine,
    tag: &'a ImageName,
    base: &'a Image,
    place: &'a ConfigPlace,
    cluster: &'a str,
}

impl Work<'_> {
    /// Build it, look into it, and give it its name, which it gets last of all: where anything fails, or the user
    /// wants no more of it, whatever had that name has it still.
    async fn build(
        &self,
        contents: &Contents,
        cancel: &CancellationToken,
        progress: &mut dyn Observer,
    ) -> Result<Image, Box<dyn Failure>> {
        let begun = Instant::now();
        let (tell, told) = mpsc::unbounded_channel();
        let (on, image) = (self.engine.node().clone(), self.tag.to_string());
        let hear = move |done: Progress| {
            let event = ImageEvent::Building { image: image.clone(), status: done.status };
            // Whoever listens no more wants to know no more.
            let _ = tell.send((on.clone(), event));
        };
        let made = build::make(self.engine, &contents.tuned, self.base, &contents.files, hear);
        let built = until(cancel, listening(made, told, progress)).await??;
        if let Err(error) = self.look_into(&built, contents, cancel, progress).await {
            // The first error is the one to tell; without a name it is in nobody's way.
            if let Err(left) = build::discard(self.engine, &built).await {
                progress.note(format!("an image that is no good could not be removed: {left}"));
            }
            return Err(error);
        }
        build::name(self.engine, &built, self.tag).await?;
        let seconds = begun.elapsed().as_secs_f64();
        progress.say_from(self.engine.node(), ImageEvent::Built { image: self.tag.to_string(), seconds });
        Ok(self.engine.image(self.tag).await?)
    }

    async fn look_into(
        &self,
        built: &Image,
        contents: &Contents,
        cancel: &CancellationToken,
        progress: &mut dyn Observer,
    ) -> Result<(), Box<dyn Failure>> {
        let container = build::open(self.engine, built, self.tag, self.cluster).await?;
        let seen = until(cancel, build::verify(&contents.tuned, self.place, &container)).await;
        close(container, progress).await;
        Ok(seen??)
    }
}

/// Who is to be brought in line with `on`, where it has the image.
fn plan_from(
    tag: &ImageName,
    wanted: &Wanted,
    on: &HostName,
    asked: &[Asked],
) -> Result<CopyPlan, Box<dyn Failure>> {
    let held: Vec<NodeImage> = reached(asked).map(|it| it.held.clone()).collect();
    Ok(plan(tag, &held, &wanted.head, Some(on))?)
}

/// The same for an image on top of `base` that nobody has yet.
fn everybody(on: &HostName, base: &Image, asked: &[Asked]) -> CopyPlan {
    let step = |Reached { node, held, .. }: &Reached| {
        if node.name() == on {
            CopyStep::Source
        } else if runs(&base.architecture, &held.architecture) {
            CopyStep::Copy
        } else {
            CopyStep::WrongArchitecture
        }
    };
    let source = reached(asked).position(|reached| reached.node.name() == on).unwrap_or(0);
    CopyPlan { source, steps: reached(asked).map(step).collect() }
}

fn note_left_out(files: &[PathBuf], progress: &mut dyn Observer) {
    if files.is_empty() {
        return;
    }
    let named: Vec<String> = files.iter().take(NAMED).map(|path| format!("`{}`", path.display())).collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    progress.note(format!("left out, for another runtime, Triton or GPU: {}{more}", named.join(", ")));
}
