//! The GPU a command measures on: is it the right one, and is it free?

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{SessionJob, Timing};
use crate::artifact::Evidence;
use crate::device::Device;
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::tuner::search::Limits;
use crate::worker::protocol::{GpuReport, Preparation};
use crate::worker::timing::GpuTimer;
use crate::worker::{CompileWorker, Starter, WorkerError};

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

    /// Whether nobody there answered, so that it says nothing of the GPU.
    fn is_out_of_reach(&self) -> bool {
        match self {
            NotThisGpu::Worker(error) => {
                error.is_loss() || matches!(error, WorkerError::Host(_) | WorkerError::NoHello { .. })
            }
            NotThisGpu::Busy(_) | NotThisGpu::OtherDevice { .. } | NotThisGpu::OtherLimit { .. } => false,
        }
    }
}

impl From<NotThisGpu> for WorkerError {
    /// As the worker would say it of a GPU that it finds so.
    fn from(error: NotThisGpu) -> Self {
        let code = match error {
            NotThisGpu::Worker(error) => return error,
            NotThisGpu::Busy(_) => "gpu_in_use",
            NotThisGpu::OtherDevice { .. } | NotThisGpu::OtherLimit { .. } => "no_gpu",
        };
        WorkerError::Refused { code: code.to_owned(), message: error.to_string() }
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

/// The GPU of one node, before anything is timed on it.
#[derive(Debug)]
pub(super) struct WantedGpu {
    device: Device,
    preparation: Preparation,
    run_timeout: Duration,
    /// How long it is waited for where others use it; none where it is not.
    until: Option<Instant>,
    /// Who used it when it was last looked at.
    used_by: Option<String>,
}

/// What a node times with.
#[derive(Debug)]
pub(super) enum TimingHalf {
    /// Nothing: it only compiles.
    None,
    /// A GPU that others use for now.
    Awaited(WantedGpu),
    /// A worker with the layer on the GPU.
    Ready(GpuTimer),
}

impl TimingHalf {
    /// Who uses the GPU, where it is waited for.
    pub(super) fn waits_for(&self) -> Option<&str> {
        match self {
            TimingHalf::Awaited(gpu) => gpu.used_by.as_deref(),
            TimingHalf::None | TimingHalf::Ready(_) => None,
        }
    }
}

impl WantedGpu {
    /// The GPU that `compiler` sees, for `timing`. What is launched is kept in `kernel_cache`.
    pub(super) fn new(
        job: &SessionJob<'_>,
        timing: &Timing<'_>,
        compiler: &CompileWorker,
        kernel_cache: Option<&HostPath>,
    ) -> Self {
        let preparation = Preparation {
            sglang_root: compiler.sglang_root().as_str().to_owned(),
            runtime: job.target.runtime.name().to_owned(),
            shape: job.shape,
            fused_shared_experts: timing.fused_shared_experts,
            max_tokens: timing.max_tokens,
            seed: 0,
            cache_dir: kernel_cache.map(|dir| dir.as_str().to_owned()),
        };
        Self {
            device: job.device.clone(),
            preparation,
            run_timeout: timing.settings.run_timeout,
            until: timing.settings.wait.map(|wait| Instant::now() + wait),
            used_by: None,
        }
    }

    /// Whether it is the right one and free, and what it says of itself. One that others use may be waited for.
    pub(super) async fn look(
        mut self,
        compiler: &mut CompileWorker,
    ) -> Result<(TimingHalf, GpuReport), Box<dyn Failure>> {
        let report = compiler.device().await?;
        match self.put_layer_on(compiler.starter(), &report).await {
            Ok(timer) => Ok((TimingHalf::Ready(timer), report)),
            Err(error) if error.is_others_doing() && self.is_awaited() => {
                self.used_by = Some(error.to_string());
                let report = GpuReport { other_processes: Vec::new(), ..report };
                Ok((TimingHalf::Awaited(self), report))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Look again and again until it is free, or waited for in vain. `tell` hears who uses it, where that is news.
    pub(super) async fn wait(
        &mut self,
        compiler: &mut CompileWorker,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<GpuTimer, WorkerError> {
        loop {
            let again = Instant::now() + LOOK_AGAIN;
            sleep_until(self.until.map_or(again, |until| until.min(again))).await;
            let looked = match compiler.device().await {
                Ok(report) => self.put_layer_on(compiler.starter(), &report).await,
                Err(error) => Err(error.into()),
            };
            let error = match looked {
                Ok(timer) => return Ok(timer),
                Err(error) => error,
            };
            // A node that does not answer for a while may do so again, and nothing is known of its GPU meanwhile.
            if error.is_out_of_reach() && self.is_awaited() {
                continue;
            }
            if !(error.is_others_doing() && self.is_awaited()) {
                return Err(error.into());
            }
            let who = error.to_string();
            if self.used_by.as_ref() != Some(&who) {
                self.used_by = Some(who.clone());
                tell(who);
            }
        }
    }

    fn is_awaited(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// A worker with the layer on the GPU that `report` is of, if that is fit for it.
    async fn put_layer_on(
        &self,
        starter: Arc<dyn Starter>,
        report: &GpuReport,
    ) -> Result<GpuTimer, NotThisGpu> {
        fit_to_measure_on(report, &self.device)?;
        Ok(GpuTimer::start(starter, self.preparation.clone(), self.run_timeout).await?)
    }
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
