//! Whether this machine has the device a run is for.

use std::process::Command;

use crate::artifact::Evidence;
use crate::device::Device;

/// The rung a run aims at unless told: `confirmed` where the device is in this machine.
pub(super) fn default_evidence(device: &Device) -> Evidence {
    if local_gpus().contains(&device.name) { Evidence::Confirmed } else { Evidence::Compiled }
}

/// The names of this machine's GPUs, as the driver's own tool tells them; none where it is not there.
fn local_gpus() -> Vec<String> {
    let listed = Command::new("nvidia-smi").args(["--query-gpu=name", "--format=csv,noheader"]).output();
    match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}
