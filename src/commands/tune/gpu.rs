//! Whether this machine has the device a run is for.

use std::process::Command;

use crate::artifact::Evidence;
use crate::device::Device;

/// The rung a run aims at unless told, with a word to the user where a better one is near.
///
/// `confirmed` where the device is in this machine and the user named a Python, which then is the one SGLang
/// runs in: the managed environment has no torch.
pub(super) fn default_evidence(device: &Device, has_python: bool) -> (Evidence, Option<String>) {
    match (local_gpus().contains(&device.name), has_python) {
        (true, true) => (Evidence::Confirmed, None),
        (true, false) => {
            let tell = "this machine has the device, and nothing is measured: name the Python that SGLang runs in \
                        with --python to race the configs on it";
            (Evidence::Compiled, Some(tell.to_owned()))
        }
        (false, _) => (Evidence::Compiled, None),
    }
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
