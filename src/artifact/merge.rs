//! Partial files of one layer into one: what several nodes or several evenings found.

use std::collections::BTreeMap;

use super::{ConfigFile, Entry};

/// A partial file and where it is from.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Says which file this is in messages.
    pub origin: String,
    /// Its entries.
    pub file: ConfigFile,
}

/// The merged file and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    /// All entries.
    pub file: ConfigFile,
    /// Expected keys that no part has.
    pub missing: Vec<u32>,
    /// Keys on which the preferred part overruled another, with the origin overruled.
    pub overruled: Vec<(u32, String)>,
}

/// Two parts say different things and nobody said which wins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key \"{key}\" is {first_config} in {first} and {second_config} in {second}")]
pub struct Disagreement {
    /// The key.
    pub key: u32,
    /// One origin.
    pub first: String,
    /// What it says.
    pub first_config: String,
    /// Another.
    pub second: String,
    /// What it says.
    pub second_config: String,
}

/// Merge `parts`. Entries that agree are one; where two differ, the part whose origin is `preferred`
/// wins, and if neither is, that is an error. Keys of `expected` that nobody has are reported.
pub(crate) fn merge(
    parts: &[Part],
    expected: &[u32],
    preferred: Option<&str>,
) -> Result<Merged, Disagreement> {
    let mut entries: BTreeMap<u32, (&Part, &Entry)> = BTreeMap::new();
    let mut overruled = Vec::new();
    // The preferred part first: then whatever differs from it is overruled, however many differ.
    let is_preferred = |part: &&Part| preferred == Some(part.origin.as_str());
    let (first, rest): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(is_preferred);
    for part in first.into_iter().chain(rest) {
        for (key, entry) in part.file.entries() {
            match entries.get(key).copied() {
                None => {
                    entries.insert(*key, (part, entry));
                }
                Some((_, held)) if held == entry => {}
                Some((holder, _)) if is_preferred(&holder) => overruled.push((*key, part.origin.clone())),
                Some((holder, held)) => {
                    return Err(Disagreement {
                        key: *key,
                        first: holder.origin.clone(),
                        first_config: held.to_string(),
                        second: part.origin.clone(),
                        second_config: entry.to_string(),
                    });
                }
            }
        }
    }
    let missing = expected.iter().copied().filter(|key| !entries.contains_key(key)).collect();
    let file = ConfigFile::from_entries(entries.into_iter().map(|(key, (_, entry))| (key, entry.clone())));
    Ok(Merged { file, missing, overruled })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Tile;

    fn part(origin: &str, entries: &[(u32, u32)]) -> Part {
        let config = |block_size_n| {
            Tile { block_size_m: 16, block_size_n, block_size_k: 64, num_warps: 4, num_stages: 2 }
                .with_group(1)
        };
        let file = ConfigFile::new(entries.iter().map(|&(key, n)| (key, config(n))));
        Part { origin: origin.into(), file }
    }

    #[test]
    fn parts_that_agree_or_do_not_overlap_are_one_and_gaps_are_told() {
        let parts = [part("a", &[(1, 32), (2, 64)]), part("b", &[(2, 64), (8, 128)])];
        let merged = merge(&parts, &[1, 2, 4, 8, 16], None).unwrap();
        let keys: Vec<u32> = merged.file.entries().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [1, 2, 8]);
        assert_eq!(merged.missing, [4, 16]);
        assert!(merged.overruled.is_empty());
    }

    #[test]
    fn disagreement_names_key_and_both_origins_unless_one_is_preferred() {
        let parts = [part("a", &[(1, 32)]), part("b", &[(1, 64)])];
        let error = merge(&parts, &[], None).unwrap_err().to_string();
        assert_eq!(error, "key \"1\" is 16x32x64 g1 w4 s2 in a and 16x64x64 g1 w4 s2 in b");
        for (preferred, n, loser) in [("a", 32, "b"), ("b", 64, "a")] {
            let merged = merge(&parts, &[], Some(preferred)).unwrap();
            assert_eq!(merged.file.get(1).unwrap().config.block_size_n, n);
            assert_eq!(merged.overruled, [(1, loser.to_owned())]);
        }
    }

    #[test]
    fn the_preferred_part_wins_over_any_number_of_others() {
        let parts = [part("a", &[(1, 32)]), part("b", &[(1, 64)]), part("c", &[(1, 128)])];
        let merged = merge(&parts, &[], Some("c")).unwrap();
        assert_eq!(merged.file.get(1).unwrap().config.block_size_n, 128);
        assert_eq!(merged.overruled, [(1, "a".to_owned()), (1, "b".to_owned())]);
        // Where the preferred part says nothing, the others must still agree.
        let parts = [part("a", &[(1, 32)]), part("b", &[(1, 64)]), part("c", &[(2, 128)])];
        assert!(merge(&parts, &[], Some("c")).is_err());
    }

    #[test]
    fn disagreement_shows_what_differs_beyond_the_tile() {
        let config = part("a", &[(1, 32)]).file.get(1).unwrap().config;
        let plain = Part { origin: "a".into(), file: ConfigFile::new([(1, config)]) };
        let tma = Entry { use_tma: Some(true), extra: vec![("num_ctas", 1)], ..config.into() };
        let other = Part { origin: "b".into(), file: ConfigFile::from_entries([(1, tma)]) };
        assert_eq!(
            merge(&[plain, other], &[], None).unwrap_err().to_string(),
            "key \"1\" is 16x32x64 g1 w4 s2 in a and 16x32x64 g1 w4 s2 num_ctas=1 USE_TMA=true in b"
        );
    }
}
