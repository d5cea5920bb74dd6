//! Times kernels on the GPU: requests to the worker's measuring half, and a worker that is replaced when it
//! dies or hangs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::WorkerError;
use super::link::Link;
use super::protocol::{ArmOutcome, GpuState, Message, Op, Preparation, TimedArm, TimingRequest};
use super::start::Starter;

/// Workers that may get lost one after another, without a result between them.
const LOSSES_IN_A_ROW: u32 = 3;

/// Workers an arm may take down before it is given up.
const DEATHS_PER_ARM: u32 = 2;

/// Arms that may be given up one after another with no run timed in between, or half of the request's where that is more:
/// a worker times nothing until it has made every arm ready, so that all killers of a request are met first. Beyond that, or
/// where it is all arms, workers die on whatever they do, and it is no arm's doing.
const ARMS_IN_A_ROW: usize = 4;

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Microseconds of each run of `order`; none where it was not made.
    pub times_us: Vec<Option<f64>>,
    /// Arms without a time, with the reason and the worker's words.
    pub failures: Vec<(u16, ArmOutcome, String)>,
    /// The GPU afterwards.
    pub state: GpuState,
    /// Workers that were started in the place of others since the last answer.
    pub replaced: u32,
}

/// Times arms: the real GPU, or a look-alike in tests.
pub trait Timer {
    /// Carry out `request`. An error is no arm's doing: the worker ended, was lost again and again, or refused. After
    /// [`WorkerError::Died`] or a loss the next request gets another worker.
    fn time(&mut self, request: &TimingRequest) -> impl Future<Output = Result<Timed, WorkerError>>;
}

/// The real thing: a worker with weights on the GPU, started again when it dies, hangs or gets lost.
#[derive(Debug)]
pub struct GpuTimer {
    starter: Arc<dyn Starter>,
    preparation: Preparation,
    link: Option<Link>,
    run_timeout: Duration,
    deaths: HashMap<TimedArm, u32>,
    /// Workers that were started since the last answer, but for the very first.
    replaced: u32,
}

/// How one attempt at a request ended early. `Ended` is no arm's doing: whoever asked decides whether it is worth
/// another worker.
enum AttemptError {
    Hung { arm: u16 },
    Died { arm: u16, error: WorkerError },
    Lost(WorkerError),
    Ended(WorkerError),
    Refused(WorkerError),
}

impl GpuTimer {
    /// Start a worker and put the layer's weights on the GPU.
    pub async fn start(
        starter: Arc<dyn Starter>,
        preparation: Preparation,
        run_timeout: Duration,
    ) -> Result<Self, WorkerError> {
        let (link, deaths) = (None, HashMap::new());
        let mut timer = Self { starter, preparation, link, run_timeout, deaths, replaced: 0 };
        timer.link().await?;
        timer.replaced = 0;
        Ok(timer)
    }

    /// End the worker.
    pub async fn stop(self) {
        if let Some(link) = self.link {
            link.leave().await;
        }
    }

    async fn link(&mut self) -> Result<&mut Link, WorkerError> {
        // What ended it between requests was none of the next one's arms.
        self.link.take_if(|link| link.is_gone());
        // Cancelling a request that was given up loses what was prepared.
        if let Some(busy) = self.link.take_if(|link| link.is_busy()) {
            busy.stop().await;
        }
        if self.link.is_none() {
            let mut link = self.starter.start().await?;
            link.prepare(self.preparation.clone()).await?;
            self.link = Some(link);
            self.replaced += 1;
        }
        Ok(self.link.as_mut().expect("just started"))
    }

    /// Ask once, leaving out the arms that are `gone`. `heard` is set where a run was timed, whatever comes of the rest.
    async fn attempt(
        &mut self,
        request: &TimingRequest,
        gone: &[u16],
        heard: &mut bool,
    ) -> Result<Timed, AttemptError> {
        let left: Vec<usize> =
            (0..request.order.len()).filter(|&at| !gone.contains(&request.order[at])).collect();
        let order = left.iter().map(|&at| request.order[at]).collect();
        let asked = TimingRequest { order, ..request.clone() };
        let run_timeout = self.run_timeout;
        let link = self.link().await.map_err(|error| AttemptError::by(error, None))?;
        let id = link.ask(Op::Measure(asked)).await.map_err(|error| AttemptError::by(error, None))?;
        let mut timed = Timed {
            times_us: vec![None; request.order.len()],
            failures: Vec::new(),
            state: GpuState::default(),
            replaced: 0,
        };
        let mut waiting = left.into_iter().peekable();
        // Arms that fell out on the way: failed, or aborted.
        let mut out: Vec<u16> = Vec::new();
        let mut suspect = None;
        loop {
            let message = match link.answer_with_end(id, run_timeout).await {
                Ok(message) => message,
                Err(error @ WorkerError::Refused { .. }) => return Err(AttemptError::Refused(error)),
                Err(error) => {
                    let arm = suspect.or(waiting.peek().map(|&at| request.order[at]));
                    return Err(AttemptError::by(error, arm));
                }
            };
            refuse_nonsense(&message, request)?;
            match message {
                Message::Starting { arm, .. } => suspect = Some(arm),
                Message::Ready { .. } => suspect = None,
                Message::Timed { arm, time_us, .. } => {
                    // Runs come in order, but for those of arms that fell out.
                    let next = waiting.find(|&at| !out.contains(&request.order[at]));
                    let Some(at) = next.filter(|&at| request.order[at] == arm) else {
                        let expected =
                            next.map_or("none".to_owned(), |at| format!("arm {}", request.order[at]));
                        return Err(garbled(format!(
                            "a time of arm {arm}, where {expected} was to be timed"
                        )));
                    };
                    *heard = true;
                    timed.times_us[at] = Some(time_us);
                }
                // The worker alone knows: what it tells of a time is rounded.
                Message::Aborted { arm, .. } => out.push(arm),
                Message::ArmFailed { arm, outcome, message, .. } => {
                    suspect = None;
                    out.push(arm);
                    timed.failures.push((arm, outcome, message));
                }
                Message::Done { state, .. } => {
                    if let Some(at) = waiting.find(|&at| !out.contains(&request.order[at])) {
                        let arm = request.order[at];
                        return Err(garbled(format!("`done` before a run of arm {arm} was timed")));
                    }
                    timed.state = state;
                    return Ok(timed);
                }
                _ => {}
            }
        }
    }
}

/// What the worker says of an arm that nobody asked it to time is no message, and neither is a time that is none;
/// whoever hears of the others may count on their numbers.
fn refuse_nonsense(message: &Message, request: &TimingRequest) -> Result<(), AttemptError> {
    match message {
        Message::Starting { arm, .. }
        | Message::Timed { arm, .. }
        | Message::Aborted { arm, .. }
        | Message::ArmFailed { arm, .. }
            if usize::from(*arm) >= request.arms.len() =>
        {
            Err(garbled(format!("arm {arm} of a request with {} arms", request.arms.len())))
        }
        Message::Timed { arm, time_us, .. } if !(time_us.is_finite() && *time_us > 0.0) => {
            Err(garbled(format!("{time_us} microseconds as a time of arm {arm}")))
        }
        _ => Ok(()),
    }
}

fn garbled(line: String) -> AttemptError {
    AttemptError::Ended(WorkerError::Garbled { line })
}

impl AttemptError {
    /// How `error` broke an attempt that was at `arm`, or had not begun or had nothing left to do.
    fn by(error: WorkerError, arm: Option<u16>) -> Self {
        match (error, arm) {
            // The worker answers and its GPU does not: the arm's doing.
            (WorkerError::Stalled { .. }, Some(arm)) => AttemptError::Hung { arm },
            (error @ WorkerError::Stalled { .. }, None) => AttemptError::Ended(error),
            (error, _) if error.is_loss() => AttemptError::Lost(error),
            (error, Some(arm)) => AttemptError::Died { arm, error },
            (error, None) => AttemptError::Ended(error),
        }
    }
}

impl Timer for GpuTimer {
    async fn time(&mut self, request: &TimingRequest) -> Result<Timed, WorkerError> {
        let mut lost: Vec<(u16, ArmOutcome, String)> = Vec::new();
        let mut losses = 0;
        // Arms given up since a run was timed.
        let mut in_a_row = 0;
        loop {
            let gone: Vec<u16> = lost.iter().map(|it| it.0).collect();
            let mut heard = false;
            let attempt = self.attempt(request, &gone, &mut heard).await;
            if heard {
                in_a_row = 0;
            }
            match attempt {
                Ok(mut timed) => {
                    timed.failures.extend(lost);
                    timed.replaced = std::mem::take(&mut self.replaced);
                    return Ok(timed);
                }
                Err(AttemptError::Hung { arm }) => {
                    // Dropping it kills it: a kernel that hangs cannot be asked to stop.
                    self.link = None;
                    let after = format!("no answer within {} s", self.run_timeout.as_secs());
                    lost.push((arm, ArmOutcome::TimedOut, after));
                }
                Err(AttemptError::Died { arm, error }) => {
                    self.link = None;
                    let deaths = self.deaths.entry(request.arms[usize::from(arm)]).or_default();
                    *deaths += 1;
                    if *deaths >= DEATHS_PER_ARM {
                        lost.push((arm, ArmOutcome::WorkerLost, error.to_string()));
                        in_a_row += 1;
                    }
                    let all = in_a_row == request.arms.len() && in_a_row > 1;
                    if all || in_a_row >= ARMS_IN_A_ROW.max(request.arms.len() / 2) {
                        for arm in &request.arms {
                            self.deaths.remove(arm);
                        }
                        return Err(error);
                    }
                }
                Err(AttemptError::Ended(error)) => {
                    self.link = None;
                    return Err(error);
                }
                Err(AttemptError::Lost(error)) => {
                    self.link = None;
                    losses += 1;
                    if losses >= LOSSES_IN_A_ROW {
                        return Err(error);
                    }
                }
                Err(AttemptError::Refused(error)) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
