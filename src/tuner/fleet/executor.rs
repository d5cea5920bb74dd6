//! What a node does for a fleet: it compiles batches and times rounds, one thing at a time.

use futures_util::future::{BoxFuture, FutureExt};

use crate::worker::WorkerError;
use crate::worker::protocol::{CompileOutcome, TimingRequest, Unit};
use crate::worker::timing::Timed;

/// Hears of each unit by its name, as it ends.
pub(crate) type OnResult<'a> = &'a mut (dyn FnMut(&str, CompileOutcome) + Send);

/// Hears of each unit by its name, as its binary is given or taken, or why it is not.
pub(crate) type OnMoved<'a> = &'a mut (dyn FnMut(&str, Result<(), String>) + Send);

/// The worker of a node, wherever it runs. A worker that died is started again by the next call.
pub(crate) trait Executor: Send {
    /// Compile `batch` on one worker. On [`Trouble`] what was not heard of has no result.
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Give the binaries of `batch`, which this node has, to whoever takes them; each unit is heard of. One that keeps no
    /// binaries gives none.
    fn give<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_given: OnMoved<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        none_moves(batch, on_given)
    }

    /// Take binaries of `batch` that others gave; likewise.
    fn take<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_taken: OnMoved<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        none_moves(batch, on_taken)
    }

    /// Time what `request` names.
    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>>;

    /// Wait until the node can work: until nobody else uses its GPU, where it has to wait for that, and `tell` hears for
    /// whom; else until a worker of it answers.
    fn ready<'a>(
        &'a mut self,
        _tell: &'a mut (dyn FnMut(String) + Send),
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        std::future::ready(Ok(())).boxed()
    }

    /// End the worker and all it started.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// The answer of a node that keeps no binaries.
pub(crate) fn none_moves<'a>(batch: &'a [Unit], on_moved: OnMoved<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
    batch.iter().for_each(|unit| on_moved(&unit.unit, Err("no binaries are kept there".to_owned())));
    std::future::ready(Ok(())).boxed()
}

/// Why a node could not do what it was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Its worker ended in the middle: what it was at may be the reason. Where that goes on without a result, the node
    /// is the reason, and is given up.
    Died(WorkerError),
    /// Nothing is heard of it. Nobody's fault.
    Lost(WorkerError),
    /// It cannot work for this run at all.
    Unfit(WorkerError),
}

impl Trouble {
    /// What was noticed.
    pub(crate) fn into_error(self) -> WorkerError {
        match self {
            Trouble::Died(error) | Trouble::Lost(error) | Trouble::Unfit(error) => error,
        }
    }
}
