//! One node of a fleet: a task that owns its worker, does what it is ordered and says what came of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::executor::{Executor, Trouble};
use crate::host_name::HostName;
use crate::tuner::schedule::{Able, UnitIndex};
use crate::worker::protocol::{CompileOutcome, GpuReport, TimingRequest, Unit};
use crate::worker::timing::Timed;
use crate::worker::{BinaryStore, CompilerIdentity, ResultCache, WorkerError};

/// A lost link is tried again after this long, then after twice that, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Links lost in a row, with nothing heard in between, after which others get a node's work.
const LOSSES_IN_A_ROW: u32 = 4;
/// One that was given up as lost is looked for after this long, then after twice that, up to once a minute.
const FIRST_LOOK: Duration = Duration::from_secs(8);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Times that such a node is taken back without a word of its work in between.
const RETURNS_IN_A_ROW: u32 = 3;
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
    /// Who else uses its GPU, where it waits for that to end before it works.
    pub waits: Option<String>,
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

impl Ordered {
    /// Kernels of a batch; none of a round.
    pub(super) fn kernels(&self) -> Option<u32> {
        match self {
            Ordered::Compile(batch) | Ordered::Give(batch) | Ordered::Take(batch) => {
                Some(u32::try_from(batch.len()).unwrap_or(u32::MAX))
            }
            Ordered::Time(_) => None,
        }
    }
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
    /// It waits for its GPU, which others use like this.
    Waits(String),
    /// After trouble or waiting: it can go on.
    Back,
    /// After trouble: it is looked for. Others do its work.
    OutOfReach,
    /// After trouble: it cannot go on.
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
    waits: bool,
    stop: CancellationToken,
) {
    let mut voice = Voice { from, order: 0, mailbox };
    tokio::select! {
        () = work(executor.as_mut(), &mut voice, &mut orders, waits) => {}
        () = stop.cancelled() => {}
    }
    executor.close().await;
}

/// Do what is ordered; it may be given up anywhere.
async fn work(
    executor: &mut dyn Executor,
    voice: &mut Voice,
    orders: &mut UnboundedReceiver<Order>,
    waits: bool,
) {
    if waits {
        match executor.ready(&mut |why| voice.say(Said::Waits(why))).await {
            Ok(()) => voice.say(Said::Back),
            Err(trouble) => {
                voice.say(Said::Trouble(Trouble::Unfit(trouble.into_error())));
                return voice.say(Said::Gone);
            }
        }
    }
    let (mut losses, mut deaths, mut returns) = (0, 0, 0);
    while let Some(Order { number, work }) = orders.recv().await {
        voice.order = number;
        let mut heard = false;
        let done = carry_out(executor, work, voice, &mut heard).await;
        if heard || done.is_ok() {
            (losses, deaths, returns) = (0, 0, 0);
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
        let then = match &trouble {
            Trouble::Died(_) => Then::Pause(Duration::ZERO),
            Trouble::Lost(_) => {
                losses += 1;
                match losses < LOSSES_IN_A_ROW {
                    true => Then::Pause(FIRST_PAUSE * (1 << (losses - 1))),
                    false if returns < RETURNS_IN_A_ROW => Then::LookFor,
                    false => Then::GiveUp,
                }
            }
            Trouble::Unfit(_) => Then::GiveUp,
        };
        voice.say(Said::Trouble(trouble));
        match then {
            Then::Pause(pause) => sleep(pause).await,
            Then::LookFor => {
                voice.say(Said::OutOfReach);
                if !comes_back(executor).await {
                    return voice.say(Said::Gone);
                }
                (losses, returns) = (0, returns + 1);
            }
            Then::GiveUp => return voice.say(Said::Gone),
        }
        voice.say(Said::Back);
    }
}

/// What a node does after trouble.
enum Then {
    Pause(Duration),
    LookFor,
    GiveUp,
}

/// Look for a node that is out of reach. Whether it can work again.
async fn comes_back(executor: &mut dyn Executor) -> bool {
    let mut pause = FIRST_LOOK;
    loop {
        sleep(pause).await;
        match executor.ready(&mut |_| {}).await {
            Ok(()) => return true,
            Err(Trouble::Lost(_)) => pause = (2 * pause).min(LONGEST_PAUSE),
            Err(Trouble::Died(_) | Trouble::Unfit(_)) => return false,
        }
    }
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
