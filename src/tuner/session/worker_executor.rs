//! A node whose work is done by workers that speak the protocol: one that compiles, one that times.

use futures_util::future::{BoxFuture, FutureExt};

use super::gpu::TimingHalf;
use crate::tuner::fleet::executor::{Executor, OnResult, Trouble};
use crate::worker::protocol::{TimingRequest, Unit};
use crate::worker::timing::{Timed, Timer};
use crate::worker::{BatchEnd, CompileJob, CompileWorker, WorkerError};

/// The workers of one node.
#[derive(Debug)]
pub(super) struct WorkerExecutor {
    compiler: CompileWorker,
    timing: TimingHalf,
    job: CompileJob,
}

impl WorkerExecutor {
    pub(super) fn new(compiler: CompileWorker, timing: TimingHalf, job: CompileJob) -> Self {
        Self { compiler, timing, job }
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
            match self.compiler.compile_batch(&self.job, batch, tell).await {
                BatchEnd::Done => Ok(()),
                // After its last result: nothing is missing, and the next batch gets another worker.
                BatchEnd::Died { suspects: left, .. } | BatchEnd::Lost { left, .. } if left.is_empty() => {
                    Ok(())
                }
                BatchEnd::Died { ending, log, .. } => Err(Trouble::Died(WorkerError::Died { ending, log })),
                BatchEnd::Lost { why, .. } => Err(Trouble::Lost(why)),
                BatchEnd::Refused(error) => Err(Trouble::Unfit(error)),
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
            let Self { compiler, timing, job: _ } = *self;
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
