//! `sparktune devices`: the catalogue of GPUs.

use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::device::DeviceCatalogue;

/// List the devices of `catalogue`.
pub fn run(catalogue: &DeviceCatalogue, json: bool, out: &mut dyn Output) -> CommandResult {
    if json {
        let devices: Vec<serde_json::Value> = catalogue
            .all()
            .iter()
            .map(|device| {
                let mut value = serde_json::json!(device);
                value["file_name"] = device.file_name().into();
                value["unverified"] = device.unverified().collect::<Vec<_>>().into();
                value
            })
            .collect();
        out.json(&devices.into()).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let rows: Vec<Vec<String>> = catalogue
        .all()
        .iter()
        .map(|device| {
            vec![
                device.id.clone(),
                device.file_name(),
                device.compile_target.clone(),
                device.shared_memory_per_block.to_string(),
                device.sms.to_string(),
                format!("{}", device.bandwidth_gb_s),
                format!("{}", device.memory_gb),
                format!("{}", device.dense_tflops.fp8),
                format!("{}", device.dense_tflops.bf16),
                device.unverified().collect::<Vec<_>>().join(" "),
            ]
        })
        .collect();
    out.table(
        &[
            "device",
            "name in files",
            "target",
            "shared B/block",
            "SMs",
            "GB/s",
            "GB",
            "fp8 TFLOP/s",
            "bf16 TFLOP/s",
            "unverified",
        ],
        &rows,
    )
    .map_err(OutputError)?;
    Ok(Verdict::Done)
}
