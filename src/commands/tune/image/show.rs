//! What came of it, for people and programs.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Asked, Row};
use crate::cluster::images::{
    Brought, How, ImageSyncError, NodeImage, SameBy, Tuned, Way, reference, runs, same,
};
use crate::cluster::installed::ConfigPlace;
use crate::commands::Output;
use crate::host::engine::{Image, ImageName};
use crate::host_name::HostName;

/// What is shown image by image, and what it comes to.
#[derive(Debug)]
pub(super) struct Shown {
    /// What one JSON object will hold; none where it is shown to people.
    json: Option<Vec<Value>>,
    /// What was built, where that was asked for.
    built: Option<Value>,
    /// Nodes that do not have an image, or do not say.
    pub(super) failures: Vec<ImageSyncError>,
    /// Whether nodes that were listed have different ones, or none.
    pub(super) differ: bool,
}

impl Shown {
    pub(super) fn new(json: bool) -> Self {
        Self { json: json.then(Vec::new), built: None, failures: Vec::new(), differ: false }
    }

    /// What was built, and where its files went.
    pub(super) fn built(&mut self, built: &Built<'_>, out: &mut dyn Output) -> io::Result<()> {
        let Built { image, on, tuned, place, left_out, new } = built;
        if self.json.is_some() {
            self.built = Some(json!({
                "image": image.as_str(),
                "on": on,
                "outcome": if *new { "built" } else { "had_it" },
                "runtime": format!("{} {}", place.family.name(), place.version),
                "triton": place.triton.to_string(),
                "tuned": tuned,
                "left_out": left_out,
            }));
            return Ok(());
        }
        let how = if *new { "built" } else { "had the same already" };
        out.line(&format!("{image}: {how} on {on}: {}", tuned_words(tuned)))?;
        out.line(&format!("  files in {}, because {}", tuned.folder, place.reason))
    }

    /// What each node had and has now; as the node `source` where it was copied from there.
    pub(super) fn brought(
        &mut self,
        image: &ImageName,
        source: Option<&HostName>,
        rows: Vec<Row>,
        out: &mut dyn Output,
    ) -> io::Result<()> {
        match &mut self.json {
            Some(images) => {
                let nodes: Vec<Value> = rows.iter().map(|row| brought_json(row, source)).collect();
                images.push(json!({ "image": image.as_str(), "source": source, "nodes": nodes }));
            }
            None => {
                let table: Vec<Vec<String>> = rows.iter().map(|row| brought_words(row, source)).collect();
                out.line(&format!("{image}:"))?;
                out.table(&["node", "had", "now", "how"], &table)?;
            }
        }
        self.failures.extend(rows.into_iter().filter_map(|row| row.now.err()));
        Ok(())
    }

    /// What each node has, held against what `head` has, or the first node that has it.
    pub(super) fn list(
        &mut self,
        image: &ImageName,
        head: &HostName,
        asked: Vec<Asked>,
        out: &mut dyn Output,
    ) -> io::Result<()> {
        let held: Vec<NodeImage> = super::reached(&asked).map(|it| it.held.clone()).collect();
        let reference = reference(&held, head).and_then(|at| {
            let of = &held[at];
            of.image.as_ref().map(|image| (&of.node, image))
        });
        let states: Vec<State<'_>> = asked.iter().map(|asked| State::of(asked, reference)).collect();
        self.differ |= states.iter().any(|state| matches!(state, State::Missing | State::Differs(..)));
        match &mut self.json {
            Some(images) => {
                let node = |(asked, state): (&Asked, &State<'_>)| {
                    json!({
                        "node": asked.node,
                        "has": state.image().map(image_json),
                        "state": state.word(),
                        "same_by": state.same_by(),
                        "error": asked.answer.as_ref().err().map(ImageSyncError::problem),
                    })
                };
                let nodes: Vec<Value> = asked.iter().zip(&states).map(node).collect();
                let source = reference.map(|(node, _)| node);
                images.push(json!({ "image": image.as_str(), "compared_with": source, "nodes": nodes }));
            }
            None => {
                let row = |(asked, state): (&Asked, &State<'_>)| {
                    let (id, built_for, size) = match state.image() {
                        Some(image) => (short(&image.id), image.architecture.clone(), megabytes(image.bytes)),
                        None => ("-".into(), "-".into(), "-".into()),
                    };
                    vec![asked.node.to_string(), id, built_for, size, state.words(asked, reference)]
                };
                let table: Vec<Vec<String>> = asked.iter().zip(&states).map(row).collect();
                out.line(&format!("{image}:"))?;
                out.table(&["node", "ID", "for", "MB", "content"], &table)?;
                if let Some(tuned) = reference.and_then(|(_, image)| Tuned::of(image)) {
                    out.line(&format!("  tuned: {}", tuned_words(&tuned)))?;
                }
            }
        }
        self.failures.extend(asked.into_iter().filter_map(|asked| asked.answer.err()));
        Ok(())
    }

    pub(super) fn end(&mut self, out: &mut dyn Output) -> io::Result<()> {
        // A dry run has lines alone, and goes with no JSON.
        let Some(images) = self.json.take() else { return Ok(()) };
        out.json(&match self.built.take() {
            Some(built) => json!({ "built": built, "images": images }),
            None => json!({ "images": images }),
        })
    }
}

/// A tuned image, new or not.
pub(super) struct Built<'a> {
    pub(super) image: &'a ImageName,
    pub(super) on: &'a HostName,
    pub(super) tuned: &'a Tuned,
    pub(super) place: &'a ConfigPlace,
    /// Files that are for no node.
    pub(super) left_out: &'a [PathBuf],
    /// Whether it was not there.
    pub(super) new: bool,
}

/// `2 files for NVIDIA_GB10 (compiled) from RUN, on lmsysorg/sglang:spark`
fn tuned_words(tuned: &Tuned) -> String {
    let devices: BTreeSet<&str> = tuned.files.values().map(|file| file.device.as_str()).collect();
    let devices = devices.into_iter().collect::<Vec<_>>().join(", ");
    // The weakest of all, and of nothing where one says nothing.
    let evidence = tuned.files.values().map(|file| file.evidence).min().flatten();
    let evidence = evidence.map_or_else(String::new, |rung| format!(" ({rung})"));
    let count = tuned.files.len();
    let files = if count == 1 { "file" } else { "files" };
    format!("{count} {files} for {devices}{evidence} from {}, on {}", tuned.from, tuned.base)
}

/// How what a node has compares.
enum State<'a> {
    /// The others are held against it.
    Compared(&'a Image),
    Same(&'a Image, SameBy),
    /// It is for the node's own architecture, and so cannot be the same.
    Own(&'a Image),
    Differs(&'a Image),
    Missing,
    Unknown,
}

impl<'a> State<'a> {
    fn of(asked: &'a Asked, reference: Option<(&HostName, &Image)>) -> Self {
        let Ok(reached) = &asked.answer else { return Self::Unknown };
        let Some(image) = &reached.held.image else { return Self::Missing };
        match reference {
            Some((node, _)) if *node == asked.node => Self::Compared(image),
            Some((_, other)) => match same(other, image) {
                Some(by) => Self::Same(image, by),
                None if !runs(&other.architecture, &reached.held.architecture) => Self::Own(image),
                None => Self::Differs(image),
            },
            // Nobody has one, not even this node.
            None => Self::Missing,
        }
    }

    fn image(&self) -> Option<&'a Image> {
        match self {
            State::Compared(image) | State::Same(image, _) | State::Own(image) | State::Differs(image) => {
                Some(image)
            }
            State::Missing | State::Unknown => None,
        }
    }

    fn same_by(&self) -> Option<SameBy> {
        match self {
            State::Same(_, by) => Some(*by),
            _ => None,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            State::Compared(_) => "compared_with",
            State::Same(..) => "same",
            State::Own(_) => "other_architecture",
            State::Differs(_) => "differs",
            State::Missing => "missing",
            State::Unknown => "unknown",
        }
    }

    fn words(&self, asked: &Asked, reference: Option<(&HostName, &Image)>) -> String {
        let of = reference.map(|(node, _)| node.to_string()).unwrap_or_default();
        match self {
            State::Compared(_) => "the others are held against it".into(),
            State::Same(_, by) => format!("as on {of} ({})", by_words(*by)),
            State::Own(_) => "of its own architecture".into(),
            State::Differs(_) => format!("another than on {of}"),
            State::Missing => "missing".into(),
            State::Unknown => asked.answer.as_ref().err().map(ImageSyncError::problem).unwrap_or_default(),
        }
    }
}

fn by_words(by: SameBy) -> &'static str {
    match by {
        SameBy::Configuration => "by configuration",
        SameBy::Digest => "by the registry's digest",
        SameBy::Layers => "by layers",
    }
}

fn brought_words(row: &Row, source: Option<&HostName>) -> Vec<String> {
    let id = |image: Option<&Image>| image.map_or_else(|| "-".to_owned(), |image| short(&image.id));
    let how = match &row.now {
        Err(error) => format!("failed: {}", error.problem()),
        Ok(brought) => match brought.how {
            How::Source => "had it".into(),
            How::HadIt(by) => format!("had the same ({})", by_words(by)),
            How::Copied(way) => {
                let source = source.map(|source| format!(" from {source}")).unwrap_or_default();
                let way = if way == Way::Fabric { " over the fabric" } else { "" };
                format!("copied{source}{way}")
            }
            How::Pulled => "pulled".into(),
            How::PulledTheSame => "pulled, had the same".into(),
        },
    };
    let now = row.now.as_ref().ok().map(|brought| &brought.image);
    vec![row.node.to_string(), id(row.had.as_ref()), id(now), how]
}

fn brought_json(row: &Row, source: Option<&HostName>) -> Value {
    let (how, by, way) = match &row.now {
        Err(_) => ("failed", None, None),
        Ok(Brought { how, .. }) => match how {
            How::Source => ("had_it", None, None),
            How::HadIt(by) => ("had_it", Some(*by), None),
            How::Copied(way) => ("copied", None, Some(*way)),
            How::Pulled => ("pulled", None, None),
            How::PulledTheSame => ("pulled_the_same", None, None),
        },
    };
    let from = source.filter(|_| way.is_some());
    json!({
        "node": row.node,
        "had": row.had.as_ref().map(image_json),
        "now": row.now.as_ref().ok().map(|brought| image_json(&brought.image)),
        "how": how,
        "same_by": by,
        "from": from,
        "way": way,
        "error": row.now.as_ref().err().map(ImageSyncError::problem),
    })
}

fn image_json(image: &Image) -> Value {
    json!({
        "id": image.id,
        "config_digest": image.config_digest,
        "repo_digests": image.repo_digests,
        "layers": image.layers,
        "architecture": image.architecture,
        "bytes": image.bytes,
        "tuned": Tuned::of(image),
    })
}

/// As the engines' commands show an ID.
fn short(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}
