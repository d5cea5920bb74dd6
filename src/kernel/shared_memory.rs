//! How much shared memory a tile takes: the rule that prunes before the compiler proves.
//!
//! The rule is read off what Triton allocates, not off a model of it, and the tests hold it against
//! every row of the tables in `tests/fixtures/shared-memory/` (compiled for sm_121a by this project).
//! Where the compiler says otherwise, the compiler is right.

use crate::shape::{BlockShape, Dtype, Quantization, Tile};

/// Shared memory of one block, bytes; exact where [`is_exact`] says so, else an upper bound.
///
/// A pipeline of `num_stages` keeps `num_stages - 1` steps of operands in shared memory; the step
/// being multiplied is in registers. On top of that:
///
/// - **full block scales** (fp8, int8): the row scales, and the column scales where a tile spans more
///   than one block of columns, are exchanged between threads once there are at least as many of
///   them as threads. They share one scratch, as large as the longer of the two.
/// - **grouped weights** (int4, and int8 with a group size): the packed weights are not pipelined;
///   one step of them, widened to 16 bits, is. With 8-bit weights the packed ones are pipelined too.
///
/// With one stage nothing is pipelined, and with steps below 64 the exchange of results can outgrow
/// the operands: what is allocated then depends on layouts this rule does not follow, and the result
/// is a bound, one whole step of operands or the 16-bit results, whichever is larger.
pub fn required_bytes(tile: &Tile, quantization: &Quantization) -> u32 {
    let required = pipelined(tile, quantization);
    let results = u128::from(tile.block_size_m) * u128::from(tile.block_size_n) * 2;
    let bytes = if is_exact(tile) { required } else { required.max(results) };
    // Files can say anything: a product past u32 fits no device.
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn pipelined(tile: &Tile, quantization: &Quantization) -> u128 {
    let [m, n, k] = [tile.block_size_m, tile.block_size_n, tile.block_size_k].map(u128::from);
    let dtype = quantization.dtype;
    let weight_bytes = u128::from(dtype.weight_bits().div_ceil(8));
    let activation_bytes = u128::from(dtype.activation_bytes());
    let activations = m * k * activation_bytes;
    if tile.num_stages < 2 {
        return activations + n * k * weight_bytes.max(activation_bytes);
    }
    let steps = u128::from(tile.num_stages - 1);
    let weights = n * k * weight_bytes;
    let grouped = quantization.block_shape.is_some_and(|block| block.n == 0);
    match dtype {
        Dtype::Int4W4a16 => activations * steps + n * k * 2,
        Dtype::Int8W8a16 if grouped => (activations + weights) * steps + n * k * 2,
        _ => (activations + weights) * steps + scale_scratch(tile, quantization.full_block()),
    }
}

/// Scratch through which threads exchange fp32 block scales, bytes.
fn scale_scratch(tile: &Tile, block: Option<BlockShape>) -> u128 {
    let Some(block) = block else { return 0 };
    let exchanged = |scales: u32| {
        if u64::from(scales) >= u64::from(tile.num_warps) * 32 { u128::from(scales) * 4 } else { 0 }
    };
    let columns = if tile.block_size_n > block.n { exchanged(tile.block_size_n) } else { 0 };
    exchanged(tile.block_size_m).max(columns)
}

/// Whether [`required_bytes`] is the compiler's own figure: for everything in the search space.
///
/// Outside it, a step of 32 can leave fewer scales to exchange than the rule counts (seen on fp8 block
/// scales: 16x256x32, 8 warps).
pub fn is_exact(tile: &Tile) -> bool {
    tile.num_stages >= 2 && tile.block_size_k >= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of a table: a tile and what the compiler allocated for it, if it compiled.
    fn rows(name: &str) -> Vec<(Tile, Option<u32>)> {
        let path = format!("{}/tests/fixtures/shared-memory/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let number = |cell: &str| cell.parse::<u32>().ok();
        reader
            .records()
            .map(|record| {
                let record = record.unwrap();
                let column = |index: usize| number(&record[index]).unwrap();
                let tile = Tile {
                    block_size_m: column(0),
                    block_size_n: column(1),
                    block_size_k: column(2),
                    num_warps: column(3),
                    num_stages: column(4),
                };
                (tile, number(&record[5]))
            })
            .collect()
    }

    fn hold(name: &str, quantization: Quantization) -> usize {
        let mut held = 0;
        for (tile, allocated) in rows(name) {
            let Some(allocated) = allocated else { continue };
            let required = required_bytes(&tile, &quantization);
            if is_exact(&tile) {
                assert_eq!(required, allocated, "{name}: {tile}");
            } else {
                assert!(required >= allocated, "{name}: {tile} takes {allocated}, bound {required}");
            }
            held += 1;
        }
        held
    }

    fn block(dtype: Dtype, n: u32, k: u32) -> Quantization {
        Quantization { dtype, block_shape: Some(BlockShape { n, k }), per_channel: false }
    }

    #[test]
    fn whole_spaces_match_the_compiler() {
        let channel = Quantization { dtype: Dtype::Fp8W8a8, block_shape: None, per_channel: true };
        assert_eq!(hold("sm121_triton-3.5.0_fp8_channel", channel), 480);
        assert_eq!(hold("sm121_triton-3.5.0_fp8_block", block(Dtype::Fp8W8a8, 128, 128)), 480);
        assert_eq!(hold("sm121_triton-3.5.0_bf16", Quantization::none(Dtype::Bfloat16)), 468);
    }

    /// Every other table: its name says Triton, SGLang, dtype, scales and role.
    #[test]
    fn samples_of_every_dtype_match_the_compiler() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shared-memory");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| Some(name.strip_suffix(".csv")?.to_owned()))
            .filter(|name| name.contains("_sglang-"))
            .collect();
        names.sort();
        assert!(!names.is_empty());
        for name in &names {
            let mode = name.split('_').skip(3).collect::<Vec<_>>().join("_");
            let mode = mode.trim_end_matches("_up").trim_end_matches("_down");
            let quantization = match mode {
                "bf16" => Quantization::none(Dtype::Bfloat16),
                "fp16" => Quantization::none(Dtype::Float16),
                "fp32" => Quantization::none(Dtype::Float32),
                "fp8_tensor" => Quantization::none(Dtype::Fp8W8a8),
                "fp8_channel" => Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) },
                "fp8_block" => block(Dtype::Fp8W8a8, 128, 128),
                "fp8_block_32_128" => block(Dtype::Fp8W8a8, 32, 128),
                "fp8_block_64_128" => block(Dtype::Fp8W8a8, 64, 128),
                "fp8_block_256_128" => block(Dtype::Fp8W8a8, 256, 128),
                "fp8_block_128_64" => block(Dtype::Fp8W8a8, 128, 64),
                "int8_w8a8_channel" => {
                    Quantization { per_channel: true, ..Quantization::none(Dtype::Int8W8a8) }
                }
                "int8_w8a8_block" => block(Dtype::Int8W8a8, 128, 128),
                "int8_w8a16_channel" => {
                    Quantization { per_channel: true, ..Quantization::none(Dtype::Int8W8a16) }
                }
                "int8_w8a16_g128" => block(Dtype::Int8W8a16, 0, 128),
                "int4_w4a16_g128" => block(Dtype::Int4W4a16, 0, 128),
                "int4_w4a16_g32" => block(Dtype::Int4W4a16, 0, 32),
                other => panic!("{name}: no quantisation is called {other}"),
            };
            assert!(hold(name, quantization) > 0, "{name} is empty");
        }
    }

    /// 147,456 bytes, the figure in the error that GB10 owners meet.
    #[test]
    fn the_famous_error() {
        let tile = |m, n, k, stages| Tile {
            block_size_m: m,
            block_size_n: n,
            block_size_k: k,
            num_warps: 8,
            num_stages: stages,
        };
        assert_eq!(required_bytes(&tile(128, 256, 128, 4), &Quantization::none(Dtype::Fp8W8a8)), 147_456);
        assert_eq!(required_bytes(&tile(64, 128, 128, 4), &Quantization::none(Dtype::Bfloat16)), 147_456);
    }
}
