//! A strategy against a recorded table: what it would have chosen, and at what cost.

pub(crate) mod disturbance;
pub(crate) mod regret;
pub(crate) mod resolution;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) use disturbance::Disturbance;

#[cfg(test)]
use crate::tuner::strategy::Strategy;
use crate::tuner::strategy::{Entrant, Round, Timings};
use crate::tuner::table::{ArmResult, TimingTable};

/// Answers rounds from a table: each run is one of the arm's repeats, drawn with replacement.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    table: &'a TimingTable,
    rng: ChaCha8Rng,
    weather: disturbance::Weather,
    /// Time of all runs so far, microseconds.
    busy_us: f64,
    launches: u64,
}

impl<'a> Replay<'a> {
    /// A device that behaves as recorded but for `disturbance`; equal seeds answer equally.
    pub(crate) fn new(table: &'a TimingTable, disturbance: Disturbance, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weather = disturbance.weather(&mut rng);
        Self { table, rng, weather, busy_us: 0.0, launches: 0 }
    }

    /// Carry out `round`.
    pub(crate) fn answer(&mut self, round: &Round) -> Timings {
        let table = self.table;
        let began = self.busy_us;
        let answers = &table.answers[round.contest.index];
        let parts = |entrant: &Entrant| -> Vec<&ArmResult> {
            match entrant {
                Entrant::Single { slot, arm } => vec![&answers[*slot][*arm]],
                Entrant::Whole(choice) => {
                    choice.iter().enumerate().map(|(slot, &arm)| &answers[slot][arm]).collect()
                }
            }
        };
        let entrants: Vec<Vec<&ArmResult>> = round.entrants.iter().map(parts).collect();
        let mut failures = Vec::new();
        for (index, parts) in entrants.iter().enumerate() {
            if let Some(failure) = parts.iter().find_map(|answer| match answer {
                ArmResult::Failed(failure) => Some(*failure),
                ArmResult::Times(_) => None,
            }) {
                failures.push((index as u16, failure));
            }
        }
        let mut out: Vec<bool> = vec![false; entrants.len()];
        for (index, _) in &failures {
            out[usize::from(*index)] = true;
        }
        if round.warm_up {
            for (index, parts) in entrants.iter().enumerate() {
                if !out[index] {
                    self.run(parts);
                }
            }
        }
        let mut times_us = Vec::with_capacity(round.order.len());
        for &entrant in &round.order {
            let entrant = usize::from(entrant);
            if out[entrant] {
                times_us.push(None);
                continue;
            }
            let time = self.run(&entrants[entrant]);
            out[entrant] = round.abort_above_us.is_some_and(|above| time > above);
            times_us.push(Some(time));
        }
        Timings { times_us, failures, seconds: (self.busy_us - began) / 1e6 }
    }

    /// Time of all runs so far, warm-ups included, seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.busy_us / 1e6
    }

    /// Kernel launches so far, warm-ups included.
    pub(crate) fn launches(&self) -> u64 {
        self.launches
    }

    /// One run of parts that follow one another.
    fn run(&mut self, parts: &[&ArmResult]) -> f64 {
        let mut time = 0.0;
        for part in parts {
            let ArmResult::Times(times) = part else { continue };
            time += times[self.rng.random_range(0..times.len())];
            self.launches += 1;
        }
        let time = time * self.weather.factor(self.busy_us / 1e6);
        self.busy_us += time;
        time
    }
}

/// Let `strategy` ask until it has decided, one contest after another; all rounds with what came of them.
#[cfg(test)]
pub(crate) fn run(strategy: &mut dyn Strategy, replay: &mut Replay<'_>) -> Vec<(Round, Timings)> {
    let mut rounds = Vec::new();
    while let Some(&contest) = strategy.ready().first() {
        let mut run = strategy.begin(contest);
        while let Some(round) = run.next() {
            let timings = replay.answer(&round);
            run.observe(&round, &timings);
            rounds.push((round, timings));
        }
        strategy.end(run.finish());
    }
    rounds
}
