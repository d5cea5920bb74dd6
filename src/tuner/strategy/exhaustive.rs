//! Every arm in turn, the mean of a few runs, the smallest wins: what SGLang's own tuner does.

use std::sync::Arc;

use super::{Choice, Decision, Entrant, Grounds, Heard, Problem, Round, Routing, Strategy};

/// Times what it is told to time, one arm after another, and takes the smallest mean.
#[derive(Debug)]
pub struct Exhaustive {
    problem: Arc<Problem>,
    /// Arms to time in each contest, by slot.
    arms: Vec<Vec<(usize, usize)>>,
    repeats: usize,
    contest: usize,
    at: usize,
    /// Mean times of the current contest, by slot and arm.
    means: Vec<Vec<Option<f64>>>,
    decisions: Vec<Option<Decision>>,
}

impl Exhaustive {
    /// Timed runs SGLang's tuner takes its mean of. (Each stands for ten launches in a graph.)
    pub const STOCK_REPEATS: usize = 10;

    /// Time every arm of every contest `repeats` times.
    pub fn new(problem: Arc<Problem>, repeats: usize) -> Self {
        let every = |contest: &super::Contest| contest.arms().map(|(slot, arm, _)| (slot, arm)).collect();
        let arms = problem.contests.iter().map(every).collect();
        Self::of(problem, arms, repeats)
    }

    /// Time the given arms of each contest.
    pub(super) fn of(problem: Arc<Problem>, arms: Vec<Vec<(usize, usize)>>, repeats: usize) -> Self {
        let decisions = vec![None; problem.contests.len()];
        let mut made = Self { problem, arms, repeats, contest: 0, at: 0, means: Vec::new(), decisions };
        made.begin_contest();
        made
    }

    fn begin_contest(&mut self) {
        self.at = 0;
        self.means = self
            .problem
            .contests
            .get(self.contest)
            .map(|contest| contest.slots.iter().map(|slot| vec![None; slot.arms.len()]).collect())
            .unwrap_or_default();
    }

    fn best(&self) -> Option<Choice> {
        self.problem.contests[self.contest].best_by(|slot, arm| self.means[slot][arm])
    }
}

impl Strategy for Exhaustive {
    fn next(&mut self) -> Option<Round> {
        while self.contest < self.problem.contests.len() {
            if let Some(&(slot, arm)) = self.arms[self.contest].get(self.at) {
                return Some(Round {
                    contest: self.contest,
                    routing: Routing { skewed: false, seed: 0 },
                    entrants: vec![Entrant::Single { slot, arm }],
                    order: vec![0; self.repeats],
                    warm_up: true,
                    abort_above_us: None,
                });
            }
            self.decisions[self.contest] = self.best().map(|choice| {
                let times = choice.iter().enumerate().map(|(slot, &arm)| self.means[slot][arm]);
                Decision { time_us: times.sum(), choice, grounds: Grounds::Fastest }
            });
            self.contest += 1;
            self.begin_contest();
        }
        None
    }

    fn observe(&mut self, round: &Round, heard: &Heard) {
        self.at += 1;
        let [Entrant::Single { slot, arm }] = round.entrants[..] else { return };
        let times: Vec<f64> = heard.times_us.iter().flatten().copied().collect();
        if !times.is_empty() {
            self.means[slot][arm] = Some(times.iter().sum::<f64>() / times.len() as f64);
        }
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        self.decisions.clone()
    }

    fn leader(&self, contest: usize) -> Option<Choice> {
        match &self.decisions[contest] {
            Some(decision) => Some(decision.choice.clone()),
            None if contest == self.contest => self.best(),
            None => None,
        }
    }
}
