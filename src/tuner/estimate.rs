//! How long tuning would take: predicted kernel times and compile times, added up.
//!
//! Kernel times are the cost model's; nothing here was measured on the device. Compile times are what
//! this project measured for SGLang 0.5.23's kernel with Triton 3.5.0 on two shared x86 cores (mean
//! over 480 tiles): a Spark's cores will differ, the ratio between strategies less so.

use serde::Serialize;

use super::ranking::rank;
use crate::device::Device;
use crate::kernel::cost::CostModel;
use crate::kernel::space;
use crate::runtime::Runtime;
use crate::shape::{MoeShape, Role};

/// Mean time to compile a tile that fits, seconds.
const COMPILE_FITTING_S: f64 = 1.5;
/// Mean time to compile a tile that does not fit, seconds: they are the slowest.
const COMPILE_UNFIT_S: f64 = 5.0;
/// Kernel launches SGLang's tuner makes a config and batch size: 1 to compile, 10 captured in a graph,
/// 5 warm-up replays and 10 timed replays of those ten (of each role).
const STOCK_LAUNCHES: f64 = 1.0 + (5.0 + 10.0) * 10.0;

/// A way to tune, for comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TuningEstimate {
    /// Its name.
    pub strategy: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Kernel launches, both roles.
    pub launches: f64,
    /// Kernels compiled, both roles, on all nodes together.
    pub compilations: u64,
    /// Wall-clock time on the given number of nodes, seconds.
    pub seconds: f64,
}

/// The least time for one batch size, by role.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Roofline {
    /// Tokens in a forward pass.
    pub batch_size: u32,
    /// Least time of the up projection, microseconds.
    pub up_us: f64,
    /// Least time of the down projection, microseconds.
    pub down_us: f64,
}

/// The roofline of every batch size.
pub(crate) fn rooflines(shape: &MoeShape, device: &Device, batch_sizes: &[u32]) -> Vec<Roofline> {
    batch_sizes
        .iter()
        .map(|&batch_size| {
            let model = CostModel::new(shape, device, batch_size);
            Roofline {
                batch_size,
                up_us: model.roofline_us(Role::Up),
                down_us: model.roofline_us(Role::Down),
            }
        })
        .collect()
}

/// How long each way to tune takes on `nodes` nodes with `jobs` compilations at a time on each.
pub(crate) fn estimates(
    shape: &MoeShape,
    device: &Device,
    runtime: Runtime,
    batch_sizes: &[u32],
    nodes: u32,
    jobs: usize,
) -> Vec<TuningEstimate> {
    let configs = space::configs(&shape.quantization);
    let size = space::size(&shape.quantization, device.shared_memory_per_block);
    let (tiles, fitting) = (size.tiles as f64, size.fit as f64);
    let roles = Role::BOTH.len() as f64;
    let nodes_f = f64::from(nodes);

    // One pass over every distinct schedule that fits, and over every config SGLang's tuner times.
    let (mut distinct_us, mut distinct, mut stock_us, mut stock) = (0.0, 0.0, 0.0, 0.0);
    for &batch_size in batch_sizes {
        let model = CostModel::new(shape, device, batch_size);
        for role in Role::BOTH {
            let ranked = rank(shape, device, runtime, batch_size, role);
            distinct += ranked.len() as f64;
            distinct_us += ranked.iter().map(|entry| entry.predicted_us).sum::<f64>();
            for cost in configs.iter().filter_map(|config| model.cost(role, config)) {
                stock += 1.0;
                stock_us += cost.time_us;
            }
        }
    }
    let seconds = |microseconds: f64| microseconds / 1e6;
    vec![
        TuningEstimate {
            strategy: "stock",
            what: "SGLang's own tuner: every config, 151 launches each, compiled one at a time on each node",
            launches: stock * STOCK_LAUNCHES,
            compilations: (tiles * roles * nodes_f) as u64,
            // Batch sizes are dealt to nodes; every node compiles every kernel for itself.
            seconds: seconds(stock_us * STOCK_LAUNCHES) / nodes_f
                + roles * (fitting * COMPILE_FITTING_S + (tiles - fitting) * COMPILE_UNFIT_S),
        },
        TuningEstimate {
            strategy: "exhaustive",
            what: "every distinct schedule that fits, 151 launches each, compiled once in parallel",
            launches: distinct * STOCK_LAUNCHES,
            compilations: (fitting * roles) as u64,
            seconds: seconds(distinct_us * STOCK_LAUNCHES) / nodes_f
                + roles * fitting * COMPILE_FITTING_S / (nodes_f * jobs as f64),
        },
        TuningEstimate {
            strategy: "prove-all",
            what: "no GPU: every tile that fits compiled for the device, nothing timed",
            launches: 0.0,
            compilations: (fitting * roles) as u64,
            seconds: roles * fitting * COMPILE_FITTING_S / (nodes_f * jobs as f64),
        },
    ]
}
