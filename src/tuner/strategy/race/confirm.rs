//! The last word: the best few whole choices against the default, run after run, on fresh routings.

use std::collections::HashSet;

use super::super::paired::{Level, median};
use super::super::{Against, Choice, ContestId, Decision, Entrant, Grounds, Round, RoutingSeed, Timings};

/// The confirmation of one contest.
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

    pub(super) fn blocks(&self) -> usize {
        self.skewed.len()
    }

    /// Whether there is anything to compare.
    pub(super) fn is_contested(&self) -> bool {
        self.entrants.len() - self.out.len() > 1
    }

    pub(super) fn next(
        &self,
        contest: ContestId,
        routing: RoutingSeed,
        order: impl FnOnce(usize) -> Vec<u16>,
    ) -> Round {
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
        let rivals: Vec<usize> = self.running().filter(|&at| !(self.has_default && at == 0)).collect();
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
        Decision { choice: self.entrants[at].clone(), grounds, time_us: self.usual_us(at) }
    }

    /// The fastest of `among`; where the preferred choice is not slower beyond doubt, that one.
    fn pick(&self, among: &[usize], level: &Level) -> Option<usize> {
        let first =
            among.iter().copied().find(|&at| self.usual_us(at).is_some()).or(among.first().copied())?;
        // Paired with one of them, so that drift falls out of the order too.
        let ratio = |at: usize| self.log_ratio(at, first, level, None).map_or(0.0, |it| it.estimate);
        let best = among.iter().copied().min_by(|&a, &b| ratio(a).total_cmp(&ratio(b)))?;
        let preferred = among.iter().copied().find(|&at| Some(&self.entrants[at]) == self.preferred.as_ref());
        let ties = |at: &usize| self.log_ratio(*at, best, level, None).is_some_and(|it| it.lower <= 0.0);
        Some(preferred.filter(ties).unwrap_or(best))
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
    fn log_ratio(
        &self,
        ours: usize,
        theirs: usize,
        level: &Level,
        skewed: Option<bool>,
    ) -> Option<super::super::Interval> {
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

    fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.entrants.len()).filter(|at| !self.out.contains(at))
    }
}
