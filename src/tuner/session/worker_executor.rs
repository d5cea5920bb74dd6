//! A node whose work is done by workers that speak the protocol: one that compiles, one that times.

use std::collections::BTreeSet;

use futures_util::future::{BoxFuture, FutureExt};

use super::gpu::TimingHalf;
use crate::tuner::fleet::executor::{Executor, OnMoved, OnResult, Trouble, none_moves};
use crate::worker::protocol::{GiveOutcome, PackedUnit, TakeOutcome, TimingRequest, Unit};
use crate::worker::timing::{Timed, Timer};
use crate::worker::{BatchEnd, BinaryStore, CompileJob, CompileWorker, WorkerError};

/// Bytes of binaries that are handed over in one request, where they are more than one: a line has to hold them all, with
/// their units.
const REQUEST: usize = 1 << 20;

/// The workers of one node.
#[derive(Debug)]
pub(super) struct WorkerExecutor {
    compiler: CompileWorker,
    timing: TimingHalf,
    job: CompileJob,
    store: Option<BinaryStore>,
}

impl WorkerExecutor {
    /// Binaries go to `store`, and come from it.
    pub(super) fn new(
        compiler: CompileWorker,
        timing: TimingHalf,
        job: CompileJob,
        store: Option<BinaryStore>,
    ) -> Self {
        Self { compiler, timing, job, store }
    }

    /// Hand the worker the binaries of `packed`; the units that it said nothing of go to `on_taken` where it cannot go on.
    async fn hand_over(&mut self, packed: Vec<PackedUnit>, on_taken: OnMoved<'_>) -> Result<(), Trouble> {
        let mut left: BTreeSet<String> = packed.iter().map(|it| it.unit.unit.clone()).collect();
        let tell = |unit: &Unit, outcome| {
            left.remove(&unit.unit);
            on_taken(
                &unit.unit,
                match outcome {
                    TakeOutcome::Taken => Ok(()),
                    TakeOutcome::Failed { message } => Err(message),
                },
            );
        };
        let end = self.compiler.take_batch(&self.job, packed, tell).await;
        moved(end, left, on_taken)
    }
}

/// What follows from the end of a batch of which these units are `left`. One that the worker refuses as a whole is no
/// trouble: the binaries are made in another way.
fn moved(end: BatchEnd, left: BTreeSet<String>, on_moved: OnMoved<'_>) -> Result<(), Trouble> {
    match end {
        BatchEnd::Refused(error) => {
            let why = error.to_string();
            left.iter().for_each(|unit| on_moved(unit, Err(why.clone())));
            Ok(())
        }
        end => ended(end),
    }
}

fn ended(end: BatchEnd) -> Result<(), Trouble> {
    match end {
        BatchEnd::Done => Ok(()),
        // After its last result: nothing is missing, and the next batch gets another worker.
        BatchEnd::Died { suspects: left, .. } | BatchEnd::Lost { left, .. } if left.is_empty() => Ok(()),
        BatchEnd::Died { ending, log, .. } => Err(Trouble::Died(WorkerError::Died { ending, log })),
        BatchEnd::Lost { why, .. } => Err(Trouble::Lost(why)),
        BatchEnd::Refused(error) => Err(Trouble::Unfit(error)),
    }
}

impl Executor for WorkerExecutor {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let tell = |unit: &Unit, outcome| on_result(&unit.unit, outcome);
            ended(self.compiler.compile_batch(&self.job, batch, tell).await)
        }
        .boxed()
    }

    fn give<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_given: OnMoved<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let Some(store) = self.store.clone() else { return none_moves(batch, on_given) };
        async move {
            let mut left: BTreeSet<String> = batch.iter().map(|unit| unit.unit.clone()).collect();
            let tell = |unit: &Unit, outcome| {
                left.remove(&unit.unit);
                let ended = match outcome {
                    GiveOutcome::Given { binary } => {
                        store.put(unit, &binary).map_err(|error| format!("cannot keep it: {error}"))
                    }
                    GiveOutcome::Failed { message } => Err(message),
                };
                on_given(&unit.unit, ended);
            };
            let end = self.compiler.give_batch(&self.job, batch, tell).await;
            moved(end, left, on_given)
        }
        .boxed()
    }

    fn take<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_taken: OnMoved<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let Some(store) = self.store.clone() else { return none_moves(batch, on_taken) };
        async move {
            let (mut packed, mut bytes) = (Vec::new(), 0);
            for unit in batch {
                let Some(binary) = store.get(unit) else {
                    on_taken(&unit.unit, Err("it is not whole any more on this machine".to_owned()));
                    continue;
                };
                if bytes + binary.content.len() > REQUEST && !packed.is_empty() {
                    self.hand_over(std::mem::take(&mut packed), on_taken).await?;
                    bytes = 0;
                }
                bytes += binary.content.len();
                packed.push(PackedUnit { unit: unit.clone(), binary });
            }
            match packed.is_empty() {
                true => Ok(()),
                false => self.hand_over(packed, on_taken).await,
            }
        }
        .boxed()
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async move {
            let TimingHalf::Ready(timer) = &mut self.timing else {
                let (code, message) =
                    ("no_gpu".to_owned(), "this node was not made ready to time".to_owned());
                return Err(Trouble::Unfit(WorkerError::Refused { code, message }));
            };
            timer.time(request).await.map_err(|error| match error {
                // One that talks nonsense was ended for it. The next may do better.
                WorkerError::Died { .. } | WorkerError::Garbled { .. } | WorkerError::LineTooLong { .. } => {
                    Trouble::Died(error)
                }
                // As with a batch: a worker that does not start again is nobody's fault.
                WorkerError::Host(_) | WorkerError::NoHello { .. } => Trouble::Lost(error),
                error if error.is_loss() => Trouble::Lost(error),
                error => Trouble::Unfit(error),
            })
        }
        .boxed()
    }

    fn ready<'a>(
        &'a mut self,
        tell: &'a mut (dyn FnMut(String) + Send),
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            if let TimingHalf::Awaited(gpu) = &mut self.timing {
                let timer = gpu.wait(&mut self.compiler, tell).await.map_err(Trouble::Unfit)?;
                self.timing = TimingHalf::Ready(timer);
                return Ok(());
            }
            self.compiler.answers().await.map_err(|error| match error {
                WorkerError::Host(_) | WorkerError::NoHello { .. } => Trouble::Lost(error),
                error if error.is_loss() => Trouble::Lost(error),
                error => Trouble::Unfit(error),
            })
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            let Self { compiler, timing, job: _, store: _ } = *self;
            let timer = async {
                if let TimingHalf::Ready(timer) = timing {
                    timer.stop().await;
                }
            };
            tokio::join!(compiler.stop(), timer);
        }
        .boxed()
    }
}
