//! The layer that workers under test compile and time.

use spark::shape::{Dtype, MoeShape, Quantization};

/// Small enough for an interpreter of kernels.
pub fn tiny() -> MoeShape {
    MoeShape {
        experts: 4,
        intermediate: 64,
        hidden: 128,
        top_k: 2,
        fused_shared_experts: 0,
        gated: true,
        quantization: Quantization::none(Dtype::Bfloat16),
    }
}
