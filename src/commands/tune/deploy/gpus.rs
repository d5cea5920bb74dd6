//! Which GPUs a node has, as far as files are named after them.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cluster::connect::Connected;
use crate::cluster::facts::{NodeFacts, READ_LIMIT, read_all};
use crate::cluster::installed::Family;

/// The GPUs of a node, as torch names them; none where they are not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::commands::tune) struct Gpus(BTreeSet<String>);

impl Gpus {
    /// Those that the inventory expects of `node`, else those that the node itself sees.
    pub(in crate::commands::tune) async fn of(node: &Connected) -> Self {
        if let Some(expected) = node.node.settings.expect_gpu() {
            return Self::named([expected]);
        }
        let Ok(host) = node.host() else { return Self::unknown() };
        // A node that does not say what it is can still be deployed to.
        match read_all(std::slice::from_ref(host), READ_LIMIT).await.pop() {
            Some(Ok(answer)) => {
                let facts = NodeFacts::of(&answer.reading);
                Self::named(facts.gpus.iter().map(|gpu| gpu.name.as_str()))
            }
            _ => Self::unknown(),
        }
    }

    /// Those of a node of which nothing is known.
    pub(in crate::commands::tune) fn unknown() -> Self {
        Self::named([])
    }

    fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// Whether they are known.
    pub(super) fn are_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a runtime of this family would look here for a file that is named after `device`.
    pub(super) fn read(&self, device: &str, family: Family) -> bool {
        !self.are_known() || self.0.iter().any(|name| in_a_name(name, family) == device)
    }

    /// They in words, as in a file's name.
    pub(super) fn words(&self, family: Family) -> String {
        self.0.iter().map(|name| in_a_name(name, family)).collect::<Vec<_>>().join(", ")
    }
}

/// A GPU as file names have it. vLLM takes all of the H200's kind for one (`get_config_file_name` of its `fused_moe.py`,
/// 0.11.2 and 0.33.0); SGLang does not.
fn in_a_name(gpu: &str, family: Family) -> String {
    let name = gpu.replace(' ', "_");
    let of_h200 = family == Family::Vllm && name.split('_').any(|part| part == "H200");
    if of_h200 { "NVIDIA_H200".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_the_files_of_its_own_gpus() {
        let spark = Gpus::named(["NVIDIA GB10"]);
        assert!(spark.read("NVIDIA_GB10", Family::Sglang));
        assert!(!spark.read("NVIDIA_Thor", Family::Sglang));
        let both = Gpus::named(["NVIDIA GB10", "NVIDIA RTX A6000"]);
        assert!(both.read("NVIDIA_RTX_A6000", Family::Vllm) && both.read("NVIDIA_GB10", Family::Vllm));
        assert_eq!(both.words(Family::Vllm), "NVIDIA_GB10, NVIDIA_RTX_A6000");
        // Where nothing is known, nothing is left out.
        let unknown = Gpus::unknown();
        assert!(!unknown.are_known() && unknown.read("NVIDIA_Thor", Family::Vllm));
    }

    #[test]
    fn vllm_takes_the_kinds_of_h200_for_one() {
        let gpus = Gpus::named(["NVIDIA H200 NVL"]);
        assert!(gpus.read("NVIDIA_H200", Family::Vllm) && !gpus.read("NVIDIA_H200_NVL", Family::Vllm));
        assert!(gpus.read("NVIDIA_H200_NVL", Family::Sglang) && !gpus.read("NVIDIA_H200", Family::Sglang));
    }
}
