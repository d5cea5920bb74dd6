//! Which config files of fused-MoE kernels a process says that it has loaded, and of which it uses something else.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::runtime::{ConfigLine, LookUp};

/// Files that are told apart.
const MOST_FILES: usize = 64;

/// What came of a process's look-ups, by the names of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct ConfigUses(BTreeMap<String, ConfigUse>);

/// What is used for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConfigUse {
    /// It.
    Loaded,
    /// A file of another Triton, or that of the up projection.
    Fallback,
    /// The runtime's own default.
    Default,
}

impl ConfigUses {
    /// Take in a line of its log. Of ranks of one process that differ, the worst use counts.
    pub(super) fn add(&mut self, line: &str) {
        let Some(ConfigLine { look_up, .. }) = ConfigLine::parse(line) else { return };
        let (wanted, used): (Vec<String>, ConfigUse) = match look_up {
            LookUp::Loaded { path } => (vec![path], ConfigUse::Loaded),
            LookUp::OfAnotherTriton { wanted, .. } | LookUp::WithoutDown { wanted } => {
                (vec![wanted], ConfigUse::Fallback)
            }
            LookUp::Default { wanted } => (wanted, ConfigUse::Default),
            LookUp::NotLookedFor => return,
        };
        for path in wanted {
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            if self.0.len() < MOST_FILES || self.0.contains_key(&name) {
                let known = self.0.entry(name).or_insert(used);
                *known = (*known).max(used);
            }
        }
    }

    /// Each file with its use.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, ConfigUse)> {
        self.0.iter().map(|(name, used)| (name.as_str(), *used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_use_of_a_file_counts() {
        let name = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
        let mut uses = ConfigUses::default();
        for line in [
            "a line of something else".to_owned(),
            format!("[2026-01-31 10:20:30 TP0] Using MoE kernel config from /configs/triton_3_5_0/{name}."),
        ] {
            uses.add(&line);
        }
        assert_eq!(uses.files().collect::<Vec<_>>(), [(name, ConfigUse::Loaded)]);
        uses.add(&format!(
            "[2026-01-31 10:20:30 TP1] Using default MoE kernel config. Performance might be sub-optimal! Config file \
             not found at /configs/triton_3_5_0/{name}, you can create them with the tuner"
        ));
        assert_eq!(uses.files().collect::<Vec<_>>(), [(name, ConfigUse::Default)]);
    }
}
