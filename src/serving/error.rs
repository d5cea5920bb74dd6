//! Why a recipe cannot be served on these nodes.

use std::fmt::Write as _;

use super::memory::NodeMemory;
use super::rules::Notice;
use super::split::Split;
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

/// What cannot be brought up. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// More GPUs than there are nodes.
    #[error(
        "{model} with {split} takes {needed} nodes, one GPU each, and {}",
        if *there == 1 { "there is 1".to_owned() } else { format!("there are {there}") }
    )]
    TooFewNodes {
        /// The model.
        model: String,
        /// Its split.
        split: Split,
        /// Nodes that it takes.
        needed: u64,
        /// Nodes that there are.
        there: usize,
    },
    /// Something cannot be split so.
    #[error("{model}: its {count} {what} cannot be split over {by} = {parts}")]
    DoesNotDivide {
        /// The model.
        model: String,
        /// What is split.
        what: &'static str,
        /// How many of it there are.
        count: u32,
        /// The key that splits it.
        by: &'static str,
        /// Into so many.
        parts: u32,
    },
    /// It does not go in.
    #[error("{}", too_little(model, *split, *context, nodes))]
    TooLittleMemory {
        /// The model.
        model: String,
        /// Its split.
        split: Split,
        /// The context asked for, tokens.
        context: Option<u64>,
        /// The nodes on which it does not, and what it takes there.
        nodes: Vec<(HostName, NodeMemory)>,
    },
    /// Nobody knows where ranks would meet.
    #[error(
        "{node}: its inventory has neither `fabric` nor an IP address, and the node was not asked: where do the ranks meet?"
    )]
    NoAddress {
        /// The node.
        node: HostName,
    },
    /// A node with an engine, and no image for it.
    #[error("{node}: neither the recipe of {model} nor the inventory names an image")]
    NoImage {
        /// The node.
        node: HostName,
        /// The model.
        model: String,
    },
    /// It waives a rule that there is not.
    #[error("recipe of {model}, field `serve.waive`: there is no rule `{rule}`; there are {}", .known.join(", "))]
    NoSuchRule {
        /// The model.
        model: String,
        /// What it waives.
        rule: String,
        /// The rules that there are.
        known: Vec<String>,
    },
    /// It is known not to work.
    #[error("{} (rule `{}`; {})", .0.says, .0.rule, .0.source)]
    Refused(Notice),
}

impl PlanError {
    /// The same where the model stands beside it, in a line.
    pub(crate) fn in_short(&self) -> String {
        match self {
            PlanError::TooFewNodes { needed, there, .. } => format!("{needed} nodes needed, {there} there"),
            PlanError::TooLittleMemory { nodes, .. } => {
                let least = nodes.iter().min_by(|(_, a), (_, b)| a.allowed_gb.total_cmp(&b.allowed_gb));
                least.map_or_else(String::new, |(node, NodeMemory { weights_gb, cache_gb, allowed_gb })| {
                    let needed = weights_gb + cache_gb.unwrap_or_default();
                    format!("{needed:.0} GB needed on {node}, {allowed_gb:.0} may be taken")
                })
            }
            other => other.to_string(),
        }
    }
}

fn too_little(model: &str, split: Split, context: Option<u64>, nodes: &[(HostName, NodeMemory)]) -> String {
    let context = context.map_or_else(String::new, |context| format!(" and a context of {context} tokens"));
    let mut text = format!("{model} with {split}{context} does not go into memory");
    for (node, memory) in nodes {
        let NodeMemory { weights_gb, cache_gb, allowed_gb } = memory;
        let cache = cache_gb.map_or_else(String::new, |cache| format!(" + {cache:.1} GB of cache"));
        // A String takes whatever it is given.
        _ = write!(
            text,
            "\n  {node}: {weights_gb:.1} GB of weights{cache}, and {allowed_gb:.1} GB may be taken"
        );
    }
    text
}

impl Failure for PlanError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}
