//! The numbers of a layer, before tp and ep: read from a config or said by hand.

use crate::shape::Quantization;

/// A model in its own terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub experts: u32,
    pub intermediate: u32,
    pub hidden: u32,
    pub top_k: u32,
    pub gated: bool,
    pub quantization: Quantization,
}
