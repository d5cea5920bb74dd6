//! How many rows the runtime lays out for the kernel: routed tokens sorted by expert and padded.
//!
//! Source: `moe_align_block_size` in SGLang 0.5.4.post2 (`fused_moe_triton/moe_align_block_size.py`)
//! and 0.5.23 (`moe_runner/triton_utils/moe_align_block_size.py`).

use super::Runtime;
use crate::model::MoeShape;

impl Runtime {
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
    use crate::model::{Dtype, MoeShape, Quantization};
    use crate::runtime::Runtime;

    #[test]
    fn rows_follow_each_version() {
        let shape = MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0);
        assert_eq!(Runtime::Sglang054.allocated_rows(&shape, 1, 16), 8 + 161 * 15);
        assert_eq!(Runtime::Sglang0523.allocated_rows(&shape, 1, 16), 8 * 16);
        assert_eq!(Runtime::Sglang0523.allocated_rows(&shape, 64, 16), 512 + 161 * 15 + 1);
    }
}
