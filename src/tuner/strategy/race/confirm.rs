//! The last word: the best few whole choices against the default, run after run, on fresh routings.

use std::collections::{HashMap, HashSet};

use rand_chacha::ChaCha8Rng;

use super::super::paired::{Level, median};
use super::super::{
    Against, Choice, ContestId, Decision, Entrant, Grounds, Interval, Round, RoutingSeed, Timings,
};
use super::options::Options;

/// Blocks of each round.
const BLOCKS: usize = 20;
/// The routing of the first round: none that the race has seen.
const FIRST_SEED: u32 = 1000;

/// The confirmation of one contest. More rivals begin than run to the end: the race has not told equals apart, and
/// what is beaten beyond doubt need not be timed again.
#[derive(Debug)]
pub(super) struct Confirm {
    /// The default first, where there is one.
    entrants: Vec<Choice>,
    has_default: bool,
    /// A choice that is preferred among equals: the neighbours'.
    preferred: Option<Choice>,
    out: HashSet<usize>,
    /// Microseconds by entrant and block; NaN where it did not run.
    times: Vec<Vec<f64>>,
    /// Whether each block's routing was skewed.
    skewed: Vec<bool>,
}

impl Confirm {
    pub(super) fn new(default: Option<Choice>, mut rivals: Vec<Choice>, preferred: Option<Choice>) -> Self {
        rivals.retain(|rival| default.as_ref() != Some(rival));
        let has_default = default.is_some();
        let entrants: Vec<Choice> = default.into_iter().chain(rivals).collect();
        let times = vec![Vec::new(); entrants.len()];
        Self { entrants, has_default, preferred, out: HashSet::new(), times, skewed: Vec::new() }
    }

    fn blocks(&self) -> usize {
        self.skewed.len()
    }

    /// Whether there is anything to compare.
    fn is_contested(&self) -> bool {
        self.entrants.len() - self.out.len() > 1
    }

    /// Drop the rivals that are slower than the best of them beyond doubt, and the slowest where more than `most`
    /// are left. Before a skewed round has run, only a deficit above `deficit` (in logarithms) is beyond doubt.
    fn thin_out(&mut self, most: usize, level: &Level, deficit: f64) {
        let mut rivals = self.rivals();
        if self.blocks() == 0 || rivals.len() < 2 {
            return;
        }
        self.sort(&mut rivals, level);
        let enough = if self.skewed.contains(&true) { 0.0 } else { deficit };
        let beaten = |it: &Interval| it.lower > 0.0 && it.estimate > enough;
        let best = rivals[0];
        let (slower, mut left): (Vec<usize>, Vec<usize>) = rivals.into_iter().partition(|&at| {
            at != best && self.log_ratio(at, best, level, None).is_some_and(|it| beaten(&it))
        });
        self.out.extend(slower);
        // The preferred choice ties, or it would be out already.
        while left.len() > most.max(1) {
            let last = left
                .iter()
                .rposition(|&at| at != best && Some(&self.entrants[at]) != self.preferred.as_ref());
            let Some(last) = last else { break };
            self.out.insert(left.remove(last));
        }
    }

    /// The next round; none once there are enough pairs, or nothing is left to compare.
    pub(super) fn ask(
        &mut self,
        contest: ContestId,
        options: &Options,
        level: &Level,
        rng: &mut ChaCha8Rng,
    ) -> Option<Round> {
        if self.blocks() >= options.pairs {
            return None;
        }
        let round = self.blocks() / BLOCKS;
        let most = options.rivals[round.min(options.rivals.len() - 1)];
        self.thin_out(most, level, (1.0 + options.deficit).ln());
        if !self.is_contested() {
            return None;
        }
        let round = round as u32;
        let routing = RoutingSeed { skewed: round % 4 == 3, seed: FIRST_SEED + round };
        Some(self.next(contest, routing, |entrants| Round::shuffled_blocks(entrants, BLOCKS, rng)))
    }

    fn next(&self, contest: ContestId, routing: RoutingSeed, order: impl FnOnce(usize) -> Vec<u16>) -> Round {
        let entrants: Vec<Entrant> =
            self.running().map(|at| Entrant::Whole(self.entrants[at].clone())).collect();
        let order = order(entrants.len());
        Round { contest, routing, entrants, order, warm_up: true, abort_above_us: None }
    }

    pub(super) fn observe(&mut self, round: &Round, timings: &Timings) {
        let running: Vec<usize> = self.running().collect();
        let block_len = round.entrants.len();
        for (order, times) in round.order.chunks(block_len).zip(timings.times_us.chunks(block_len)) {
            for entrant in &mut self.times {
                entrant.push(f64::NAN);
            }
            self.skewed.push(round.routing.skewed);
            let block = self.skewed.len() - 1;
            for (&entrant, time) in order.iter().zip(times) {
                self.times[running[usize::from(entrant)]][block] = time.unwrap_or(f64::NAN);
            }
        }
        for (entrant, _) in &timings.failures {
            self.out.insert(running[usize::from(*entrant)]);
        }
    }

    /// What follows from the runs: `margin` is the gain below which the default stays (in logarithms).
    pub(super) fn decide(&self, level: &Level, margin: f64) -> Option<Decision> {
        let default_runs = self.has_default && !self.out.contains(&0);
        let rivals = self.rivals();
        if !default_runs {
            let best = self.pick(&rivals, level)?;
            return Some(self.decision(best, Grounds::NoDefault));
        }
        let against = |at: usize| self.against_default(at, level);
        let better: Vec<usize> = rivals
            .iter()
            .copied()
            .filter(|&at| {
                against(at).is_some_and(|it| {
                    // A gain on even routings that turns into a loss on uneven ones is no gain.
                    it.log_ratio.upper < -margin && it.skewed.is_none_or(|skewed| skewed.estimate <= 0.0)
                })
            })
            .collect();
        if let Some(best) = self.pick(&better, level)
            && let Some(against) = against(best)
        {
            return Some(self.decision(best, Grounds::BeatsDefault(against)));
        }
        let rival = self.pick(&rivals, level).and_then(against);
        Some(self.decision(0, Grounds::DefaultKept(rival)))
    }

    fn decision(&self, at: usize, grounds: Grounds) -> Decision {
        Decision { choice: self.entrants[at].clone(), grounds, time_us: self.usual_us(at), second: None }
    }

    /// The fastest of `among`; where the preferred choice is not slower beyond doubt, that one.
    fn pick(&self, among: &[usize], level: &Level) -> Option<usize> {
        let mut sorted = among.to_vec();
        self.sort(&mut sorted, level);
        let best = *sorted.first()?;
        let preferred = among.iter().copied().find(|&at| Some(&self.entrants[at]) == self.preferred.as_ref());
        let ties = |at: &usize| self.log_ratio(*at, best, level, None).is_some_and(|it| it.lower <= 0.0);
        Some(preferred.filter(ties).unwrap_or(best))
    }

    /// Put entrants in the order of their times, the fastest first.
    fn sort(&self, among: &mut [usize], level: &Level) {
        let timed = among.iter().copied().find(|&at| self.usual_us(at).is_some());
        let Some(first) = timed.or(among.first().copied()) else { return };
        // Paired with one of them, so that drift falls out of the order too.
        let ratio = |at: &usize| self.log_ratio(*at, first, level, None).map_or(0.0, |it| it.estimate);
        let ratios: HashMap<usize, f64> = among.iter().map(|at| (*at, ratio(at))).collect();
        among.sort_by(|a, b| ratios[a].total_cmp(&ratios[b]));
    }

    fn against_default(&self, at: usize, level: &Level) -> Option<Against> {
        let log_ratio = self.log_ratio(at, 0, level, None)?;
        let both = self.times[at].iter().zip(&self.times[0]).filter(|(a, b)| (**a / **b).is_finite());
        Some(Against {
            log_ratio,
            skewed: self.log_ratio(at, 0, level, Some(true)),
            pairs: both.count() as u32,
            time_us: self.usual_us(at)?,
            default_us: self.usual_us(0)?,
        })
    }

    /// The logarithm of two entrants' ratio, over all blocks or those with a (not) skewed routing.
    fn log_ratio(&self, ours: usize, theirs: usize, level: &Level, skewed: Option<bool>) -> Option<Interval> {
        let mut ratios: Vec<f64> = (0..self.blocks())
            .filter(|&block| skewed.is_none_or(|wanted| self.skewed[block] == wanted))
            .map(|block| (self.times[ours][block] / self.times[theirs][block]).ln())
            .filter(|ratio| ratio.is_finite())
            .collect();
        level.interval(&mut ratios)
    }

    /// The median of an entrant's times, microseconds.
    fn usual_us(&self, at: usize) -> Option<f64> {
        median(&mut self.times[at].iter().copied().filter(|time| time.is_finite()).collect::<Vec<_>>())
    }

    fn rivals(&self) -> Vec<usize> {
        self.running().filter(|&at| !(self.has_default && at == 0)).collect()
    }

    fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.entrants.len()).filter(|at| !self.out.contains(at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Timings;
    use super::*;

    /// A confirmation after a round of twenty blocks in which entrants took `factors`, give or take 1 %.
    fn after_a_round(confirm: &mut Confirm, factors: &[f64], skewed: bool) {
        let routing = RoutingSeed { skewed, seed: 0 };
        let count = factors.len() as u16;
        let round = confirm.next(ContestId::of(0), routing, |entrants| {
            assert_eq!(entrants, factors.len(), "who still runs");
            (0..20).flat_map(|_| 0..count).collect()
        });
        let noise = |at: usize| 1.0 + 0.01 * ((at * 7 % 11) as f64 / 5.0 - 1.0);
        let timed = |(at, entrant): (usize, &u16)| Some(factors[usize::from(*entrant)] * noise(at));
        let times_us = round.order.iter().enumerate().map(timed).collect();
        confirm.observe(&round, &Timings { times_us, failures: Vec::new(), seconds: 0.0 });
    }

    fn of(rivals: usize, preferred: Option<usize>) -> Confirm {
        let rivals = (1..=rivals).map(|at| vec![at]).collect();
        Confirm::new(Some(vec![0]), rivals, preferred.map(|at| vec![at]))
    }

    #[test]
    fn rivals_that_are_beaten_beyond_doubt_stop_running_and_the_default_never_does() {
        let level = Level::missing(0.003);
        let mut confirm = of(3, None);
        after_a_round(&mut confirm, &[2.0, 1.0, 1.05, 1.008], false);
        confirm.thin_out(7, &level, 0.01);
        assert_eq!(confirm.running().collect::<Vec<_>>(), [0, 1, 3], "0.8 % may turn on a skewed routing");
        for _ in 0..8 {
            after_a_round(&mut confirm, &[2.0, 1.0, 1.008], true);
        }
        confirm.thin_out(7, &level, 0.01);
        assert_eq!(confirm.running().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn too_many_equals_are_thinned_out_but_for_the_preferred_one() {
        let level = Level::missing(0.003);
        let mut confirm = of(5, Some(5));
        after_a_round(&mut confirm, &[1.0, 1.0, 0.999, 1.001, 1.002, 1.003], false);
        confirm.thin_out(2, &level, 0.01);
        assert_eq!(confirm.running().collect::<Vec<_>>(), [0, 2, 5]);
        confirm.thin_out(1, &level, 0.01);
        assert_eq!(confirm.running().collect::<Vec<_>>(), [0, 2, 5], "the best and the preferred stay");
    }
}
