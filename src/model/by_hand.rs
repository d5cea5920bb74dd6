//! A shape said with flags: all of it, or single numbers in place of what a model says.

use super::geometry_error::GeometryError;
use super::limits::MAX_COUNT;
use super::numbers::Numbers;
use crate::shape::{BlockShape, Dtype, Quantization};

/// What flags say about a model, in the model's terms (before tp and ep).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByHand {
    /// `--experts`: routed experts.
    pub experts: Option<u32>,
    /// `--intermediate`: intermediate size of one expert.
    pub intermediate: Option<u32>,
    /// `--hidden`: width of the vectors that enter and leave the experts.
    pub hidden: Option<u32>,
    /// `--top-k`: experts a token goes through.
    pub top_k: Option<u32>,
    /// Gated activation; yes where nothing is said.
    pub gated: Option<bool>,
    /// `--dtype`. It replaces the model's whole quantisation, scales included.
    pub dtype: Option<Dtype>,
    /// `--block-shape`.
    pub block_shape: Option<BlockShape>,
    /// One scale per output channel.
    pub per_channel: Option<bool>,
}

impl ByHand {
    pub(super) fn has_every_number(&self) -> bool {
        let Self { experts, intermediate, hidden, top_k, .. } = self;
        [experts, intermediate, hidden, top_k].iter().all(|number| number.is_some())
    }

    pub(super) fn check(&self) -> Result<(), GeometryError> {
        let numbers = [
            ("--experts", self.experts),
            ("--intermediate", self.intermediate),
            ("--hidden", self.hidden),
            ("--top-k", self.top_k),
        ];
        for (flag, value) in numbers {
            if let Some(value) = value.filter(|value| !(1..=MAX_COUNT).contains(value)) {
                return Err(GeometryError::ByHandOutOfRange { flag, value });
            }
        }
        Ok(())
    }

    /// Everything by hand: what is missing is an error.
    pub(super) fn complete(&self) -> Result<Numbers, GeometryError> {
        let Self { experts, intermediate, hidden, top_k, gated, dtype, .. } = *self;
        if let (Some(experts), Some(intermediate), Some(hidden), Some(top_k), Some(_)) =
            (experts, intermediate, hidden, top_k, dtype)
        {
            let quantization = self.quantization(None)?;
            let gated = gated.unwrap_or(true);
            return Ok(Numbers { experts, intermediate, hidden, top_k, gated, quantization });
        }
        let given = [
            ("--experts", experts.is_some()),
            ("--intermediate", intermediate.is_some()),
            ("--hidden", hidden.is_some()),
            ("--top-k", top_k.is_some()),
            ("--dtype", dtype.is_some()),
        ];
        let missing = given.into_iter().filter(|(_, there)| !there).map(|(flag, _)| flag).collect();
        Err(GeometryError::ByHandIncomplete { missing })
    }

    /// The model's quantisation with what is said by hand in its place; checked for sense.
    pub(super) fn quantization(&self, model: Option<Quantization>) -> Result<Quantization, GeometryError> {
        let base = match (self.dtype, model) {
            (Some(dtype), _) => Quantization::none(dtype),
            (None, Some(model)) => model,
            (None, None) => Quantization::none(Dtype::Bfloat16),
        };
        // A block shape given by hand replaces per-channel scales, and the other way round.
        let block_shape = match (self.block_shape, self.per_channel) {
            (Some(block), _) => Some(block),
            (None, Some(true)) => None,
            (None, _) => base.block_shape,
        };
        let per_channel = self.per_channel.unwrap_or(base.per_channel && self.block_shape.is_none());
        let made = Quantization { dtype: base.dtype, block_shape, per_channel };
        if self.block_shape.is_some() || self.per_channel.is_some() || self.dtype.is_some() {
            check(&made)?;
        }
        Ok(made)
    }
}

fn check(made: &Quantization) -> Result<(), GeometryError> {
    let dtype = made.dtype;
    if let Some(block) = made.block_shape {
        let accepted = match dtype {
            Dtype::Fp8W8a8 | Dtype::Int8W8a8 if block.n > 0 && block.k > 0 => None,
            Dtype::Fp8W8a8 | Dtype::Int8W8a8 => Some("expected two sizes above 0, such as 128,128"),
            Dtype::Int8W8a16 | Dtype::Int4W4a16 if block.n == 0 && block.k > 0 => None,
            Dtype::Int8W8a16 | Dtype::Int4W4a16 => Some("expected 0 and a group size, such as 0,128"),
            Dtype::Bfloat16 | Dtype::Float16 | Dtype::Float32 => Some("plain weights have no scales"),
        };
        if let Some(accepted) = accepted {
            return Err(GeometryError::BadBlockShape { block, dtype, accepted });
        }
    }
    let channels = matches!(dtype, Dtype::Fp8W8a8 | Dtype::Int8W8a8);
    if made.per_channel && (!channels || made.block_shape.is_some()) {
        return Err(GeometryError::BadPerChannel { dtype, blocked: made.block_shape.is_some() });
    }
    Ok(())
}
