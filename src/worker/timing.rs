//! Times kernels on the GPU: requests to the worker's measuring half, and a worker that is replaced when it
//! dies or hangs.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::{Launch, Worker, WorkerError};
use super::protocol::{LaunchShape, Message, Op};
use crate::kernel::KernelConfig;

/// Workers an arm may take down before it is given up.
const DEATHS_PER_ARM: u32 = 2;

/// What can be timed. Configs of a path share BLOCK_SIZE_M.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum TimedArm {
    /// The up projection alone.
    Up {
        /// Its config.
        config: KernelConfig,
    },
    /// The down projection alone.
    Down {
        /// Its config.
        config: KernelConfig,
    },
    /// Up projection, activation and down projection, one after another.
    Path {
        /// The up projection's config.
        up: KernelConfig,
        /// The down projection's config.
        down: KernelConfig,
    },
}

/// How tokens are spread over experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimedRouting {
    /// `uniform` or `skewed`.
    pub kind: &'static str,
    /// Equal seeds are equal routings.
    pub seed: u32,
}

/// One request for measurements.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimingRequest {
    /// Tokens in the forward pass.
    pub batch_size: u32,
    /// Which tokens go where.
    pub routing: TimedRouting,
    /// What takes part.
    pub arms: Vec<TimedArm>,
    /// The arm of each timed run.
    pub order: Vec<u16>,
    /// Untimed runs of each arm before its first timed one.
    pub warm_up: u32,
    /// An arm slower than this is not run again, microseconds.
    pub abort_above_us: Option<f64>,
}

/// What the worker must know before it can time anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preparation {
    /// Folder that holds the `sglang` package.
    pub sglang_root: String,
    /// The runtime whose launch is reproduced, as manifests name it.
    pub runtime: String,
    /// The layer.
    pub shape: LaunchShape,
    /// Of the experts, those every token goes through.
    pub fused_shared_experts: u32,
    /// The largest batch size that will be asked for.
    pub max_tokens: u32,
    /// Seed of weights and activations.
    pub seed: u32,
    /// Where the compiler keeps its kernels.
    pub cache_dir: Option<String>,
}

/// Why an arm has no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmOutcome {
    /// The launch was refused.
    OutOfResources,
    /// There is no binary.
    CompileFailed,
    /// The output is off.
    WrongResult,
    /// A run did not end. Said by the harness.
    TimedOut,
    /// Two workers died on it. Said by the harness.
    WorkerLost,
}

/// The GPU's state at the end of a request, as far as it tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuState {
    /// SM clock, MHz.
    #[serde(default)]
    pub clock_mhz: Option<f64>,
    /// Degrees Celsius.
    #[serde(default)]
    pub temperature_c: Option<f64>,
    /// Watts.
    #[serde(default)]
    pub power_w: Option<f64>,
    /// What holds the clock down.
    #[serde(default)]
    pub throttle: Vec<String>,
}

/// The GPU the worker sees. Unknown figures are absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuReport {
    /// As torch reports it.
    pub name: String,
    /// 121 for 12.1.
    pub capability: u32,
    /// Opt-in shared memory of a block, bytes.
    pub shared_memory_per_block: u32,
    /// Bytes.
    #[serde(default)]
    pub memory_total: Option<u64>,
    /// Bytes.
    #[serde(default)]
    pub memory_free: Option<u64>,
    /// The driver's version.
    #[serde(default)]
    pub driver: Option<String>,
    /// The highest SM clock, MHz.
    #[serde(default)]
    pub max_clock_mhz: Option<f64>,
    /// Other processes that compute on it.
    #[serde(default)]
    pub other_processes: Vec<u32>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Microseconds of each run of `order`; none where it was not made.
    pub times_us: Vec<Option<f64>>,
    /// Arms without a time, with the reason and the worker's words.
    pub failures: Vec<(u16, ArmOutcome, String)>,
    /// The GPU afterwards.
    pub state: GpuState,
}

/// Times arms: the real GPU, or a look-alike in tests.
pub trait Timer {
    /// Carry out `request`. An error means that nothing can be timed any more.
    fn time(&mut self, request: &TimingRequest) -> impl Future<Output = Result<Timed, WorkerError>>;
}

/// The real thing: a worker with weights on the GPU, started again when it dies or hangs.
#[derive(Debug)]
pub struct GpuTimer {
    launch: Launch,
    preparation: Preparation,
    worker: Option<Worker>,
    run_timeout: Duration,
    deaths: HashMap<TimedArm, u32>,
}

/// How one attempt at a request ended early.
enum Broken {
    Hung { arm: u16 },
    Died { arm: Option<u16>, error: WorkerError },
    Refused(WorkerError),
}

impl GpuTimer {
    /// Start a worker and put the layer's weights on the GPU.
    pub async fn start(
        launch: Launch,
        preparation: Preparation,
        run_timeout: Duration,
    ) -> Result<Self, WorkerError> {
        let mut timer = Self { launch, preparation, worker: None, run_timeout, deaths: HashMap::new() };
        timer.worker().await?;
        Ok(timer)
    }

    /// End the worker.
    pub async fn stop(self) {
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
    }

    async fn worker(&mut self) -> Result<&mut Worker, WorkerError> {
        if self.worker.is_none() {
            let mut worker = Worker::start(&self.launch).await?;
            worker.request(Op::Prepare(self.preparation.clone()), &mut |_| {}).await?;
            self.worker = Some(worker);
        }
        Ok(self.worker.as_mut().expect("just started"))
    }

    /// Ask once, leaving out the arms that are `gone`.
    async fn attempt(&mut self, request: &TimingRequest, gone: &[u16]) -> Result<Timed, Broken> {
        let left: Vec<usize> =
            (0..request.order.len()).filter(|&at| !gone.contains(&request.order[at])).collect();
        let order = left.iter().map(|&at| request.order[at]).collect();
        let asked = TimingRequest { order, ..request.clone() };
        let run_timeout = self.run_timeout;
        let worker = self.worker().await.map_err(|error| Broken::Died { arm: None, error })?;
        let id = match worker.ask(Op::Measure(asked)).await {
            Ok(id) => id,
            Err(error) => return Err(Broken::Died { arm: None, error }),
        };
        let mut timed = Timed {
            times_us: vec![None; request.order.len()],
            failures: Vec::new(),
            state: GpuState::default(),
        };
        // Runs come in order, but for those of arms that fell out.
        let mut waiting = left.into_iter().peekable();
        let mut suspect = None;
        loop {
            let message = match tokio::time::timeout(run_timeout, worker.answer_with_end(id)).await {
                Err(_) => {
                    let arm = suspect.or(waiting.peek().map(|&at| request.order[at]));
                    return Err(arm.map_or_else(
                        || Broken::Died {
                            arm: None,
                            error: WorkerError::Garbled { line: "silence after the last run".into() },
                        },
                        |arm| Broken::Hung { arm },
                    ));
                }
                Ok(Ok(message)) => message,
                Ok(Err(WorkerError::Refused { code, message })) => {
                    return Err(Broken::Refused(WorkerError::Refused { code, message }));
                }
                Ok(Err(error)) => {
                    let arm = suspect.or(waiting.peek().map(|&at| request.order[at]));
                    return Err(Broken::Died { arm, error });
                }
            };
            match message {
                Message::Starting { arm, .. } => suspect = Some(arm),
                Message::Ready { .. } => suspect = None,
                Message::Timed { arm, time_us, .. } => {
                    for at in waiting.by_ref() {
                        if request.order[at] == arm {
                            timed.times_us[at] = Some(time_us);
                            break;
                        }
                    }
                }
                Message::ArmFailed { arm, outcome, message, .. } => {
                    suspect = None;
                    timed.failures.push((arm, outcome, message));
                }
                Message::Done { state, .. } => {
                    timed.state = state;
                    return Ok(timed);
                }
                _ => {}
            }
        }
    }
}

impl Timer for GpuTimer {
    async fn time(&mut self, request: &TimingRequest) -> Result<Timed, WorkerError> {
        let mut lost: Vec<(u16, ArmOutcome, String)> = Vec::new();
        let mut nameless_deaths = 0;
        loop {
            let gone: Vec<u16> = lost.iter().map(|it| it.0).collect();
            match self.attempt(request, &gone).await {
                Ok(mut timed) => {
                    timed.failures.extend(lost);
                    return Ok(timed);
                }
                Err(Broken::Hung { arm }) => {
                    // Dropping it kills it: a kernel that hangs cannot be asked to stop.
                    self.worker = None;
                    let after = format!("no answer within {} s", self.run_timeout.as_secs());
                    lost.push((arm, ArmOutcome::TimedOut, after));
                }
                Err(Broken::Died { arm: Some(arm), error }) => {
                    self.worker = None;
                    let deaths = self.deaths.entry(request.arms[usize::from(arm)]).or_default();
                    *deaths += 1;
                    if *deaths >= DEATHS_PER_ARM {
                        lost.push((arm, ArmOutcome::WorkerLost, error.to_string()));
                    }
                }
                Err(Broken::Died { arm: None, error }) => {
                    self.worker = None;
                    nameless_deaths += 1;
                    if nameless_deaths >= DEATHS_PER_ARM || matches!(error, WorkerError::Refused { .. }) {
                        return Err(error);
                    }
                }
                Err(Broken::Refused(error)) => return Err(error),
            }
        }
    }
}
