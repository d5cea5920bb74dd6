//! A cost model of the fused-MoE kernel: an estimate of its time, term by term.
//!
//! It ranks candidates and estimates durations, nothing more. Without a measurement nothing it says
//! is a fact about a device, and no file is ever labelled better than `predicted` on its word.
//!
//! # Terms
//!
//! | term | formula | source |
//! |---|---|---|
//! | distinct experts D | E (1 - (1 - top_k/E)^M) + fused | balls in bins, uniform routing ([`routing`](super::routing)) |
//! | row blocks B | expected blocks of BLOCK_SIZE_M rows that hold a token | same |
//! | weight bytes | D n k weight_bits/8, times the sweeps below, plus scales | each woken expert's matrix is read once a sweep |
//! | sweeps | ceil(blocks per expert / GROUP_SIZE_M) where the matrix exceeds L2, else 1 | the kernel's grouped order: a group shares one pass over the columns |
//! | activation bytes | M top_k k a + M top_k n 2, up reads each token's row once | operands in, 16-bit results out |
//! | L2 bytes | B ceil(n/BN) ceil(k/BK) BK (BM a + BN w) | every block loads its own operands |
//! | math | 2 B ceil(n/BN) BM BN ceil(k/BK) BK operations | padded tiles are computed in full |
//! | waves | blocks / (SMs x resident blocks) | residency by shared memory, threads and registers (CUDA occupancy rules) |
//! | in flight | resident (stages - 1) (BM a + BN w) BK bytes a SM against bandwidth x latency | Little's law |
//!
//! | run length | memory time x (1 + overhead / (BLOCK_SIZE_K w)) | rows of K are contiguous; short runs use memory badly |
//! | registers | (BM BN 4 + (BM a + BN w) BK) / 4 threads + overhead; above 255 a thread they spill, and every step pays | fp32 accumulators and one step of operands live in registers |
//! | pipeline | waves (latency + steps x step overhead) | each wave fills its pipeline once and synchronises every step |
//!
//! time = (memory^3 + L2^3 + math^3)^(1/3) x spill + pipeline: close to the largest of the three, and
//! between two tiles with the same bottleneck the one that does less of the rest wins. The constants the formulas leave open are in
//! [`ASSUMPTIONS`]; none of them was measured on a GB10, and they are the same for every device. The
//! last two terms are there because measured winners ask for them: of the 36 entries of two config
//! files that others measured on GB10s (GLM-4.7-FP8 TP=4 and Qwen3-30B-A3B-FP8), 32 take the widest
//! BLOCK_SIZE_K, which pure traffic cannot tell from the narrowest.

use super::routing::Routing;
use super::shared_memory;
use crate::device::Device;
use crate::shape::{Dtype, KernelConfig, MoeShape, Role, Tile};

/// The figures the formulas need and no data sheet gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assumptions {
    /// L2 bandwidth as a multiple of memory bandwidth.
    pub l2_over_memory: f64,
    /// Time from a global load to its data, microseconds.
    pub load_latency_us: f64,
    /// Threads of one SM that can be resident.
    pub threads_per_sm: u32,
    /// Shared memory the driver keeps for itself in each block, bytes (CUDA programming guide:
    /// 1 KiB from compute capability 8.0 on).
    pub reserved_shared_bytes: u32,
    /// Share of the dense matrix rate the kernel's instruction mix can reach.
    pub math_efficiency: f64,
    /// Bytes of memory time lost for each contiguous run of weights that is read.
    pub run_overhead_bytes: f64,
    /// Registers a thread needs beside accumulators and operands: addresses, masks, scales.
    pub register_overhead: f64,
    /// Time a block spends on barriers and address arithmetic in each BLOCK_SIZE_K step, microseconds.
    pub step_overhead_us: f64,
}

/// The constants in use, the same for every device.
///
/// `threads_per_sm` is the smaller of the two values the CUDA programming guide lists for the
/// devices in the catalogue (1,536 for 8.9 and 12.x; 2,048 for 9.0 and 10.0). The others are round
/// numbers of the right order for GPUs of these generations; *unverified* on GB10.
pub(crate) const ASSUMPTIONS: Assumptions = Assumptions {
    l2_over_memory: 6.0,
    load_latency_us: 0.8,
    threads_per_sm: 1536,
    reserved_shared_bytes: 1024,
    math_efficiency: 0.7,
    run_overhead_bytes: 32.0,
    register_overhead: 48.0,
    step_overhead_us: 0.1,
};

/// Registers the instruction set can name in one thread.
const MAX_REGISTERS: f64 = 255.0;
/// Registers of one SM (CUDA programming guide, all devices in the catalogue).
const REGISTERS_PER_SM: f64 = 65_536.0;

/// An estimated time of one kernel launch and what it is made of. Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// The estimate.
    pub time_us: f64,
    /// Experts that get at least one token.
    pub distinct_experts: f64,
    /// Blocks of rows that hold a token.
    pub row_blocks: f64,
    /// Bytes from and to memory.
    pub memory_bytes: f64,
    /// Time those bytes take at the bandwidth the pipeline depth can keep up.
    pub memory_us: f64,
    /// Time the blocks' operand loads take at L2 bandwidth.
    pub l2_us: f64,
    /// Time the padded multiplications take, the ragged last wave included.
    pub math_us: f64,
    /// Waves of blocks over the SMs.
    pub waves: f64,
    /// How much longer everything takes because accumulators spill; 1 where they do not.
    pub spill_factor: f64,
    /// Time in which pipelines fill and steps synchronise, over all waves.
    pub pipeline_us: f64,
}

/// A model of one shape at one batch size on one device.
#[derive(Debug)]
pub(crate) struct CostModel<'a> {
    shape: &'a MoeShape,
    device: &'a Device,
    tokens: u32,
    routing: Routing,
}

impl<'a> CostModel<'a> {
    /// The model for `tokens` tokens in a forward pass.
    pub(crate) fn new(shape: &'a MoeShape, device: &'a Device, tokens: u32) -> Self {
        Self { shape, device, tokens, routing: Routing::uniform(shape, tokens) }
    }

    /// The least time the device's memory and matrix units allow one role, microseconds: every woken
    /// expert's weights read once, every row read and written once, no padding.
    pub(crate) fn roofline_us(&self, role: Role) -> f64 {
        let gemm = self.shape.gemm(role);
        let memory = self.weight_bytes(role) + self.row_bytes(role);
        let math = 2.0 * self.routed_rows() * f64::from(gemm.n) * f64::from(gemm.k);
        (memory / bytes_per_us(self.device)).max(math / self.operations_per_us())
    }

    /// The estimate for `config`, or `None` where it does not fit the device.
    pub(crate) fn cost(&self, role: Role, config: &KernelConfig) -> Option<Cost> {
        let tile = config.tile();
        let shared = shared_memory::required_bytes(&tile, &self.shape.quantization);
        if shared > self.device.shared_memory_per_block {
            return None;
        }
        let gemm = self.shape.gemm(role);
        let row_blocks = self.routing.row_blocks(tile.block_size_m);
        let distinct_experts = self.routing.distinct_experts();
        let column_blocks = f64::from(gemm.n.div_ceil(tile.block_size_n));
        let steps = f64::from(gemm.k.div_ceil(tile.block_size_k));
        let blocks = row_blocks * column_blocks;

        let memory_bytes = self.weight_bytes(role) * self.sweeps(role, row_blocks / distinct_experts, config)
            + self.row_bytes(role);
        let step_bytes = self.step_bytes(&tile);
        let resident = self.resident_blocks(&tile, shared);
        let slots = f64::from(self.device.sms) * resident;
        let waves = blocks / slots;
        // Fewer blocks than slots leave SMs without work: only those that have some load anything.
        let busy_sms = f64::from(self.device.sms).min(blocks);
        let in_flight = busy_sms
            * resident.min((blocks / f64::from(self.device.sms)).ceil())
            * f64::from(tile.num_stages.saturating_sub(1).max(1))
            * step_bytes;
        let needed = bytes_per_us(self.device) * ASSUMPTIONS.load_latency_us;
        let reached = (in_flight / needed).min(1.0);
        let run_bytes =
            f64::from(tile.block_size_k) * f64::from(self.shape.quantization.dtype.weight_bits()) / 8.0;
        let run_overhead = 1.0 + ASSUMPTIONS.run_overhead_bytes / run_bytes;
        let memory_us = memory_bytes * run_overhead / (bytes_per_us(self.device) * reached);
        let l2_us = blocks * steps * step_bytes / (bytes_per_us(self.device) * ASSUMPTIONS.l2_over_memory);

        let operations = 2.0
            * blocks
            * f64::from(tile.block_size_m)
            * f64::from(tile.block_size_n)
            * steps
            * f64::from(tile.block_size_k);
        // Work is spread over whole SMs: the busiest one decides.
        let per_sm = (blocks / f64::from(self.device.sms)).ceil();
        let imbalance = per_sm * f64::from(self.device.sms) / blocks;
        let math_us = operations * imbalance / (self.operations_per_us() * ASSUMPTIONS.math_efficiency);
        let spill_factor = spill_factor(self.registers(&tile));
        let pipeline_us = waves.ceil() * (ASSUMPTIONS.load_latency_us + steps * ASSUMPTIONS.step_overhead_us);
        Some(Cost {
            time_us: overlapped(memory_us, l2_us, math_us) * spill_factor + pipeline_us,
            distinct_experts,
            row_blocks,
            memory_bytes,
            memory_us,
            l2_us,
            math_us,
            waves,
            spill_factor,
            pipeline_us,
        })
    }

    /// Rows of the routed, unpadded matrix.
    fn routed_rows(&self) -> f64 {
        f64::from(self.tokens) * f64::from(self.shape.routed_per_token())
    }

    /// Bytes of the woken experts' weights and scales for one role.
    fn weight_bytes(&self, role: Role) -> f64 {
        let gemm = self.shape.gemm(role);
        let elements = f64::from(gemm.n) * f64::from(gemm.k);
        let quantization = &self.shape.quantization;
        let scales = match (quantization.block_shape, quantization.per_channel) {
            (Some(block), _) => elements / (f64::from(block.n.max(1)) * f64::from(block.k.max(1))) * 4.0,
            (None, true) => f64::from(gemm.n) * 4.0,
            (None, false) => 0.0,
        };
        self.routing.distinct_experts()
            * (elements * f64::from(quantization.dtype.weight_bits()) / 8.0 + scales)
    }

    /// Bytes of rows read and results written for one role.
    fn row_bytes(&self, role: Role) -> f64 {
        let gemm = self.shape.gemm(role);
        // The up projection reads a token's row once however many experts it goes to: the rest hits
        // the cache. The down projection's rows are all different.
        let read_rows = match role {
            Role::Up => f64::from(self.tokens),
            Role::Down => self.routed_rows(),
        };
        let element = f64::from(self.shape.quantization.dtype.activation_bytes());
        let result_bytes = if self.shape.quantization.dtype == Dtype::Float32 { 4.0 } else { 2.0 };
        read_rows * f64::from(gemm.k) * element + self.routed_rows() * f64::from(gemm.n) * result_bytes
    }

    /// How often a woken expert's matrix is read: once for each group of its row blocks, unless it
    /// stays in L2 between groups.
    fn sweeps(&self, role: Role, blocks_per_expert: f64, config: &KernelConfig) -> f64 {
        let gemm = self.shape.gemm(role);
        let matrix =
            f64::from(gemm.n) * f64::from(gemm.k) * f64::from(self.shape.quantization.dtype.weight_bits())
                / 8.0;
        let l2 = self.device.l2_mib * 1024.0 * 1024.0;
        if matrix <= l2 { 1.0 } else { (blocks_per_expert / f64::from(config.group_size_m)).max(1.0) }
    }

    /// Operand bytes of one BLOCK_SIZE_K step of one block.
    fn step_bytes(&self, tile: &Tile) -> f64 {
        let dtype = self.shape.quantization.dtype;
        f64::from(tile.block_size_k)
            * (f64::from(tile.block_size_m) * f64::from(dtype.activation_bytes())
                + f64::from(tile.block_size_n) * f64::from(dtype.weight_bits()) / 8.0)
    }

    /// Blocks one SM holds at a time, by shared memory and by threads; at least one.
    fn resident_blocks(&self, tile: &Tile, shared: u32) -> f64 {
        let by_memory =
            self.device.shared_memory_per_sm / (shared + ASSUMPTIONS.reserved_shared_bytes).max(1);
        let by_threads = ASSUMPTIONS.threads_per_sm / (tile.num_warps * 32).max(1);
        let threads = f64::from(tile.num_warps * 32);
        let by_registers = (REGISTERS_PER_SM / (threads * self.registers(tile).min(MAX_REGISTERS))).floor();
        f64::from(by_memory.min(by_threads)).min(by_registers).max(1.0)
    }

    /// Registers a thread would like to have: accumulators, one step of operands, and overhead.
    fn registers(&self, tile: &Tile) -> f64 {
        let accumulators = f64::from(tile.block_size_m) * f64::from(tile.block_size_n) * 4.0;
        (accumulators + self.step_bytes(tile)) / (4.0 * f64::from(tile.num_warps * 32))
            + ASSUMPTIONS.register_overhead
    }

    fn operations_per_us(&self) -> f64 {
        let rates = &self.device.dense_tflops;
        let tera = match self.shape.quantization.dtype {
            Dtype::Fp8W8a8 => rates.fp8,
            Dtype::Int8W8a8 => rates.int8,
            // Weights are widened in registers; the multiplication is 16-bit.
            Dtype::Int8W8a16 | Dtype::Int4W4a16 | Dtype::Bfloat16 | Dtype::Float16 => rates.bf16,
            Dtype::Float32 => rates.tf32,
        };
        tera * 1e6
    }
}

/// How much longer a step takes where registers spill: what does not fit goes out to local memory and
/// back, in the way of the operands.
fn spill_factor(registers: f64) -> f64 {
    1.0 + (registers - MAX_REGISTERS).max(0.0) / 64.0
}

/// Three streams that overlap, but not perfectly.
fn overlapped(memory_us: f64, l2_us: f64, math_us: f64) -> f64 {
    (memory_us.powi(3) + l2_us.powi(3) + math_us.powi(3)).cbrt()
}

fn bytes_per_us(device: &Device) -> f64 {
    device.bandwidth_gb_s * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::space;
    use crate::shape::Quantization;

    fn glm() -> MoeShape {
        MoeShape::glm(Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) }, 1)
    }

    #[test]
    fn what_does_not_fit_has_no_cost_and_nothing_beats_the_roofline() {
        let (shape, gb10) = (glm(), Device::find("gb10").unwrap());
        for tokens in [1, 64, 4096] {
            let model = CostModel::new(&shape, &gb10, tokens);
            for role in Role::BOTH {
                let roofline = model.roofline_us(role);
                for config in space::configs(&shape.quantization) {
                    let bytes = shared_memory::required_bytes(&config.tile(), &shape.quantization);
                    let cost = model.cost(role, &config);
                    assert_eq!(cost.is_some(), bytes <= gb10.shared_memory_per_block, "{config}");
                    if let Some(cost) = cost {
                        assert!(cost.time_us.is_finite() && cost.time_us >= roofline, "{config}: {cost:?}");
                    }
                }
            }
        }
    }

    /// At one token the layer is its woken experts' weights over the bandwidth: nine of 161 experts,
    /// 768 x 5120 bytes each with a scale per row, at 273 GB/s.
    #[test]
    fn the_roofline_at_one_token_is_the_weights_over_the_bandwidth() {
        let (shape, gb10) = (glm(), Device::find("gb10").unwrap());
        let weights = 9.0 * (768.0 * 5120.0 + 768.0 * 4.0);
        let rows = 5120.0 + 9.0 * 768.0 * 2.0;
        let expected = (weights + rows) / 273e3;
        let roofline = CostModel::new(&shape, &gb10, 1).roofline_us(Role::Up);
        assert!((roofline - expected).abs() < 1e-6, "{roofline} is not {expected}");
    }

    #[test]
    fn more_tokens_never_cost_less() {
        let (shape, gb10) = (glm(), Device::find("gb10").unwrap());
        let config = space::configs(&shape.quantization)[100];
        let times = [1, 2, 8, 64, 512, 4096]
            .map(|tokens| CostModel::new(&shape, &gb10, tokens).cost(Role::Down, &config).unwrap().time_us);
        assert!(times.is_sorted(), "{times:?}");
    }
}
