//! How many rows the runtime lays out for the kernel: routed tokens sorted by expert and padded.
//!
//! Source: `moe_align_block_size` in SGLang 0.5.4.post2 (`fused_moe_triton/moe_align_block_size.py`)
//! and 0.5.23 (`moe_runner/triton_utils/moe_align_block_size.py`).

use super::Runtime;
use crate::shape::{MoeShape, Role};

/// Activation rows up to which SGLang 0.5.23 takes a batch for decoding (`GDC_EARLY` in
/// `invoke_fused_moe_kernel`): above them its kernels wait for their predecessor one instruction later.
const DECODING_ROWS: u32 = 512;

impl Runtime {
    /// Whether `role`'s kernel for `m` tokens is another binary than for one token, on a device of compute
    /// capability `capability` (90 for 9.0): programmatic dependent launch exists from 9.0 on.
    pub fn has_large_batch_kernel(self, shape: &MoeShape, role: Role, m: u32, capability: u32) -> bool {
        let rows = match role {
            Role::Up => m,
            Role::Down => m * shape.routed_per_token(),
        };
        self == Runtime::Sglang0523 && capability >= 90 && rows > DECODING_ROWS
    }

    /// EM, the kernel's row count: room for the worst routing of `m` tokens, not what is used.
    ///
    /// The launch grid and the GROUP_SIZE_M schedule are laid over this many rows; blocks past the
    /// rows that routing really filled return at once.
    pub fn allocated_rows(self, shape: &MoeShape, m: u32, block_size_m: u32) -> u64 {
        let routed = u64::from(m) * u64::from(shape.routed_per_token());
        let buckets = u64::from(shape.experts) + 1;
        let block = u64::from(block_size_m);
        let padded = routed + buckets * (block - 1);
        match self {
            Runtime::Sglang054 => padded,
            Runtime::Sglang0523 | Runtime::Vllm => {
                // With fewer rows than experts every row may need a block of its own, and no more.
                let rows = if routed < buckets { routed * block } else { padded };
                rows.next_multiple_of(4)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::Runtime;
    use crate::shape::{Dtype, MoeShape, Quantization, Role};

    #[test]
    fn large_batches_have_kernels_of_their_own_on_0_5_23() {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 1);
        let large = |runtime: Runtime, role, m, capability| {
            runtime.has_large_batch_kernel(&shape, role, m, capability)
        };
        assert!(!large(Runtime::Sglang0523, Role::Up, 512, 121));
        assert!(large(Runtime::Sglang0523, Role::Up, 513, 121));
        // Nine rows a token: eight experts and the shared one.
        assert!(!large(Runtime::Sglang0523, Role::Down, 56, 121));
        assert!(large(Runtime::Sglang0523, Role::Down, 57, 121));
        assert!(!large(Runtime::Sglang0523, Role::Up, 4096, 89));
        assert!(!large(Runtime::Sglang054, Role::Up, 4096, 121));
    }

    #[test]
    fn rows_follow_each_version() {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0);
        assert_eq!(Runtime::Sglang054.allocated_rows(&shape, 1, 16), 8 + 161 * 15);
        assert_eq!(Runtime::Sglang0523.allocated_rows(&shape, 1, 16), 8 * 16);
        assert_eq!(Runtime::Sglang0523.allocated_rows(&shape, 64, 16), 512 + 161 * 15 + 1);
    }
}
