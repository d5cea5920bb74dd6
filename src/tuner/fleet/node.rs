//! One node of a fleet: a task that owns its worker, does what it is ordered and says what came of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::executor::{Executor, Trouble};
use crate::host_name::HostName;
use crate::tuner::schedule::{Able, UnitIndex};
use crate::worker::protocol::{CompileOutcome, GpuReport, TimingRequest, Unit};
use crate::worker::timing::Timed;
use crate::worker::{BinaryStore, CompilerIdentity, ResultCache, WorkerError};

/// A lost link is tried again after this long, then after twice that, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Links lost in a row, with nothing heard in between, after which a node is given up.
const LOSSES_IN_A_ROW: u32 = 4;
/// Workers that died in a row, with nothing heard in between, after which a node is given up: a node where no worker
/// lives would go through two for every kernel. Kernels that take their workers along look the same, and there five
/// of them come first.
const DEATHS_IN_A_ROW: u32 = 16;

/// A node that is ready to work.
pub(crate) struct Node {
    /// Its name.
    pub name: HostName,
    /// What it can do.
    pub able: Able,
    /// What it compiles with.
    pub compiler: CompilerIdentity,
    /// The GPU it times on; none where it only compiles.
    pub gpu: Option<GpuReport>,
    /// Results of earlier runs that hold for this node.
    pub kept: Option<ResultCache>,
    /// Whether it still has the binaries that it made in earlier sessions.
    pub lasting: bool,
    /// Where the binaries lie that nodes like it gave; none where nothing is launched.
    pub store: Option<BinaryStore>,
    /// Its worker.
    pub executor: Box<dyn Executor>,
}

/// What a node is told to do, by the fleet's own count of its orders.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) work: Ordered,
}

#[derive(Debug)]
pub(super) enum Ordered {
    /// Compile these together.
    Compile(Vec<(UnitIndex, Unit)>),
    /// Give the binaries of these.
    Give(Vec<(UnitIndex, Unit)>),
    /// Take the binaries of these.
    Take(Vec<(UnitIndex, Unit)>),
    /// Time these arms.
    Time(TimingRequest),
}

/// A word from a node, about its order of this number. What is said of another order than its last is stale: the
/// fleet has given that one up.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) from: HostName,
    pub(super) order: u64,
    pub(super) said: Said,
}

/// What a node says.
#[derive(Debug)]
pub(super) enum Said {
    /// A unit ended.
    Compiled { unit: UnitIndex, outcome: CompileOutcome },
    /// A unit's binary was given, or why it was not.
    Given { unit: UnitIndex, ended: Result<(), String> },
    /// A unit's binary was taken, or why it was not.
    Taken { unit: UnitIndex, ended: Result<(), String> },
    /// Every unit of the batch ended.
    BatchEnded,
    /// The round was timed, in so many seconds.
    Timed { timed: Timed, seconds: f64 },
    /// It could not do it.
    Trouble(Trouble),
    /// After trouble: it can go on.
    Back,
    /// After trouble: it cannot.
    Gone,
}

/// Where a node's letters go. A node whose task panics says so with its last breath.
struct Voice {
    from: HostName,
    order: u64,
    mailbox: UnboundedSender<Letter>,
}

impl Voice {
    fn say(&self, said: Said) {
        // The fleet outlives its nodes; where it does not, nobody listens.
        let _ = self.mailbox.send(Letter { from: self.from.clone(), order: self.order, said });
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the task that speaks with it panicked: a fault of this program".to_owned();
            self.say(Said::Trouble(Trouble::Unfit(WorkerError::Lost { on: self.from.clone(), why })));
            self.say(Said::Gone);
        }
    }
}

/// The node's life: until `stop`, its orders end, or it is in too much trouble.
pub(super) async fn serve(
    from: HostName,
    mut executor: Box<dyn Executor>,
    mut orders: UnboundedReceiver<Order>,
    mailbox: UnboundedSender<Letter>,
    stop: CancellationToken,
) {
    let mut voice = Voice { from, order: 0, mailbox };
    let (mut losses, mut deaths) = (0, 0);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = stop.cancelled() => None,
        };
        let Some(Order { number, work }) = order else { break };
        voice.order = number;
        let mut heard = false;
        let done = tokio::select! {
            done = carry_out(executor.as_mut(), work, &voice, &mut heard) => done,
            () = stop.cancelled() => break,
        };
        if heard || done.is_ok() {
            (losses, deaths) = (0, 0);
        }
        let Err(mut trouble) = done else { continue };
        if let Trouble::Died(last) = trouble {
            deaths += 1;
            trouble = match deaths < DEATHS_IN_A_ROW {
                true => Trouble::Died(last),
                false => {
                    let (on, last) = (voice.from.clone(), Box::new(last));
                    Trouble::Unfit(WorkerError::AlwaysDies { on, deaths, last })
                }
            };
        }
        let pause = match &trouble {
            Trouble::Died(_) => Some(Duration::ZERO),
            Trouble::Lost(_) => {
                losses += 1;
                (losses < LOSSES_IN_A_ROW).then(|| FIRST_PAUSE * (1 << (losses - 1)))
            }
            Trouble::Unfit(_) => None,
        };
        voice.say(Said::Trouble(trouble));
        let Some(pause) = pause else {
            voice.say(Said::Gone);
            break;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => voice.say(Said::Back),
            () = stop.cancelled() => break,
        }
    }
    executor.close().await;
}

async fn carry_out(
    executor: &mut dyn Executor,
    work: Ordered,
    voice: &Voice,
    heard: &mut bool,
) -> Result<(), Trouble> {
    match work {
        Ordered::Compile(batch) => {
            let (mut tell, units) = Telling::of(batch, voice, heard);
            let mut on_result =
                |name: &str, outcome| tell.of_unit(name, |unit| Said::Compiled { unit, outcome });
            executor.compile(&units, &mut on_result).await?;
            voice.say(Said::BatchEnded);
        }
        Ordered::Give(batch) => {
            let (mut tell, units) = Telling::of(batch, voice, heard);
            let mut on_given = |name: &str, ended| tell.of_unit(name, |unit| Said::Given { unit, ended });
            executor.give(&units, &mut on_given).await?;
            voice.say(Said::BatchEnded);
        }
        Ordered::Take(batch) => {
            let (mut tell, units) = Telling::of(batch, voice, heard);
            let mut on_taken = |name: &str, ended| tell.of_unit(name, |unit| Said::Taken { unit, ended });
            executor.take(&units, &mut on_taken).await?;
            voice.say(Said::BatchEnded);
        }
        Ordered::Time(request) => {
            let began = Instant::now();
            let timed = executor.time(&request).await?;
            voice.say(Said::Timed { timed, seconds: began.elapsed().as_secs_f64() });
        }
    }
    Ok(())
}

/// Tells of the units of a batch, by their names.
struct Telling<'a> {
    indices: HashMap<String, UnitIndex>,
    voice: &'a Voice,
    heard: &'a mut bool,
}

impl<'a> Telling<'a> {
    fn of(batch: Vec<(UnitIndex, Unit)>, voice: &'a Voice, heard: &'a mut bool) -> (Self, Vec<Unit>) {
        let indices = batch.iter().map(|(at, unit)| (unit.unit.clone(), *at)).collect();
        (Self { indices, voice, heard }, batch.into_iter().map(|(_, unit)| unit).collect())
    }

    /// A unit that the batch does not hold is a late answer to a request given up.
    fn of_unit(&mut self, name: &str, said: impl FnOnce(UnitIndex) -> Said) {
        if let Some(at) = self.indices.get(name) {
            *self.heard = true;
            self.voice.say(said(*at));
        }
    }
}
