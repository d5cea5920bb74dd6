//! One BLOCK_SIZE_M for both projections: up and down share one alignment of rows.
//!
//! Source: SGLang aligns once with the up config's BLOCK_SIZE_M and launches both kernels over it;
//! 0.5.4.post2 asserts that the down entry agrees, 0.5.23 overrides it.

use std::collections::BTreeMap;

use crate::shape::KernelConfig;

/// A config with what it costs, in any one unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// The config.
    pub config: KernelConfig,
    /// Its cost; less is better.
    pub cost: f64,
}

/// The chosen pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    /// For `gate_up_proj`.
    pub up: Candidate,
    /// For `down_proj`.
    pub down: Candidate,
}

/// The pair with the least up + down that shares a BLOCK_SIZE_M, or `None` if none does.
///
/// Of equally good pairs the one with the smaller BLOCK_SIZE_M wins, and of equally good configs the
/// one that comes first: the same input always gives the same pair.
pub(crate) fn choose(up: &[Candidate], down: &[Candidate]) -> Option<Pair> {
    let (up, down) = (cheapest_by_block(up), cheapest_by_block(down));
    up.into_iter()
        .filter_map(|(block, up)| Some(Pair { up, down: *down.get(&block)? }))
        .min_by(|a, b| (a.up.cost + a.down.cost).total_cmp(&(b.up.cost + b.down.cost)))
}

fn cheapest_by_block(candidates: &[Candidate]) -> BTreeMap<u32, Candidate> {
    let mut cheapest = BTreeMap::<u32, Candidate>::new();
    for candidate in candidates {
        cheapest
            .entry(candidate.config.block_size_m)
            .and_modify(|best| {
                if candidate.cost < best.cost {
                    *best = *candidate;
                }
            })
            .or_insert(*candidate);
    }
    cheapest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Tile;

    fn candidate(block_size_m: u32, block_size_n: u32, cost: f64) -> Candidate {
        let tile = Tile { block_size_m, block_size_n, block_size_k: 64, num_warps: 4, num_stages: 2 };
        Candidate { config: tile.with_group(1), cost }
    }

    #[test]
    fn the_sum_decides_not_the_up_projection_alone() {
        let up = [candidate(16, 32, 1.0), candidate(64, 32, 2.0)];
        let down = [candidate(16, 32, 9.0), candidate(64, 32, 3.0), candidate(128, 32, 0.1)];
        let pair = choose(&up, &down).unwrap();
        assert_eq!((pair.up.config.block_size_m, pair.down.config.block_size_m), (64, 64));
    }

    #[test]
    fn ties_go_to_the_smaller_block_and_the_earlier_config() {
        let up = [candidate(64, 32, 1.0), candidate(16, 128, 1.0), candidate(16, 32, 1.0)];
        let pair = choose(&up, &up).unwrap();
        assert_eq!((pair.up.config.block_size_m, pair.up.config.block_size_n), (16, 128));
    }

    #[test]
    fn no_common_block_is_no_pair() {
        assert_eq!(choose(&[candidate(16, 32, 1.0)], &[candidate(32, 32, 1.0)]), None);
        assert_eq!(choose(&[], &[candidate(32, 32, 1.0)]), None);
    }
}
