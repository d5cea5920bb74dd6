//! How busy a fleet keeps its nodes, on a clock that is the same every time; and, as a benchmark, what that costs here:
//!
//!     cargo test --release --lib tuner::session::speed -- --ignored --nocapture
//!
//! Workers are look-alikes in this process that speak the real protocol; they "compile" one unit at a time, for as long as
//! its tile says, on a clock that leaps whenever nobody has anything to do. The processor's time is real, and theirs too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gpu::TimingHalf;
use super::worker_executor::WorkerExecutor;
use crate::events::{CompileEvent, Event, EventOrigin, Observer, What};
use crate::host::HostPath;
use crate::host_name::HostName;
use crate::kernel::space;
use crate::shape::{Dtype, MoeShape, Quantization, Role, Tile};

use crate::tuner::fleet::{Fleet, Ledger, Node};
use crate::tuner::schedule::Able;
use crate::worker::look_alike::{self, Reaction};
use crate::worker::protocol::{CompileTarget, LaunchShape, Unit};
use crate::worker::{CompileJob, CompileWorker};

const NODES: usize = 64;

/// About what Triton takes, which unrolls the accumulator tiles.
fn takes(tile: &Tile) -> Duration {
    let unrolled = tile.block_size_m * tile.block_size_n * tile.num_stages;
    Duration::from_secs_f64(0.5 + 8.0 * f64::from(unrolled) / f64::from(256 * 256 * 5))
}

/// Who ended what, and when.
struct Ends {
    began: Instant,
    of: BTreeMap<HostName, Vec<(Duration, Duration)>>,
}

impl Observer for Ends {
    fn on(&mut self, event: &Event) {
        if let (EventOrigin::Host(node), What::Compile(CompileEvent::Ended { tile, .. })) =
            (&event.from, &event.what)
        {
            self.of.entry(node.clone()).or_default().push((self.began.elapsed(), takes(tile)));
        }
    }
}

impl Ends {
    /// The share of all nodes' time that was work, until the first of them had nothing left and until the end.
    fn busy(&self) -> [f64; 2] {
        let last = |ends: &Vec<(Duration, Duration)>| ends.last().map_or(Duration::ZERO, |(end, _)| *end);
        let first_idle = self.of.values().map(last).min().unwrap_or_default();
        let end = self.of.values().map(last).max().unwrap_or_default();
        [first_idle, end].map(|until| {
            let worked = |(end, took): &(Duration, Duration)| {
                let began = end.saturating_sub(*took);
                end.min(&until).saturating_sub(began).as_secs_f64()
            };
            let worked: f64 = self.of.values().flatten().map(worked).sum();
            worked / (until.as_secs_f64() * NODES as f64)
        })
    }
}

async fn node(at: usize, durations: &Arc<BTreeMap<String, Duration>>) -> Node {
    let durations = durations.clone();
    let behaviour = move |unit: &str| {
        let tile = unit.rsplit_once(" #").map_or(unit, |(tile, _)| tile);
        Reaction::Ends(durations[tile])
    };
    let name = format!("spark-{at}");
    let (_, starter) = look_alike::host(&name, Arc::new(behaviour));
    let compiler = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    let identity = compiler.identity().clone();
    let job = CompileJob {
        target: CompileTarget { arch: "sm_121a".into(), capability: 121 },
        shape: LaunchShape::new(&MoeShape::glm(Quantization::none(Dtype::Bfloat16), 0), 1),
        jobs: 1,
        timeout_s: 300,
        kernel_cache: None,
    };
    Node {
        name: name.parse().unwrap(),
        able: Able { jobs: 1, times: false },
        compiler: identity,
        gpu: None,
        kept: None,
        lasting: true,
        waits: None,
        store: None,
        executor: Box::new(WorkerExecutor::new(compiler, TimingHalf::None, job, None)),
    }
}

/// Processor time of this process, seconds, and what of it lies in memory, MiB (proc_pid_stat(5), in pages of 4 KiB and
/// ticks of 10 ms).
fn spent() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let number = |field: usize| fields[field - 3].parse::<f64>().unwrap();
    ((number(14) + number(15)) / 100.0, number(24) * 4096.0 / f64::from(1 << 20))
}

/// Sixty-four nodes.
struct Cluster {
    fleet: Fleet,
    tiles: Vec<Tile>,
}

impl Cluster {
    async fn new() -> Self {
        let tiles = space::tiles(&space::configs(&Quantization::none(Dtype::Bfloat16)));
        let of_tile = |tile: &Tile| (Unit::of(Role::Up, tile).unit, takes(tile));
        let durations = Arc::new(tiles.iter().map(of_tile).collect());
        let mut nodes = Vec::new();
        for at in 0..NODES {
            nodes.push(node(at, &durations).await);
        }
        Self { fleet: Fleet::assemble(nodes, "sm_121a", CancellationToken::new()), tiles }
    }

    /// So many units are compiled, whose names say in which `turn`: the shares of [`Ends::busy`].
    async fn compile(&mut self, turn: usize, units: usize) -> [f64; 2] {
        let unit = |at: usize| {
            let unit = Unit::of(Role::Up, &self.tiles[at % self.tiles.len()]);
            Unit { unit: format!("{} #{turn}-{at}", unit.unit), ..unit }
        };
        let mut ends = Ends { began: Instant::now(), of: BTreeMap::new() };
        let mut ledger = Ledger { run: None, observer: &mut ends };
        let outcomes = self.fleet.outcomes((0..units).map(unit).collect(), &mut ledger).await.unwrap();
        assert_eq!(outcomes.len(), units);
        ends.busy()
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_nodes_are_busy_until_the_last_units() {
    let [until_idle, until_end] = Cluster::new().await.compile(0, 4_000).await;
    assert!(until_idle > 0.99 && until_end > 0.95, "{until_idle} and {until_end}");
}

#[tokio::test(start_paused = true)]
#[ignore = "a benchmark: the top of this file says how to run it"]
#[allow(clippy::disallowed_macros, reason = "figures are for whoever runs it")]
async fn a_hundred_thousand_units() {
    /// Units of each turn, which is more than any run has.
    const TURN: usize = 20_000;
    let mut cluster = Cluster::new().await;
    for turn in 0..5 {
        let (before, _) = spent();
        let [until_idle, until_end] = cluster.compile(turn, TURN).await.map(|share| share * 100.0);
        let (cpu, memory) = spent();
        println!(
            "{} units on {NODES} nodes: busy {until_idle:.2} % until the first had nothing left, {until_end:.2} % to \
             the end; {:.3} ms of processor a unit, look-alikes included; {memory:.1} MiB",
            (turn + 1) * TURN,
            (cpu - before) * 1e3 / TURN as f64,
        );
    }
}
