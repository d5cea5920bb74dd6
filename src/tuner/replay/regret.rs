//! How far a strategy's choices are from the best, over many seeds.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::{Disturbance, Replay};
use crate::tuner::strategy::paired::quantile;
use crate::tuner::strategy::{Choice, Contest, Grounds, Method, StrategySpec};
use crate::tuner::table::{Statistic, TimingTable};

/// Kernel runs SGLang's tuner spends on one config and batch size: 1 to compile, 5 warm-up and 10 timed
/// replays of a graph of ten.
pub(crate) const STOCK_RUNS: u64 = 151;

/// One seed's outcome.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    /// By contest: the chosen time over the best, less one; none where nothing was chosen.
    pub regrets: Vec<Option<f64>>,
    /// Contests in which the default was replaced.
    pub adopted: usize,
    /// Time of all runs, seconds.
    pub seconds: f64,
    /// Kernel launches.
    pub launches: u64,
    /// Time the strategy itself took for its slowest decision, seconds.
    pub slowest_decision_s: f64,
    /// The same on average.
    pub mean_decision_s: f64,
}

/// A distribution of regrets, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Half are below.
    pub median: f64,
    /// One in twenty is above.
    pub p95: f64,
    /// The worst.
    pub max: f64,
}

/// Run `method` on `table` once for each seed, on all processors.
pub(crate) fn trials(
    table: &TimingTable,
    statistic: Statistic,
    disturbance: Disturbance,
    seeds: std::ops::Range<u64>,
    method: Method,
) -> Vec<Trial> {
    let best = best_us(table, statistic);
    let one = |seed: u64| {
        let mut strategy = StrategySpec { method, seed }.strategy(Arc::clone(&table.problem));
        // The device's dice are not the strategy's.
        let mut replay = Replay::new(table, disturbance, seed ^ 0x5eed_0f7e_c0de);
        let mut deciding = Deciding::default();
        while let Some(contest) = deciding.step(|| strategy.ready().first().copied()) {
            let mut run = deciding.step(|| strategy.begin(contest));
            while let Some(round) = deciding.step(|| run.next()) {
                let timings = replay.answer(&round);
                deciding.step(|| run.observe(&round, &timings));
                deciding.rounds += 1;
            }
            deciding.step(|| strategy.end(run.finish()));
        }
        let decisions = strategy.decisions();
        let regret = |(contest, best): (usize, &Option<f64>)| {
            let chosen = whole_us(table, contest, &decisions[contest].as_ref()?.choice, statistic)?;
            Some(chosen / (*best)? - 1.0)
        };
        let adopted = |it: &Grounds| matches!(it, Grounds::BeatsDefault(_));
        Trial {
            regrets: best.iter().enumerate().map(regret).collect(),
            adopted: decisions.iter().flatten().filter(|it| adopted(&it.grounds)).count(),
            seconds: replay.seconds(),
            launches: replay.launches(),
            slowest_decision_s: deciding.slowest_s,
            mean_decision_s: deciding.all_s / f64::from(deciding.rounds.max(1)),
        }
    };
    let seeds: Vec<u64> = seeds.collect();
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = seeds.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = seeds
            .chunks(share)
            .map(|seeds| scope.spawn(|| seeds.iter().map(|&seed| one(seed)).collect::<Vec<_>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Time a strategy takes for itself.
#[derive(Debug, Default)]
struct Deciding {
    all_s: f64,
    slowest_s: f64,
    rounds: u32,
}

impl Deciding {
    fn step<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = step();
        let took_s = began.elapsed().as_secs_f64();
        self.all_s += took_s;
        self.slowest_s = self.slowest_s.max(took_s);
        done
    }
}

/// The spread of the regrets `of` picks from each trial; none where there are none.
pub(crate) fn spread(trials: &[Trial], of: impl Fn(&Trial) -> Vec<f64>) -> Option<Spread> {
    let mut regrets: Vec<f64> = trials.iter().flat_map(of).collect();
    regrets.sort_by(f64::total_cmp);
    Some(Spread { median: quantile(&regrets, 0.5)?, p95: quantile(&regrets, 0.95)?, max: *regrets.last()? })
}

/// The least true time of a whole choice in each contest, microseconds.
fn best_us(table: &TimingTable, statistic: Statistic) -> Vec<Option<f64>> {
    let contest = |(contest, data): (usize, &Contest)| {
        let time = |slot: usize, arm: usize| table.answers[contest][slot][arm].true_us(statistic);
        let best = data.best_by(time)?;
        whole_us(table, contest, &best, statistic)
    };
    table.problem.contests.iter().enumerate().map(contest).collect()
}

fn whole_us(table: &TimingTable, contest: usize, choice: &Choice, statistic: Statistic) -> Option<f64> {
    let time = |(slot, &arm): (usize, &usize)| table.answers[contest][slot][arm].true_us(statistic);
    choice.iter().enumerate().map(time).sum()
}
