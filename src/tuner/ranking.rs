//! Every config that fits, best predicted first.

use crate::device::Device;
use crate::kernel::KernelConfig;
use crate::kernel::cost::CostModel;
use crate::kernel::schedule::Grid;
use crate::kernel::space::{self, GROUP_SIZE_M};
use crate::model::{MoeShape, Role};
use crate::target::Runtime;

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
