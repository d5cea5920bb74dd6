//! Who has an image, who needs it, and from whom. Pure.

use super::same::{SameBy, same};
use crate::failure::{Failure, Kind};
use crate::host::engine::{Image, ImageName};
use crate::host_name::HostName;

/// What a node says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeImage {
    /// The node.
    pub node: HostName,
    /// The image that goes by the name there; none where none does.
    pub image: Option<Image>,
    /// What the node's programs are built for, in its engine's word: `aarch64`, `arm64`.
    pub architecture: String,
}

/// What is to be done for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// It is the one that others are brought in line with.
    Source,
    /// Nothing: it has the same content.
    Skip(SameBy),
    /// The image is copied to it.
    Copy,
    /// Nothing: what the source has does not run there.
    WrongArchitecture,
}

/// What is to be done for each node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPlan {
    /// Where in the list of nodes the source is.
    pub source: usize,
    /// One a node, in their order.
    pub steps: Vec<CopyStep>,
}

/// No plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCopyPlan {
    /// There is nothing to copy.
    #[error("no node has the image `{0}`")]
    Nowhere(ImageName),
    /// The node that was named has no such image.
    #[error("--from: `{node}` does not have the image `{image}`; {have}")]
    NotThere {
        /// The image.
        image: ImageName,
        /// The node.
        node: HostName,
        /// Who has it, in words.
        have: String,
    },
    /// Nobody can say which one is meant.
    #[error("the head shows no image `{image}`, and {first} and {other} have different ones of that name")]
    Which {
        /// The image.
        image: ImageName,
        /// A node.
        first: HostName,
        /// One that has another.
        other: HostName,
    },
}

impl Failure for NoCopyPlan {
    fn kind(&self) -> Kind {
        match self {
            NoCopyPlan::Nowhere(_) => Kind::Environment,
            NoCopyPlan::NotThere { .. } | NoCopyPlan::Which { .. } => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NoCopyPlan::Nowhere(_) => Some("fetch it from its registry on every node: --pull".into()),
            NoCopyPlan::Which { .. } => Some("say which node has the right one: --from NODE".into()),
            NoCopyPlan::NotThere { .. } => None,
        }
    }
}

/// What has to be done so that all of `nodes` have the same `image`: what `from` has; where that is not said, what
/// `head` has; where it has none, what the others have, if it is one.
///
/// # Errors
/// No node has it, or the one that counts does not.
pub fn plan(
    image: &ImageName,
    nodes: &[NodeImage],
    head: &HostName,
    from: Option<&HostName>,
) -> Result<CopyPlan, NoCopyPlan> {
    let source = source(image, nodes, head, from)?;
    let reference = nodes[source].image.as_ref().ok_or_else(|| NoCopyPlan::Nowhere(image.clone()))?;
    let step = |(at, node): (usize, &NodeImage)| match &node.image {
        _ if at == source => CopyStep::Source,
        _ if !runs(&reference.architecture, &node.architecture) => CopyStep::WrongArchitecture,
        Some(held) => same(reference, held).map_or(CopyStep::Copy, CopyStep::Skip),
        None => CopyStep::Copy,
    };
    Ok(CopyPlan { source, steps: nodes.iter().enumerate().map(step).collect() })
}

fn source(
    image: &ImageName,
    nodes: &[NodeImage],
    head: &HostName,
    from: Option<&HostName>,
) -> Result<usize, NoCopyPlan> {
    let having: Vec<(usize, &NodeImage, &Image)> = nodes
        .iter()
        .enumerate()
        .filter_map(|(at, node)| node.image.as_ref().map(|image| (at, node, image)))
        .collect();
    if let Some(from) = from {
        let found = having.iter().find(|(_, node, _)| node.node == *from);
        return found.map(|(at, ..)| *at).ok_or_else(|| {
            let names: Vec<&str> = having.iter().map(|(_, node, _)| node.node.as_str()).collect();
            let have = match names.is_empty() {
                true => "no node has it".to_owned(),
                false => format!("these have it: {}", names.join(", ")),
            };
            NoCopyPlan::NotThere { image: image.clone(), node: from.clone(), have }
        });
    }
    let at = reference(nodes, head).ok_or_else(|| NoCopyPlan::Nowhere(image.clone()))?;
    let first = &nodes[at];
    if first.node == *head {
        return Ok(at);
    }
    let differs = |(_, _, other): &&(usize, &NodeImage, &Image)| match &first.image {
        Some(content) => same(content, other).is_none(),
        None => false,
    };
    match having.iter().find(differs) {
        None => Ok(at),
        Some((_, other, _)) => Err(NoCopyPlan::Which {
            image: image.clone(),
            first: first.node.clone(),
            other: other.node.clone(),
        }),
    }
}

/// The node that the others are held against: the head where it has the image, else the first one that has it.
pub fn reference(nodes: &[NodeImage], head: &HostName) -> Option<usize> {
    let has = |node: &&NodeImage| node.image.is_some();
    let at_head = nodes.iter().position(|node| node.node == *head && has(&node));
    at_head.or_else(|| nodes.iter().position(|node| has(&node)))
}

/// Whether what was built for `image` runs where programs are for `node`. What is not said may run.
pub fn runs(image: &str, node: &str) -> bool {
    fn known(architecture: &str) -> &str {
        match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
    image.is_empty() || node.is_empty() || known(image) == known(node)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::image;
    use super::*;

    fn held(node: &str, content: Option<&str>) -> NodeImage {
        let architecture = "aarch64".into();
        NodeImage { node: node.parse().unwrap(), image: content.map(image), architecture }
    }

    fn name() -> ImageName {
        "a:b".parse().unwrap()
    }

    fn planned(nodes: &[NodeImage], from: Option<&str>) -> Result<CopyPlan, NoCopyPlan> {
        let from: Option<HostName> = from.map(|from| from.parse().unwrap());
        plan(&name(), nodes, &"n1".parse().unwrap(), from.as_ref())
    }

    const SAME: CopyStep = CopyStep::Skip(SameBy::Configuration);

    #[test]
    fn what_the_head_has_is_what_all_get() {
        let nodes =
            [held("n2", Some("old")), held("n1", Some("new")), held("n3", None), held("n4", Some("new"))];
        let steps = vec![CopyStep::Copy, CopyStep::Source, CopyStep::Copy, SAME];
        assert_eq!(planned(&nodes, None), Ok(CopyPlan { source: 1, steps }));
    }

    #[test]
    fn without_the_head_the_others_must_agree() {
        let agreeing = [held("n1", None), held("n2", Some("x")), held("n3", Some("x"))];
        let steps = vec![CopyStep::Copy, CopyStep::Source, SAME];
        assert_eq!(planned(&agreeing, None), Ok(CopyPlan { source: 1, steps }));
        let differing = [held("n1", None), held("n2", Some("x")), held("n3", Some("y"))];
        let error = planned(&differing, None).unwrap_err();
        assert!(error.to_string().contains("n2 and n3 have different ones"), "{error}");
        assert_eq!((error.kind(), error.hint().unwrap().contains("--from")), (Kind::Input, true));
    }

    #[test]
    fn a_node_that_is_named_counts() {
        let nodes = [held("n1", Some("x")), held("n2", Some("y")), held("n3", None)];
        let steps = vec![CopyStep::Copy, CopyStep::Source, CopyStep::Copy];
        assert_eq!(planned(&nodes, Some("n2")), Ok(CopyPlan { source: 1, steps }));
        let error = planned(&nodes, Some("n3")).unwrap_err();
        assert!(
            error.to_string().contains("`n3` does not have the image `a:b`; these have it: n1, n2"),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::Input);
        let error = planned(&[held("n1", None)], Some("n1")).unwrap_err();
        assert!(error.to_string().contains("no node has it"), "{error}");
    }

    #[test]
    fn an_image_that_is_nowhere_has_to_be_pulled() {
        let error = planned(&[held("n1", None), held("n2", None)], None).unwrap_err();
        assert_eq!((error.kind(), error.hint().unwrap().contains("--pull")), (Kind::Environment, true));
        assert_eq!(planned(&[], None), Err(NoCopyPlan::Nowhere(name())));
    }

    #[test]
    fn what_would_not_run_is_not_copied() {
        let mut pc = held("n2", None);
        pc.architecture = "x86_64".into();
        let steps = vec![CopyStep::Source, CopyStep::WrongArchitecture];
        assert_eq!(planned(&[held("n1", Some("x")), pc], None), Ok(CopyPlan { source: 0, steps }));
        for (image, node, is) in [
            ("arm64", "aarch64", true),
            ("amd64", "x86_64", true),
            ("amd64", "amd64", true),
            ("amd64", "aarch64", false),
            ("arm64", "x86_64", false),
            ("riscv64", "riscv64", true),
            ("", "x86_64", true),
            ("arm64", "", true),
        ] {
            assert_eq!(runs(image, node), is, "{image} on {node}");
        }
    }
}
