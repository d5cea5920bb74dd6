//! The GPU a command measures on: is it the right one, and is it free?

use std::time::Duration;

use crate::device::Device;
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::tuner::plan::Plan;
use crate::tuner::search::Limits;
use crate::worker::Supervised;
use crate::worker::protocol::LaunchShape;
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

/// A worker with the plan's layer on the GPU, and what the GPU says of itself.
pub(super) async fn start_timer(
    settings: &MeasuringSettings,
    plan: &Plan,
    device: &Device,
    compiler: &mut Supervised,
    kernel_cache: Option<&HostPath>,
) -> Result<(GpuTimer, GpuReport), Box<dyn Failure>> {
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
    let (starter, sglang_root) = compiler.launch();
    let preparation = Preparation {
        sglang_root: sglang_root.as_str().to_owned(),
        runtime: plan.target.runtime.name().to_owned(),
        shape: LaunchShape::new(&plan.shape, plan.model.ep),
        fused_shared_experts: plan.shape.fused_shared_experts,
        max_tokens: plan.batch_sizes.iter().copied().max().unwrap_or(1),
        seed: 0,
        cache_dir: kernel_cache.map(|dir| dir.as_str().to_owned()),
    };
    let timer = GpuTimer::start(starter, preparation, settings.run_timeout).await?;
    Ok((timer, report))
}
