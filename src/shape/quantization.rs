//! How an MoE layer's expert weights and activations are stored, as far as the kernel cares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The element types of one fused-MoE GEMM, under the names SGLang and vLLM use for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// fp8 (e4m3) weights and activations.
    Fp8W8a8,
    /// int8 weights and activations.
    Int8W8a8,
    /// int8 weights, 16-bit activations.
    Int8W8a16,
    /// int4 weights packed two to a byte, 16-bit activations.
    Int4W4a16,
    /// Unquantised bfloat16.
    Bfloat16,
    /// Unquantised float16.
    Float16,
    /// Unquantised float32.
    Float32,
}

impl Dtype {
    /// Every dtype, in the order `--help` and error messages list them.
    pub const ALL: [Dtype; 7] = [
        Dtype::Fp8W8a8,
        Dtype::Int8W8a8,
        Dtype::Int8W8a16,
        Dtype::Int4W4a16,
        Dtype::Bfloat16,
        Dtype::Float16,
        Dtype::Float32,
    ];

    /// The name used on the command line, in journals and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Fp8W8a8 => "fp8_w8a8",
            Dtype::Int8W8a8 => "int8_w8a8",
            Dtype::Int8W8a16 => "int8_w8a16",
            Dtype::Int4W4a16 => "int4_w4a16",
            Dtype::Bfloat16 => "bfloat16",
            Dtype::Float16 => "float16",
            Dtype::Float32 => "float32",
        }
    }

    /// What `,dtype=` says in a config file's name; the 16-bit floats add nothing.
    ///
    /// Source: `get_config_dtype_str` in SGLang 0.5.4.post2 and 0.5.23.
    pub fn file_selector(self) -> Option<&'static str> {
        match self {
            Dtype::Bfloat16 | Dtype::Float16 => None,
            other => Some(other.name()),
        }
    }

    /// Bytes an activation element takes in the kernel's A tile.
    pub fn activation_bytes(self) -> u32 {
        match self {
            Dtype::Fp8W8a8 | Dtype::Int8W8a8 => 1,
            Dtype::Int8W8a16 | Dtype::Int4W4a16 | Dtype::Bfloat16 | Dtype::Float16 => 2,
            Dtype::Float32 => 4,
        }
    }

    /// Bits a weight element takes in memory.
    pub fn weight_bits(self) -> u32 {
        match self {
            Dtype::Int4W4a16 => 4,
            Dtype::Fp8W8a8 | Dtype::Int8W8a8 | Dtype::Int8W8a16 => 8,
            Dtype::Bfloat16 | Dtype::Float16 => 16,
            Dtype::Float32 => 32,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A dtype name that is none of [`Dtype::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown dtype `{0}`; known: fp8_w8a8, int8_w8a8, int8_w8a16, int4_w4a16, bfloat16 (bf16), float16 (fp16), float32"
)]
pub struct UnknownDtype(pub String);

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "bf16" => return Ok(Dtype::Bfloat16),
            "fp16" | "half" => return Ok(Dtype::Float16),
            "fp32" => return Ok(Dtype::Float32),
            _ => {}
        }
        Dtype::ALL.into_iter().find(|dtype| dtype.name() == text).ok_or_else(|| UnknownDtype(text.to_owned()))
    }
}

/// A scale per block of `n` output rows by `k` input columns of a weight matrix.
///
/// `n` is 0 for group quantisation along K only (int4 w4a16), as SGLang's own tuner writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u32; 2]", into = "[u32; 2]")]
pub struct BlockShape {
    /// Rows of the weight matrix that share a scale.
    pub n: u32,
    /// Columns (along the reduction) that share a scale.
    pub k: u32,
}

impl From<[u32; 2]> for BlockShape {
    fn from([n, k]: [u32; 2]) -> Self {
        Self { n, k }
    }
}

impl From<BlockShape> for [u32; 2] {
    fn from(block: BlockShape) -> Self {
        [block.n, block.k]
    }
}

/// Not two block sizes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no block shape; write two sizes, such as 128,128 (or 0,128 for groups along K)")]
pub struct BadBlockShape(pub String);

impl FromStr for BlockShape {
    type Err = BadBlockShape;

    /// `128,128`, `[128, 128]` or `128x128`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let size = |part: &str| {
            let part = part.trim();
            // `u32::from_str` takes a leading `+`; a size has digits only. No scale block of a real
            // checkpoint is anywhere near the cap.
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u32>().ok().filter(|size| digits && *size <= 65_536)
        };
        bare.split_once([',', 'x'])
            .and_then(|(n, k)| Some(BlockShape { n: size(n)?, k: size(k)? }))
            .ok_or_else(|| BadBlockShape(text.to_owned()))
    }
}

impl fmt::Display for BlockShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.n, self.k)
    }
}

/// How the expert weights of one model are quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quantization {
    /// Element types.
    pub dtype: Dtype,
    /// Block-wise scales, where there are any.
    pub block_shape: Option<BlockShape>,
    /// One weight scale per output channel and one activation scale per token.
    pub per_channel: bool,
}

impl Quantization {
    /// No quantisation: plain `dtype` weights.
    pub fn none(dtype: Dtype) -> Self {
        Self { dtype, block_shape: None, per_channel: false }
    }

    /// Block-wise scales in both dimensions: the kernel reads one scale per BLOCK_SIZE_K step, so
    /// BLOCK_SIZE_K must divide the block's K. Group quantisation (`n == 0`) indexes scales per
    /// element and has no such limit.
    pub fn full_block(&self) -> Option<BlockShape> {
        self.block_shape.filter(|block| block.n > 0 && block.k > 0)
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.dtype {
            Dtype::Fp8W8a8 => "fp8",
            Dtype::Int8W8a8 => "int8",
            Dtype::Int8W8a16 => "int8 w8a16",
            Dtype::Int4W4a16 => "int4 w4a16",
            Dtype::Bfloat16 => return f.pad("bf16"),
            Dtype::Float16 => return f.pad("fp16"),
            Dtype::Float32 => return f.pad("fp32"),
        };
        match (self.block_shape, self.per_channel) {
            (Some(BlockShape { n: 0, k }), _) => write!(f, "{kind} group {k}"),
            (Some(block), _) => write!(f, "{kind} block {block}"),
            (None, true) => write!(f, "{kind} per channel"),
            (None, false) => write!(f, "{kind} per tensor"),
        }
    }
}
