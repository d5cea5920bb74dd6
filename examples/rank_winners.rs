//! Where do the entries of a measured config file stand in the cost model's order?
//!
//! `cargo run --release --example rank_winners -- FILE HIDDEN TOP_K`: E, N, dtype and device are read from
//! the file's name. Prints the rank of every entry's tile by predicted up + down time, and the median.

#![expect(clippy::disallowed_macros, reason = "an example has no printer")]

use std::collections::HashMap;
use std::path::Path;

use spark::artifact::{ConfigFile, ConfigName};
use spark::device::Device;
use spark::runtime::Runtime;
use spark::shape::{Dtype, KernelConfig, MoeShape, Quantization, Role};
use spark::tuner::ranking::rank;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, hidden, top_k] = arguments.as_slice() else {
        return Err("usage: rank_winners FILE HIDDEN TOP_K".into());
    };
    let path = Path::new(path);
    let file = ConfigFile::read(path)?;
    let name = path.file_name().ok_or("no file name")?.to_string_lossy();
    let (name, _) = ConfigName::parse(&name)?;
    let device = Device::by_file_name(&name.device).ok_or("the device is not in the catalogue")?;
    let shape = MoeShape {
        experts: name.experts,
        intermediate: name.n,
        hidden: hidden.parse()?,
        top_k: top_k.parse()?,
        fused_shared_experts: 0,
        gated: true,
        quantization: Quantization {
            dtype: name.dtype.unwrap_or(Dtype::Bfloat16),
            block_shape: name.block_shape,
            per_channel: name.per_channel,
        },
    };
    let mut ranks = Vec::new();
    for (batch_size, entry) in file.entries() {
        let [up, down] = Role::BOTH.map(|role| rank(&shape, &device, Runtime::Sglang054, *batch_size, role));
        let down: HashMap<KernelConfig, f64> =
            down.into_iter().map(|entry| (entry.config, entry.predicted_us)).collect();
        let mut order: Vec<(f64, KernelConfig)> = up
            .into_iter()
            .filter_map(|up| Some((up.predicted_us + down.get(&up.config)?, up.config)))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        match order.iter().position(|(_, config)| config.tile() == entry.config.tile()) {
            Some(position) => {
                println!("M={batch_size:5}  {}  rank {} of {}", entry.config, position + 1, order.len());
                ranks.push(position + 1);
            }
            None => println!("M={batch_size:5}  {}  is not in the space", entry.config),
        }
    }
    ranks.sort_unstable();
    if let Some(median) = ranks.get(ranks.len() / 2) {
        println!("median rank {median}");
    }
    Ok(())
}
