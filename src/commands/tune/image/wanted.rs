//! Which image is wanted on which nodes.

use super::{ImageAction, ImageSettings};
use crate::cluster::connect;
use crate::cluster::inventory::{Inventory, Node, NodeRole};
use crate::failure::{Failure, Kind};
use crate::host::engine::{BadImageName, ImageName};
use crate::host::ssh::SshConnections;
use crate::host_name::HostName;

/// Each image, and the nodes that are to have it. No list is empty.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) ssh: SshConnections,
    pub(super) head: HostName,
    pub(super) images: Vec<(ImageName, Vec<Node>)>,
    /// The cluster's name.
    pub(super) cluster: String,
}

/// What cannot be wanted.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("no node of `{cluster}` has an engine, and images are an engine's")]
    NoEngine { cluster: String },
    #[error("{on}: field `image` of its inventory: {error}")]
    Image { on: HostName, error: BadImageName },
    #[error("{option}: no node `{node}` with an engine is in the inventory; it has {known}")]
    NoSuchNode { option: &'static str, node: HostName, known: String },
    #[error("the head `{head}` has no engine to build an image with; the nodes that have one: {known}")]
    HeadCannotBuild { head: HostName, known: String },
    #[error("the nodes are to have {count} images; name the one that is built on")]
    BuildOnSeveral { count: usize },
    #[error("`{0}` has no tag that a tuned image's could be made of")]
    NoTag(ImageName),
    #[error("--tag: `{0}` is what is built on")]
    TagOfBase(ImageName),
    #[error("--from: the nodes are to have {count} images; name the one that is meant")]
    FromOfSeveral { count: usize },
    #[error("`{0}` is no name that a copy could have: digests and IDs are an engine's own")]
    ByDigest(ImageName),
}

impl Failure for BadRequest {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            BadRequest::NoEngine { .. } => {
                Some("name an inventory with --cluster; without one this machine alone is the cluster".into())
            }
            BadRequest::NoTag(_) => Some("name the image that is built: --tag NAME".into()),
            BadRequest::HeadCannotBuild { .. } => Some("say where it is built: --on NODE".into()),
            BadRequest::ByDigest(_) => Some("name it by its tag, or --pull it on every node".into()),
            _ => None,
        }
    }
}

pub(super) fn wanted(settings: &ImageSettings, inventory: &Inventory) -> Result<Wanted, BadRequest> {
    let nodes: Vec<&Node> = inventory.nodes.iter().filter(|node| node.settings.engine().is_some()).collect();
    let mut images: Vec<(ImageName, Vec<Node>)> = Vec::new();
    for node in &nodes {
        let image = match (&settings.image, node.settings.image()) {
            (Some(image), _) => image.clone(),
            (None, Some(text)) => {
                text.parse().map_err(|error| BadRequest::Image { on: node.name.clone(), error })?
            }
            (None, None) => continue,
        };
        match images.iter_mut().find(|(known, _)| *known == image) {
            Some((_, members)) => members.push((*node).clone()),
            None => images.push((image, vec![(*node).clone()])),
        }
    }
    if images.is_empty() {
        return Err(BadRequest::NoEngine { cluster: inventory.name.clone() });
    }
    let head = inventory.nodes.iter().find(|node| node.role == NodeRole::Head);
    // An inventory has a head; the first node is as good a rule where it had none.
    let head = head.or(inventory.nodes.first()).map_or_else(HostName::local, |node| node.name.clone());
    let is_there = |name: &HostName| nodes.iter().any(|node| node.name == *name);
    let known = || nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
    let no_such =
        |option, node: &HostName| BadRequest::NoSuchNode { option, node: node.clone(), known: known() };
    match &settings.action {
        ImageAction::Sync { from, .. } => {
            if let Some((image, _)) = images.iter().find(|(image, _)| image.is_by_digest()) {
                return Err(BadRequest::ByDigest(image.clone()));
            }
            match from {
                Some(from) if !is_there(from) => return Err(no_such("--from", from)),
                Some(_) if images.len() > 1 => return Err(BadRequest::FromOfSeveral { count: images.len() }),
                _ => {}
            }
        }
        ImageAction::Build(build) => match &build.on {
            Some(on) if !is_there(on) => return Err(no_such("--on", on)),
            None if !is_there(&head) => return Err(BadRequest::HeadCannotBuild { head, known: known() }),
            _ if images.len() > 1 => return Err(BadRequest::BuildOnSeveral { count: images.len() }),
            _ => {}
        },
        ImageAction::List { .. } | ImageAction::Pull { .. } => {}
    }
    Ok(Wanted { ssh: connect::ssh(inventory), head, images, cluster: inventory.name.clone() })
}

/// The name of the tuned image on top of `base`, where `tag` was said or not.
pub(super) fn tuned_name(base: &ImageName, tag: Option<&ImageName>) -> Result<ImageName, BadRequest> {
    match tag {
        Some(tag) if tag.is_by_digest() => Err(BadRequest::ByDigest(tag.clone())),
        Some(tag) if tag.is_same_name(base) => Err(BadRequest::TagOfBase(tag.clone())),
        Some(tag) => Ok(tag.clone()),
        None => base.with_suffix("-tuned").ok_or_else(|| BadRequest::NoTag(base.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::BuildSettings;
    use super::*;

    const LAB: &str = r#"
name = "lab"
image = "a:b"
[[nodes]]
name = "n1"
role = "worker"
ssh = "n1"
[[nodes]]
name = "n2"
role = "head"
ssh = "n2"
[[nodes]]
name = "n3"
role = "worker"
ssh = "n3"
image = "c:d"
[[nodes]]
name = "bare"
role = "worker"
ssh = "bare"
engine = "none"
"#;

    fn of(text: &str, image: Option<&str>, action: ImageAction) -> Result<Wanted, BadRequest> {
        let inventory = Inventory::parse(Path::new("sparks.toml"), text).unwrap();
        let image = image.map(|image| image.parse().unwrap());
        wanted(&ImageSettings { cluster: None, image, action, json: false }, &inventory)
    }

    fn sync(from: Option<&str>) -> ImageAction {
        ImageAction::Sync {
            from: from.map(|from| from.parse().unwrap()),
            through_here: false,
            dry_run: false,
        }
    }

    fn build(on: Option<&str>) -> ImageAction {
        ImageAction::Build(BuildSettings {
            tuned: vec!["results/x".into()],
            tag: None,
            on: on.map(|on| on.parse().unwrap()),
            sync: true,
            through_here: false,
            dry_run: false,
            profiles: None,
        })
    }

    #[test]
    fn a_tuned_image_is_named_after_its_base_or_as_is_said() {
        let name = |text: &str| text.parse::<ImageName>().unwrap();
        let of = |base, tag: Option<&str>| tuned_name(&name(base), tag.map(name).as_ref());
        assert_eq!(of("a:b", None).unwrap().as_str(), "a:b-tuned");
        assert_eq!(of("a:b", Some("mine:1")).unwrap().as_str(), "mine:1");
        assert_eq!(of("a@sha256:00", Some("mine")).unwrap().as_str(), "mine");
        for (base, tag, words) in [
            ("a@sha256:00", None, "has no tag"),
            ("a:b", Some("a:b"), "is what is built on"),
            ("a", Some("a:latest"), "is what is built on"),
            ("a:b", Some("sha256:00"), "no name that a copy could have"),
        ] {
            let error = of(base, tag).unwrap_err();
            assert!(error.to_string().contains(words), "{base} {tag:?}: {error}");
            assert_eq!(error.kind(), Kind::Input);
        }
    }

    fn names(wanted: &Wanted) -> Vec<(&str, Vec<&str>)> {
        let of = |nodes: &'_ Vec<Node>| nodes.iter().map(|node| node.name.to_string()).collect::<Vec<_>>();
        let leak = |name: String| &*Box::leak(name.into_boxed_str());
        let each = wanted.images.iter();
        each.map(|(image, nodes)| (image.as_str(), of(nodes).into_iter().map(leak).collect())).collect()
    }

    #[test]
    fn nodes_with_an_engine_get_their_own_image_or_the_one_named() {
        let own = of(LAB, None, sync(None)).unwrap();
        assert_eq!(own.head.as_str(), "n2");
        assert_eq!(names(&own), [("a:b", vec!["n1", "n2"]), ("c:d", vec!["n3"])]);
        let named = of(LAB, Some("e:f"), sync(Some("n3"))).unwrap();
        assert_eq!(names(&named), [("e:f", vec!["n1", "n2", "n3"])]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bare = LAB.replace("image = \"a:b\"", "engine = \"none\"").replace("image = \"c:d\"", "");
        let bare_head = LAB.replace("role = \"head\"", "role = \"worker\"");
        let bare_head =
            bare_head.replace("role = \"worker\"\nssh = \"bare\"", "role = \"head\"\nssh = \"bare\"");
        for (text, image, action, words) in [
            (bare.as_str(), None, sync(None), "no node of `lab` has an engine"),
            (
                LAB,
                Some("a:b"),
                sync(Some("n9")),
                "no node `n9` with an engine is in the inventory; it has n1, n2, n3",
            ),
            (LAB, Some("a:b"), sync(Some("bare")), "no node `bare`"),
            (LAB, None, sync(Some("n1")), "the nodes are to have 2 images"),
            (LAB, Some("a@sha256:00"), sync(None), "no name that a copy could have"),
            (LAB, Some("sha256:00"), sync(None), "no name that a copy could have"),
            (LAB, None, build(None), "the nodes are to have 2 images; name the one that is built on"),
            (LAB, Some("a:b"), build(Some("bare")), "--on: no node `bare` with an engine"),
            (
                bare_head.as_str(),
                Some("a:b"),
                build(None),
                "the head `bare` has no engine to build an image with",
            ),
        ] {
            let error = of(text, image, action).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), Kind::Input);
        }
        assert!(of(LAB, Some("a@sha256:00"), build(Some("n3"))).is_ok());
        assert!(of(LAB, Some("a@sha256:00"), ImageAction::Pull { dry_run: false }).is_ok());
        assert!(of(LAB, Some("a@sha256:00"), ImageAction::List { dry_run: false }).is_ok());
    }
}
