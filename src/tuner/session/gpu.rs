//! The GPU a command measures on: is it the right one, and is it free?

use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};

use super::{SessionJob, Timing};
use crate::artifact::Evidence;
use crate::device::Device;
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::tuner::search::Limits;
use crate::worker::protocol::{GpuReport, Preparation};
use crate::worker::timing::GpuTimer;
use crate::worker::{CompileWorker, WorkerError};

/// How far measuring goes.
#[derive(Debug, Clone, Copy)]
pub struct MeasuringSettings {
    /// Budget and strictness.
    pub limits: Limits,
    /// Time one kernel run may take.
    pub run_timeout: Duration,
    /// How long a GPU that others use is waited for; none refuses it at once.
    pub wait: Option<Duration>,
}

/// Between two looks at a GPU that others use.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The GPU is not one to measure on.
#[derive(Debug, thiserror::Error)]
enum NotThisGpu {
    #[error("its GPU is a {found}, the run is for a {wanted}")]
    OtherDevice { found: String, wanted: String },
    #[error("a block may use {found} bytes of shared memory here, the device's profile says {wanted}")]
    OtherLimit { found: u32, wanted: u32 },
    #[error("other processes compute on its GPU (process ids {0:?})")]
    Busy(Vec<u32>),
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl NotThisGpu {
    /// Whether it is so because others use the GPU: that ends with them.
    fn is_others_doing(&self) -> bool {
        match self {
            NotThisGpu::Busy(_) => true,
            NotThisGpu::Worker(WorkerError::Refused { code, .. }) => code == "out_of_memory",
            NotThisGpu::OtherDevice { .. } | NotThisGpu::OtherLimit { .. } | NotThisGpu::Worker(_) => false,
        }
    }
}

impl Failure for NotThisGpu {
    fn kind(&self) -> Kind {
        match self {
            NotThisGpu::Worker(error) => error.kind(),
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            it if it.is_others_doing() => Some("--wait waits until it is free".into()),
            NotThisGpu::Worker(error) => error.hint(),
            NotThisGpu::OtherDevice { .. } => {
                Some("run it on such a machine, or prove without measuring: --evidence compiled".into())
            }
            NotThisGpu::OtherLimit { .. } | NotThisGpu::Busy(_) => None,
        }
    }
}

/// A worker with the layer on the GPU, and what the GPU says of itself. Where others use it, it is waited for as long as
/// the settings say, and `tell` hears for what.
pub(super) async fn start_timer(
    job: &SessionJob<'_>,
    timing: &Timing<'_>,
    compiler: &mut CompileWorker,
    kernel_cache: Option<HostPath>,
    tell: &UnboundedSender<String>,
) -> Result<(GpuTimer, GpuReport), Box<dyn Failure>> {
    let until = timing.settings.wait.map(|wait| Instant::now() + wait);
    let mut told = String::new();
    loop {
        let error = match try_start(job, timing, compiler, kernel_cache.clone()).await {
            Ok(started) => return Ok(started),
            Err(error) => error,
        };
        let Some(until) = until.filter(|until| error.is_others_doing() && Instant::now() < *until) else {
            return Err(error.into());
        };
        let why = error.to_string();
        if why != told {
            // Whoever made the nodes ready listens until all are.
            let _ = tell.send(format!("waiting for {} to be free: {why}", compiler.on()));
            told = why;
        }
        sleep_until(until.min(Instant::now() + LOOK_AGAIN)).await;
    }
}

async fn try_start(
    job: &SessionJob<'_>,
    timing: &Timing<'_>,
    compiler: &mut CompileWorker,
    kernel_cache: Option<HostPath>,
) -> Result<(GpuTimer, GpuReport), NotThisGpu> {
    let report = compiler.device().await?;
    fit_to_measure_on(&report, job.device)?;
    let preparation = Preparation {
        sglang_root: compiler.sglang_root().as_str().to_owned(),
        runtime: job.target.runtime.name().to_owned(),
        shape: job.shape,
        fused_shared_experts: timing.fused_shared_experts,
        max_tokens: timing.max_tokens,
        seed: 0,
        cache_dir: kernel_cache.map(|dir| dir.as_str().to_owned()),
    };
    let timer = GpuTimer::start(compiler.starter(), preparation, timing.settings.run_timeout).await?;
    Ok((timer, report))
}

/// Times of another GPU, of one that can do less than its profile says, or of one that others use, too, choose for that
/// one.
fn fit_to_measure_on(report: &GpuReport, device: &Device) -> Result<(), NotThisGpu> {
    if report.name != device.name {
        return Err(NotThisGpu::OtherDevice { found: report.name.clone(), wanted: device.name.clone() });
    }
    if report.shared_memory_per_block < device.shared_memory_per_block {
        let (found, wanted) = (report.shared_memory_per_block, device.shared_memory_per_block);
        return Err(NotThisGpu::OtherLimit { found, wanted });
    }
    if !report.other_processes.is_empty() {
        return Err(NotThisGpu::Busy(report.other_processes.clone()));
    }
    Ok(())
}

/// The rung a run aims at unless told, with a word to the user where a better one is near.
///
/// `confirmed` where the device is among the `gpus` in reach and the user named a Python, which then is the one SGLang
/// runs in: the managed environment has no torch.
pub(crate) fn default_evidence(
    device: &Device,
    gpus: &[String],
    has_python: bool,
) -> (Evidence, Option<String>) {
    match (gpus.contains(&device.name), has_python) {
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
pub(crate) fn local_gpus() -> Vec<String> {
    let listed = Command::new("nvidia-smi").args(["--query-gpu=name", "--format=csv,noheader"]).output();
    match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gb10() -> Device {
        Device::find("gb10").unwrap()
    }

    fn report() -> GpuReport {
        serde_json::from_value(serde_json::json!({
            "name": "NVIDIA GB10", "capability": 121, "shared_memory_per_block": 101_376,
        }))
        .unwrap()
    }

    #[test]
    fn only_the_planned_gpu_is_measured_on() {
        let device = gb10();
        let held = |report: &GpuReport| fit_to_measure_on(report, &device);
        let refused = |report: &GpuReport| {
            let refused = held(report).unwrap_err();
            assert_eq!(refused.kind(), Kind::Environment);
            (refused.to_string(), refused.hint().is_some_and(|hint| hint.contains("--evidence compiled")))
        };
        assert!(held(&report()).is_ok());
        let more = GpuReport { shared_memory_per_block: 101_377, ..report() };
        assert!(held(&more).is_ok(), "what fits the profile fits");

        for name in ["NVIDIA Thor", "NVIDIA GB10 ", "nvidia gb10", ""] {
            let said = format!("its GPU is a {name}, the run is for a NVIDIA GB10");
            assert_eq!(refused(&GpuReport { name: name.into(), ..report() }), (said, true));
        }
        for bytes in [0, 101_375] {
            let less = GpuReport { shared_memory_per_block: bytes, ..report() };
            let said = format!(
                "a block may use {bytes} bytes of shared memory here, the device's profile says 101376"
            );
            assert_eq!(refused(&less), (said, false));
        }
        let busy = GpuReport { other_processes: vec![7, 4711], ..report() };
        let error = held(&busy).unwrap_err();
        assert_eq!(error.to_string(), "other processes compute on its GPU (process ids [7, 4711])");
        assert!(error.hint().is_some_and(|hint| hint.contains("--wait")) && error.is_others_doing());
    }

    #[test]
    fn a_run_aims_at_measuring_where_device_and_python_are_there() {
        let reach = |gpus: &[&str], has_python| {
            let gpus: Vec<String> = gpus.iter().map(|&name| name.to_owned()).collect();
            let (evidence, tell) = default_evidence(&gb10(), &gpus, has_python);
            (evidence, tell.is_some_and(|tell| tell.contains("--python")))
        };
        assert_eq!(reach(&["NVIDIA GB10"], true), (Evidence::Confirmed, false));
        assert_eq!(reach(&["NVIDIA A40", "NVIDIA GB10"], true), (Evidence::Confirmed, false));
        assert_eq!(reach(&["NVIDIA GB10"], false), (Evidence::Compiled, true), "and says what is missing");
        for gpus in [&[][..], &["NVIDIA Thor"], &["NVIDIA GB10 2"], &["nvidia gb10"]] {
            for has_python in [true, false] {
                assert_eq!(reach(gpus, has_python), (Evidence::Compiled, false), "{gpus:?}");
            }
        }
    }
}
