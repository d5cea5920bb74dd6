//! The order in which thread blocks visit the output, which is all that GROUP_SIZE_M decides.

use crate::shape::{Gemm, KernelConfig};

/// Thread blocks along each side of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Blocks of BLOCK_SIZE_M rows, over the rows the runtime allocates (EM).
    pub m_blocks: u64,
    /// Blocks of BLOCK_SIZE_N columns.
    pub n_blocks: u64,
}

impl Grid {
    /// The launch grid for `allocated_rows` (EM) rows of `gemm`'s output.
    pub(crate) fn new(allocated_rows: u64, gemm: Gemm, config: &KernelConfig) -> Self {
        Self {
            m_blocks: allocated_rows.div_ceil(u64::from(config.block_size_m)),
            n_blocks: u64::from(gemm.n.div_ceil(config.block_size_n)),
        }
    }

    /// The block of the output that program `pid` computes, as the kernel maps it.
    #[cfg(test)]
    pub(crate) fn block_of(&self, pid: u64, group_size_m: u32) -> (u64, u64) {
        let group = u64::from(group_size_m);
        let in_group = group * self.n_blocks;
        let first_m = pid / in_group * group;
        let rows = (self.m_blocks - first_m).min(group);
        (first_m + pid % in_group % rows, pid % in_group / rows)
    }

    /// The smallest of `groups` that gives the same schedule as `group_size_m`.
    ///
    /// A group as tall as the grid is one group, however much taller it is asked to be. With a
    /// single column of blocks every grouping is row by row.
    pub(crate) fn representative_group(&self, group_size_m: u32, groups: &[u32]) -> u32 {
        let same = |other: u32| {
            other == group_size_m
                || self.n_blocks == 1
                || (u64::from(other) >= self.m_blocks && u64::from(group_size_m) >= self.m_blocks)
        };
        groups.iter().copied().filter(|&other| same(other)).min().unwrap_or(group_size_m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::space::GROUP_SIZE_M;

    fn order(grid: Grid, group: u32) -> Vec<(u64, u64)> {
        (0..grid.m_blocks * grid.n_blocks).map(|pid| grid.block_of(pid, group)).collect()
    }

    /// Two groupings are called the same exactly where the kernel's own mapping is the same.
    #[test]
    fn equal_groups_are_equal_schedules() {
        for m_blocks in 1..=70 {
            for n_blocks in 1..=5 {
                let grid = Grid { m_blocks, n_blocks };
                for group in GROUP_SIZE_M {
                    let representative = grid.representative_group(group, &GROUP_SIZE_M);
                    assert_eq!(order(grid, group), order(grid, representative), "{grid:?} group {group}");
                    let smaller_and_same = GROUP_SIZE_M
                        .into_iter()
                        .find(|&other| order(grid, other) == order(grid, group))
                        .unwrap();
                    assert_eq!(representative, smaller_and_same, "{grid:?} group {group}");
                }
            }
        }
    }

    #[test]
    fn every_block_is_visited_once() {
        let grid = Grid { m_blocks: 37, n_blocks: 3 };
        let mut seen = order(grid, 16);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 37 * 3);
    }
}
