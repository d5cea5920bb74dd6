//! How much shared memory a tile takes: the rule that prunes before the compiler proves.
use super::Tile;
use crate::model::Quantization;
pub fn required_bytes(tile: &Tile, quantization: &Quantization) -> u32 {
    let bytes = quantization.dtype.activation_bytes();
    let step = (tile.block_size_m + tile.block_size_n) * tile.block_size_k * bytes;
    step * (tile.num_stages - 1)
}
