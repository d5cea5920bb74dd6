//! Times kernels on the GPU: requests to the worker's measuring half, and a worker that is replaced when it
//! dies or hangs.

use std::collections::HashMap;
use std::time::Duration;

use super::process::{Launch, Worker, WorkerError};
use super::protocol::{ArmOutcome, GpuState, Message, Op, Preparation, TimedArm, TimingRequest};

/// Workers an arm may take down before it is given up.
const DEATHS_PER_ARM: u32 = 2;

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
