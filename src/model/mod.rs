//! A model's `config.json` -> the shape of its MoE layers. Pure, but for `source`.

mod quantization;
mod shape;

pub use quantization::{BlockShape, Dtype, Quantization, UnknownDtype};
pub use shape::{Gemm, MoeShape, Role};
