//! The first look: every candidate once, the promising ones twice more.
//!
//! One run says little, but it says it cheaply: most of a space is several times slower than its best.
//! A reference arm runs at both ends of every round, and times are taken relative to it, so that a clock
//! that sinks over the minutes of a screening does not favour what was timed first.

use std::collections::VecDeque;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::super::paired::quantile;
use super::super::{Contest, ContestId, Entrant, LogTimes, Round, RoutingSeed, Timings};

/// Candidates a round.
const CHUNK: usize = 32;
/// Runs of a candidate in the second pass.
const SECOND_RUNS: usize = 2;
/// Slower than the leader by more than this, a candidate's second run is not made.
const ABORT_FACTOR: f64 = 2.0;

/// The screening of one contest.
#[derive(Debug)]
pub(super) struct Screen {
    queue: VecDeque<(usize, usize)>,
    second: bool,
    round: u32,
    /// By slot, once known.
    references: Vec<Option<usize>>,
    /// Logarithms of the references' times with their rounds, by slot.
    reference_logs: Vec<Vec<(u32, f64)>>,
    /// Logarithms of times with their rounds, by slot and arm.
    logs: Vec<Vec<Vec<(u32, f64)>>>,
}

impl Screen {
    /// Screen `candidates` in this order.
    pub(super) fn new(contest: &Contest, candidates: Vec<(usize, usize)>) -> Self {
        Self {
            queue: candidates.into(),
            second: false,
            round: 0,
            references: match &contest.default {
                Some(default) => default.iter().copied().map(Some).collect(),
                None => vec![None; contest.slots.len()],
            },
            reference_logs: vec![Vec::new(); contest.slots.len()],
            logs: contest.slots.iter().map(|slot| vec![Vec::new(); slot.arms.len()]).collect(),
        }
    }

    /// The next round; none once the queue is empty.
    pub(super) fn next(&mut self, contest: ContestId, rng: &mut ChaCha8Rng) -> Option<Round> {
        let count = self.queue.len().min(CHUNK);
        if count == 0 {
            return None;
        }
        let mut arms: Vec<(usize, usize)> = self.queue.drain(..count).collect();
        let mut order = Vec::new();
        for _ in 0..if self.second { SECOND_RUNS } else { 1 } {
            let mut block: Vec<u16> = (0..count as u16).collect();
            block.shuffle(rng);
            order.extend(block);
        }
        let mut ends = Vec::new();
        for (slot, reference) in self.references.iter().enumerate() {
            let Some(arm) = *reference else { continue };
            let at = arms.iter().position(|it| *it == (slot, arm)).unwrap_or_else(|| {
                arms.push((slot, arm));
                arms.len() - 1
            });
            ends.push(at as u16);
        }
        let order = [&ends[..], &order[..], &ends[..]].concat();
        let abort_above_us = self.second.then(|| self.fastest_us()).flatten().map(|it| it * ABORT_FACTOR);
        Some(Round {
            contest,
            routing: RoutingSeed { skewed: false, seed: 0 },
            entrants: arms.into_iter().map(|(slot, arm)| Entrant::Single { slot, arm }).collect(),
            order,
            warm_up: self.second,
            abort_above_us,
        })
    }

    pub(super) fn observe(&mut self, round: &Round, timings: &Timings) {
        for (&entrant, time) in round.order.iter().zip(&timings.times_us) {
            let Entrant::Single { slot, arm } = round.entrants[usize::from(entrant)] else { continue };
            let Some(time) = time else { continue };
            self.logs[slot][arm].push((self.round, time.ln()));
            if self.references[slot] == Some(arm) {
                self.reference_logs[slot].push((self.round, time.ln()));
            }
        }
        for slot in 0..self.references.len() {
            let silent = self.reference_logs[slot].last().is_none_or(|(round, _)| *round != self.round);
            if silent {
                self.choose_reference(slot);
            }
        }
        self.round += 1;
    }

    /// Candidates for a second look are queued.
    pub(super) fn look_again(&mut self, candidates: Vec<(usize, usize)>) {
        self.second = true;
        self.queue = candidates.into();
    }

    /// The reference of each slot that has one.
    pub(super) fn references(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.references.iter().enumerate().filter_map(|(slot, arm)| Some((slot, (*arm)?)))
    }

    pub(super) fn is_second(&self) -> bool {
        self.second
    }

    /// Every arm's time by slot, as the logarithm of microseconds freed from drift; none where it never ran.
    pub(super) fn scores(&self) -> LogTimes {
        self.logs
            .iter()
            .zip(&self.reference_logs)
            .map(|(arms, reference)| free_of_drift(arms, reference))
            .collect()
    }

    /// The fastest arm so far takes over as the reference of `slot`.
    fn choose_reference(&mut self, slot: usize) {
        let fastest = self.logs[slot]
            .iter()
            .enumerate()
            .filter(|(_, logs)| !logs.is_empty())
            .min_by(|a, b| a.1[0].1.total_cmp(&b.1[0].1));
        self.references[slot] = fastest.map(|(arm, _)| arm);
        self.reference_logs[slot] = fastest.map(|(_, logs)| logs.clone()).unwrap_or_default();
    }

    /// The time of the slot whose fastest arm is the slowest: no arm of the race takes much longer.
    fn fastest_us(&self) -> Option<f64> {
        let by_slot =
            self.logs.iter().filter_map(|slot| slot.iter().flatten().map(|it| it.1).min_by(f64::total_cmp));
        by_slot.max_by(f64::total_cmp).map(f64::exp)
    }
}

/// Scores of one slot's arms: each run against what the reference took around it.
///
/// What disturbs a run makes it slower. So the fastest of an arm's few runs stands for it, and the lower
/// quartile of the reference's, where a median of six would be spoilt by three.
fn free_of_drift(arms: &[Vec<(u32, f64)>], reference: &[(u32, f64)]) -> Vec<Option<f64>> {
    let undisturbed = |runs: &[(u32, f64)]| {
        let mut logs: Vec<f64> = runs.iter().map(|it| it.1).collect();
        logs.sort_unstable_by(f64::total_cmp);
        quantile(&logs, 0.25)
    };
    let Some(usual) = undisturbed(reference) else { return vec![None; arms.len()] };
    let rounds = arms.iter().flatten().map(|it| it.0 + 1).max().unwrap_or(0);
    // Runs of the reference are in the order of their rounds.
    let around = |round: u32| {
        let from = reference.partition_point(|it| it.0 + 1 < round);
        let to = reference.partition_point(|it| it.0 <= round + 1);
        undisturbed(&reference[from..to]).unwrap_or(usual)
    };
    let around: Vec<f64> = (0..rounds).map(around).collect();
    let score = |runs: &Vec<(u32, f64)>| {
        runs.iter().map(|&(round, log)| log - around[round as usize] + usual).min_by(f64::total_cmp)
    };
    arms.iter().map(score).collect()
}
