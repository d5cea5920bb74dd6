//! The arms still in the race, and what their paired runs say.
//!
//! A block runs every arm once, in random order, on one routing. Two arms are compared only over blocks
//! both ran in, as the logarithm of the ratio of what a whole choice would take with either: an arm that
//! is slow in a slot that hardly matters is not dropped for it.

use super::super::paired::{Interval, Level, median, trimmed_mean};
use super::super::{Choice, Contest, Entrant, Heard, Round};

/// One arm in the race.
#[derive(Debug, Clone)]
struct Runner {
    slot: usize,
    arm: usize,
    link: u32,
    alive: bool,
    /// Microseconds by block; NaN where it did not run.
    times: Vec<f64>,
}

/// The arms in the race.
#[derive(Debug)]
pub(super) struct Field {
    runners: Vec<Runner>,
    /// By slot, the runner all others of the slot are levelled against; it runs on even if it is out.
    pivots: Vec<usize>,
    blocks: usize,
    slots: usize,
}

impl Field {
    /// A field of `arms`, the fastest so far first.
    pub(super) fn new(contest: &Contest, arms: &[(usize, usize)]) -> Self {
        let slots = contest.slots.len();
        let mut field = Self { runners: Vec::new(), pivots: Vec::new(), blocks: 0, slots };
        for &(slot, arm) in arms {
            field.join(contest, slot, arm);
        }
        for slot in 0..slots {
            let first = field.runners.iter().position(|runner| runner.slot == slot);
            field.pivots.push(first.unwrap_or(0));
        }
        field
    }

    /// An arm joins; it is judged over the blocks it runs in.
    pub(super) fn join(&mut self, contest: &Contest, slot: usize, arm: usize) {
        if self.runners.iter().all(|runner| (runner.slot, runner.arm) != (slot, arm)) {
            let link = contest.arm(slot, arm).link;
            let times = vec![f64::NAN; self.blocks];
            self.runners.push(Runner { slot, arm, link, alive: true, times });
        }
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn alive(&self) -> usize {
        self.runners.iter().filter(|runner| runner.alive).count()
    }

    /// Who runs in the next round.
    pub(super) fn entrants(&self) -> Vec<Entrant> {
        self.running().map(|at| self.entrant(at)).collect()
    }

    /// Keep what a round of whole blocks brought.
    pub(super) fn observe(&mut self, round: &Round, heard: &Heard) {
        let running: Vec<usize> = self.running().collect();
        let block_len = round.entrants.len();
        for (order, times) in round.order.chunks(block_len).zip(heard.times_us.chunks(block_len)) {
            for runner in &mut self.runners {
                runner.times.push(f64::NAN);
            }
            for (&entrant, time) in order.iter().zip(times) {
                let runner = running.get(usize::from(entrant)).map(|&at| &mut self.runners[at]);
                if let (Some(time), Some(runner)) = (time, runner) {
                    runner.times[self.blocks] = *time;
                }
            }
            self.blocks += 1;
        }
        for (entrant, _) in &heard.failures {
            if let Some(&runner) = running.get(usize::from(*entrant)) {
                self.runners[runner].alive = false;
                self.replace_pivot(runner);
            }
        }
    }

    /// The best choice by the levels so far.
    pub(super) fn best(&self) -> Option<Choice> {
        self.ranked(1).into_iter().next()
    }

    /// The `count` best choices by the sum of their arms' levels, best first.
    pub(super) fn ranked(&self, count: usize) -> Vec<Choice> {
        let levels = self.levels();
        let mut partial: Vec<(Vec<usize>, u32, f64)> = vec![];
        for slot in 0..self.slots {
            let arms: Vec<_> = (0..self.runners.len())
                .filter(|&at| self.runners[at].alive && self.runners[at].slot == slot)
                .filter_map(|at| Some((at, self.runners[at].link, levels[at]?)))
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
        let arms = |choice: Vec<usize>| choice.into_iter().map(|at| self.runners[at].arm).collect();
        partial.into_iter().take(count).map(|(choice, _, _)| arms(choice)).collect()
    }

    /// Drop every arm whose best whole choice is slower than the best of all by more than `deficit` (in
    /// logarithms), where the interval at `level` leaves no doubt that it is slower. How many were.
    pub(super) fn drop_losers(&mut self, level: &Level, deficit: f64) -> usize {
        let levels = self.levels();
        let Some(best) = self.best() else { return 0 };
        let best: Vec<usize> =
            best.iter().enumerate().filter_map(|(slot, &arm)| self.find(slot, arm)).collect();
        let mut losers = Vec::new();
        for (at, runner) in self.runners.iter().enumerate() {
            if !runner.alive || best.contains(&at) {
                continue;
            }
            let mut whole = vec![at];
            let mut complete = true;
            for slot in (0..self.slots).filter(|&slot| slot != runner.slot) {
                let partner = (0..self.runners.len())
                    .filter(|&it| {
                        let it = &self.runners[it];
                        it.alive && it.slot == slot && it.link == runner.link
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
            self.runners[at].alive = false;
        }
        losers.len()
    }

    /// The arms of every alive runner, by slot and arm.
    pub(super) fn survivors(&self) -> Vec<(usize, usize)> {
        self.runners.iter().filter(|runner| runner.alive).map(|runner| (runner.slot, runner.arm)).collect()
    }

    /// The usual time of every arm that ran here, microseconds, with its slot and index.
    pub(super) fn levels_us(&self) -> Vec<(usize, usize, f64)> {
        let of = |(runner, level): (&Runner, Option<f64>)| Some((runner.slot, runner.arm, level?));
        self.runners.iter().zip(self.levels()).filter_map(of).collect()
    }

    /// Whether the arm was ever in the field.
    pub(super) fn has(&self, slot: usize, arm: usize) -> bool {
        self.find(slot, arm).is_some()
    }

    /// The logarithm of the ratio of two whole choices' times, over blocks all their arms ran in.
    fn compare(&self, ours: &[usize], theirs: &[usize], level: &Level) -> Option<Interval> {
        let sum =
            |choice: &[usize], block: usize| choice.iter().map(|&at| self.runners[at].times[block]).sum();
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
                let times = self.runners.get(pivot)?.times.iter().copied().filter(|it| it.is_finite());
                median(&mut times.collect::<Vec<_>>())
            })
            .collect();
        let level = |runner: &Runner| {
            let pivot = &self.runners[self.pivots[runner.slot]].times;
            let ratios = runner.times.iter().zip(pivot).map(|(a, b)| (a / b).ln());
            let ratio = trimmed_mean(&mut ratios.filter(|it| it.is_finite()).collect::<Vec<_>>())?;
            Some(pivot_us[runner.slot]? * ratio.exp())
        };
        self.runners.iter().map(level).collect()
    }

    fn find(&self, slot: usize, arm: usize) -> Option<usize> {
        self.runners.iter().position(|runner| (runner.slot, runner.arm) == (slot, arm))
    }

    fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.runners.len()).filter(|at| self.runners[*at].alive || self.pivots.contains(at))
    }

    fn entrant(&self, at: usize) -> Entrant {
        let Runner { slot, arm, .. } = self.runners[at];
        Entrant::Single { slot, arm }
    }

    /// A pivot that cannot run gives way to the runner of its slot with the most blocks.
    fn replace_pivot(&mut self, gone: usize) {
        let slot = self.runners[gone].slot;
        if self.pivots[slot] == gone {
            let ran = |at: &usize| self.runners[*at].times.iter().filter(|time| time.is_finite()).count();
            let heir = (0..self.runners.len())
                .filter(|&at| self.runners[at].alive && self.runners[at].slot == slot)
                .max_by_key(ran);
            self.pivots[slot] = heir.unwrap_or(gone);
        }
    }
}
