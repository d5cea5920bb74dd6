//! Successive elimination: the arms still in the race, and what their paired runs say.
//!
//! A block runs every arm once, in random order, on one routing. Two arms are compared only over blocks
//! both ran in, as the logarithm of the ratio of what a whole choice would take with either: an arm that
//! is slow in a slot that hardly matters is not dropped for it.

use super::super::paired::{Interval, Level, median, trimmed_mean};
use super::super::{Choice, Contest, Entrant, Round, Timings};

/// One arm that is raced.
#[derive(Debug, Clone)]
struct Candidate {
    slot: usize,
    arm: usize,
    link: u32,
    survives: bool,
    /// Microseconds by block; NaN where it did not run.
    times: Vec<f64>,
}

/// A race by successive elimination.
#[derive(Debug)]
pub(super) struct Elimination {
    candidates: Vec<Candidate>,
    /// By slot, the candidate that all others of the slot are levelled against; it runs on even if it is out.
    pivots: Vec<usize>,
    blocks: usize,
    slots: usize,
}

impl Elimination {
    /// A race of `arms`, the fastest so far first.
    pub(super) fn new(contest: &Contest, arms: &[(usize, usize)]) -> Self {
        let slots = contest.slots.len();
        let mut race = Self { candidates: Vec::new(), pivots: Vec::new(), blocks: 0, slots };
        for &(slot, arm) in arms {
            race.join(contest, slot, arm);
        }
        for slot in 0..slots {
            let first = race.candidates.iter().position(|candidate| candidate.slot == slot);
            race.pivots.push(first.unwrap_or(0));
        }
        race
    }

    /// An arm joins; it is judged over the blocks it runs in.
    pub(super) fn join(&mut self, contest: &Contest, slot: usize, arm: usize) {
        if self.candidates.iter().all(|candidate| (candidate.slot, candidate.arm) != (slot, arm)) {
            let link = contest.arm(slot, arm).link;
            let times = vec![f64::NAN; self.blocks];
            self.candidates.push(Candidate { slot, arm, link, survives: true, times });
        }
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn surviving(&self) -> usize {
        self.candidates.iter().filter(|candidate| candidate.survives).count()
    }

    /// Who runs in the next round.
    pub(super) fn entrants(&self) -> Vec<Entrant> {
        self.running().map(|at| self.entrant(at)).collect()
    }

    /// Keep what a round of whole blocks brought.
    pub(super) fn observe(&mut self, round: &Round, timings: &Timings) {
        let running: Vec<usize> = self.running().collect();
        let block_len = round.entrants.len();
        for (order, times) in round.order.chunks(block_len).zip(timings.times_us.chunks(block_len)) {
            for candidate in &mut self.candidates {
                candidate.times.push(f64::NAN);
            }
            for (&entrant, time) in order.iter().zip(times) {
                let candidate = running.get(usize::from(entrant)).map(|&at| &mut self.candidates[at]);
                if let (Some(time), Some(candidate)) = (time, candidate) {
                    candidate.times[self.blocks] = *time;
                }
            }
            self.blocks += 1;
        }
        for (entrant, _) in &timings.failures {
            if let Some(&candidate) = running.get(usize::from(*entrant)) {
                self.candidates[candidate].survives = false;
                self.replace_pivot(candidate);
            }
        }
    }

    /// The best choice by the levels so far.
    pub(super) fn best(&self) -> Option<Choice> {
        self.ranked(1).into_iter().next()
    }

    /// The `count` best choices by the sum of their arms' levels, best first.
    pub(super) fn ranked(&self, count: usize) -> Vec<Choice> {
        self.ranked_with_log_ratio(count).into_iter().map(|it| it.0).collect()
    }

    /// The same, each with the logarithm of what it takes over the best.
    pub(super) fn ranked_with_log_ratio(&self, count: usize) -> Vec<(Choice, f64)> {
        let levels = self.levels();
        let mut partial: Vec<(Vec<usize>, u32, f64)> = vec![];
        for slot in 0..self.slots {
            let arms: Vec<_> = (0..self.candidates.len())
                .filter(|&at| self.candidates[at].survives && self.candidates[at].slot == slot)
                .filter_map(|at| Some((at, self.candidates[at].link, levels[at]?)))
                .collect();
            partial = if slot == 0 {
                arms.into_iter().map(|(at, link, level)| (vec![at], link, level)).collect()
            } else {
                partial
                    .iter()
                    .flat_map(|(choice, link, sum)| {
                        arms.iter()
                            .filter(move |it| it.1 == *link)
                            .map(move |(at, _, level)| ([&choice[..], &[*at]].concat(), *link, sum + level))
                    })
                    .collect()
            };
        }
        partial.sort_by(|a, b| a.2.total_cmp(&b.2));
        let arms = |choice: Vec<usize>| choice.into_iter().map(|at| self.candidates[at].arm).collect();
        let fastest = partial.first().map_or(1.0, |it| it.2);
        let with_ratio = |(choice, _, sum): (_, _, f64)| (arms(choice), (sum / fastest).ln());
        partial.into_iter().take(count).map(with_ratio).collect()
    }

    /// Drop every arm whose best whole choice is slower than the best of all by more than `deficit` (in
    /// logarithms), where the interval at `level` leaves no doubt that it is slower. How many were.
    pub(super) fn eliminate(&mut self, level: &Level, deficit: f64) -> usize {
        let levels = self.levels();
        let Some(best) = self.best() else { return 0 };
        let best: Vec<usize> =
            best.iter().enumerate().filter_map(|(slot, &arm)| self.find(slot, arm)).collect();
        let mut losers = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            if !candidate.survives || best.contains(&at) {
                continue;
            }
            let mut whole = vec![at];
            let mut complete = true;
            for slot in (0..self.slots).filter(|&slot| slot != candidate.slot) {
                let partner = (0..self.candidates.len())
                    .filter(|&it| {
                        let it = &self.candidates[it];
                        it.survives && it.slot == slot && it.link == candidate.link
                    })
                    .filter_map(|it| Some((it, levels[it]?)))
                    .min_by(|a, b| a.1.total_cmp(&b.1));
                match partner {
                    Some((it, _)) => whole.push(it),
                    None => complete = false,
                }
            }
            let lost = |it: Interval| it.lower > 0.0 && it.estimate > deficit;
            if !complete || self.compare(&whole, &best, level).is_some_and(lost) {
                losers.push(at);
            }
        }
        for &at in &losers {
            self.candidates[at].survives = false;
        }
        losers.len()
    }

    /// The arms of every surviving candidate, by slot and arm.
    pub(super) fn survivors(&self) -> Vec<(usize, usize)> {
        self.candidates
            .iter()
            .filter(|candidate| candidate.survives)
            .map(|candidate| (candidate.slot, candidate.arm))
            .collect()
    }

    /// The usual time of every arm that ran here, microseconds, with its slot and index.
    pub(super) fn levels_us(&self) -> Vec<(usize, usize, f64)> {
        let of =
            |(candidate, level): (&Candidate, Option<f64>)| Some((candidate.slot, candidate.arm, level?));
        self.candidates.iter().zip(self.levels()).filter_map(of).collect()
    }

    /// Whether the arm was ever in the race.
    pub(super) fn has(&self, slot: usize, arm: usize) -> bool {
        self.find(slot, arm).is_some()
    }

    /// The logarithm of the ratio of two whole choices' times, over blocks all their arms ran in.
    fn compare(&self, ours: &[usize], theirs: &[usize], level: &Level) -> Option<Interval> {
        let sum =
            |choice: &[usize], block: usize| choice.iter().map(|&at| self.candidates[at].times[block]).sum();
        let mut ratios: Vec<f64> = (0..self.blocks)
            .map(|block| {
                let (ours, theirs): (f64, f64) = (sum(ours, block), sum(theirs, block));
                (ours / theirs).ln()
            })
            .filter(|ratio| ratio.is_finite())
            .collect();
        level.interval(&mut ratios)
    }

    /// Usual times in microseconds, each from the ratios to its slot's pivot; none where there is no pair.
    fn levels(&self) -> Vec<Option<f64>> {
        let pivot_us: Vec<Option<f64>> = self
            .pivots
            .iter()
            .map(|&pivot| {
                let times = self.candidates.get(pivot)?.times.iter().copied().filter(|it| it.is_finite());
                median(&mut times.collect::<Vec<_>>())
            })
            .collect();
        let level = |candidate: &Candidate| {
            let pivot = &self.candidates[self.pivots[candidate.slot]].times;
            let ratios = candidate.times.iter().zip(pivot).map(|(a, b)| (a / b).ln());
            let ratio = trimmed_mean(&mut ratios.filter(|it| it.is_finite()).collect::<Vec<_>>())?;
            Some(pivot_us[candidate.slot]? * ratio.exp())
        };
        self.candidates.iter().map(level).collect()
    }

    fn find(&self, slot: usize, arm: usize) -> Option<usize> {
        self.candidates.iter().position(|candidate| (candidate.slot, candidate.arm) == (slot, arm))
    }

    fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.candidates.len()).filter(|at| self.candidates[*at].survives || self.pivots.contains(at))
    }

    fn entrant(&self, at: usize) -> Entrant {
        let Candidate { slot, arm, .. } = self.candidates[at];
        Entrant::Single { slot, arm }
    }

    /// A pivot that cannot run gives way to the candidate of its slot with the most blocks.
    fn replace_pivot(&mut self, gone: usize) {
        let slot = self.candidates[gone].slot;
        if self.pivots[slot] == gone {
            let ran = |at: &usize| self.candidates[*at].times.iter().filter(|time| time.is_finite()).count();
            let heir = (0..self.candidates.len())
                .filter(|&at| self.candidates[at].survives && self.candidates[at].slot == slot)
                .max_by_key(ran);
            self.pivots[slot] = heir.unwrap_or(gone);
        }
    }
}
