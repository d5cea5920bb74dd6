//! Every config that fits, best predicted first.

use crate::device::Device;
use crate::kernel::cost::CostModel;
use crate::kernel::schedule::Grid;
use crate::kernel::space::{self, GROUP_SIZE_M};
use crate::runtime::Runtime;
use crate::shape::{KernelConfig, MoeShape, Role};

/// A config with its predicted time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The config.
    pub config: KernelConfig,
    /// Predicted time, microseconds.
    pub predicted_us: f64,
}

/// The configs of SGLang's space that fit `device`, best predicted first, equal schedules once.
///
/// Ties keep the space's own order, so that the same input always gives the same ranking.
pub fn rank(shape: &MoeShape, device: &Device, runtime: Runtime, tokens: u32, role: Role) -> Vec<Ranked> {
    let model = CostModel::new(shape, device, tokens);
    let gemm = shape.gemm(role);
    let mut ranked: Vec<Ranked> = space::configs(&shape.quantization)
        .into_iter()
        .filter(|config| {
            let rows = runtime.allocated_rows(shape, tokens, config.block_size_m);
            let grid = Grid::new(rows, gemm, config);
            grid.representative_group(config.group_size_m, &GROUP_SIZE_M) == config.group_size_m
        })
        .filter_map(|config| {
            model.cost(role, &config).map(|cost| Ranked { config, predicted_us: cost.time_us })
        })
        .collect();
    ranked.sort_by(|a, b| a.predicted_us.total_cmp(&b.predicted_us));
    ranked
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::kernel::shared_memory;
    use crate::shape::{Dtype, Quantization};

    #[test]
    fn everything_that_fits_is_ranked_once_and_nothing_else() {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0);
        let gb10 = Device::find("gb10").unwrap();
        // With 16 tokens the grid is at most 161 + 16 x 8 / 256 row blocks tall: groups stay distinct.
        let ranked = rank(&shape, &gb10, Runtime::Sglang054, 16, Role::Up);
        let distinct: HashSet<KernelConfig> = ranked.iter().map(|entry| entry.config).collect();
        assert_eq!(distinct.len(), ranked.len());
        assert!(ranked.is_sorted_by(|a, b| a.predicted_us <= b.predicted_us));
        for entry in &ranked {
            let bytes = shared_memory::required_bytes(&entry.config.tile(), &shape.quantization);
            assert!(bytes <= gb10.shared_memory_per_block);
        }
        assert_eq!(ranked.len(), 244 * 4);
    }

    /// On 0.5.23 one token fills at most nine row blocks: every group from 16 up is the same schedule.
    #[test]
    fn equal_schedules_are_ranked_once() {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 1);
        let gb10 = Device::find("gb10").unwrap();
        let ranked = rank(&shape, &gb10, Runtime::Sglang0523, 1, Role::Up);
        let groups: HashSet<u32> = ranked.iter().map(|entry| entry.config.group_size_m).collect();
        assert_eq!(groups, HashSet::from([1, 16]));
    }
}
