//! The GPU a command measures on: is it the right one, and is it free?

use std::process::Command;
use std::time::Duration;

use super::{SessionJob, Timing};
use crate::artifact::Evidence;
use crate::device::Device;
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::tuner::search::Limits;
use crate::worker::CompileWorker;
use crate::worker::protocol::{GpuReport, Preparation};
use crate::worker::timing::GpuTimer;

/// How far measuring goes.
#[derive(Debug, Clone, Copy)]
pub struct MeasuringSettings {
    /// Budget and strictness.
    pub limits: Limits,
    /// Time one kernel run may take.
    pub run_timeout: Duration,
}

/// The GPU is not one to measure on.
#[derive(Debug, thiserror::Error)]
enum NotThisGpu {
    #[error("this machine has a {found}, the run is for a {wanted}")]
    OtherDevice { found: String, wanted: String },
    #[error("a block may use {found} bytes of shared memory here, the device's profile says {wanted}")]
    OtherLimit { found: u32, wanted: u32 },
    #[error("other processes compute on the GPU (process ids {0:?}), and --strict wants it alone")]
    Busy(Vec<u32>),
}

impl Failure for NotThisGpu {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        match self {
            NotThisGpu::OtherDevice { .. } => {
                Some("run it on such a machine, or prove without measuring: --evidence compiled".into())
            }
            NotThisGpu::OtherLimit { .. } | NotThisGpu::Busy(_) => None,
        }
    }
}

/// A worker with the layer on the GPU, and what the GPU says of itself.
pub(super) async fn start_timer(
    job: &SessionJob<'_>,
    timing: &Timing<'_>,
    compiler: &mut CompileWorker,
    kernel_cache: Option<HostPath>,
) -> Result<(GpuTimer, GpuReport), Box<dyn Failure>> {
    let (device, settings) = (job.device, timing.settings);
    let report = compiler.device().await?;
    if report.name != device.name {
        return Err(NotThisGpu::OtherDevice { found: report.name, wanted: device.name.clone() }.into());
    }
    if report.shared_memory_per_block < device.shared_memory_per_block {
        let (found, wanted) = (report.shared_memory_per_block, device.shared_memory_per_block);
        return Err(NotThisGpu::OtherLimit { found, wanted }.into());
    }
    if settings.limits.strict && !report.other_processes.is_empty() {
        return Err(NotThisGpu::Busy(report.other_processes).into());
    }
    let preparation = Preparation {
        sglang_root: compiler.sglang_root().as_str().to_owned(),
        runtime: job.target.runtime.name().to_owned(),
        shape: job.shape,
        fused_shared_experts: timing.fused_shared_experts,
        max_tokens: timing.max_tokens,
        seed: 0,
        cache_dir: kernel_cache.map(|dir| dir.as_str().to_owned()),
    };
    let timer = GpuTimer::start(compiler.starter(), preparation, settings.run_timeout).await?;
    Ok((timer, report))
}

/// The rung a run aims at unless told, with a word to the user where a better one is near.
///
/// `confirmed` where the device is in this machine and the user named a Python, which then is the one SGLang
/// runs in: the managed environment has no torch.
pub(crate) fn default_evidence(device: &Device, has_python: bool) -> (Evidence, Option<String>) {
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
