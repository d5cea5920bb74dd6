//! One MoE layer on one rank: everything the kernel's launch depends on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Quantization, Role};

/// One MoE layer as one rank holds it, after tensor and expert parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MoeShape {
    /// E: experts on this rank, fused shared experts included.
    pub experts: u32,
    /// N: intermediate size on this rank, in elements.
    pub intermediate: u32,
    /// K: hidden size.
    pub hidden: u32,
    /// Experts the router picks for a token, fused shared experts not included.
    pub top_k: u32,
    /// Shared experts the runtime appends to the routed ones; every token goes through them.
    pub fused_shared_experts: u32,
    /// Gated activation (SwiGLU and its like): the up projection is twice as wide.
    pub gated: bool,
    /// Element types and scales.
    #[serde(flatten)]
    pub quantization: Quantization,
}

/// One role's matrix product: rows of `k` elements times a `k` x `n` matrix per expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gemm {
    /// Output columns.
    pub n: u32,
    /// Reduction length.
    pub k: u32,
}

impl MoeShape {
    /// Experts each token's row goes through at run time: the kernel's `top_k` and row count.
    pub fn routed_per_token(&self) -> u32 {
        self.top_k + self.fused_shared_experts
    }

    /// The matrix product of one role.
    pub fn gemm(&self, role: Role) -> Gemm {
        match role {
            Role::Up => Gemm { n: self.intermediate * if self.gated { 2 } else { 1 }, k: self.hidden },
            Role::Down => Gemm { n: self.hidden, k: self.intermediate },
        }
    }
}

impl fmt::Display for MoeShape {
    /// `E=160 N=384 K=5120 top-8  fp8 per channel`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { experts, intermediate, hidden, top_k, fused_shared_experts, gated: _, quantization } =
            self;
        write!(f, "E={experts} N={intermediate} K={hidden} top-{top_k}")?;
        if *fused_shared_experts > 0 {
            write!(f, "+{fused_shared_experts} shared")?;
        }
        write!(f, "  {quantization}")
    }
}

#[cfg(test)]
impl MoeShape {
    /// GLM-4.7's layer at tp 4 with the given quantisation and fused shared experts, for tests.
    pub(crate) fn glm(quantization: Quantization, fused_shared_experts: u32) -> Self {
        Self {
            experts: 160 + fused_shared_experts,
            intermediate: 384,
            hidden: 5120,
            top_k: 8,
            fused_shared_experts,
            gated: true,
            quantization,
        }
    }
}
