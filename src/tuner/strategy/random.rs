//! A random share of the arms, each timed a few times: the yardstick any cleverer search must beat.

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::exhaustive::Exhaustive;
use super::{Choice, Decision, Heard, Problem, Round, Strategy};

/// [`Exhaustive`] over a random share of the arms and the default.
#[derive(Debug)]
pub struct Random(Exhaustive);

impl Random {
    /// Time `share` (0 to 1, at least one arm) of each slot's arms `repeats` times each.
    pub fn new(problem: Arc<Problem>, share: f64, repeats: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let arms = problem
            .contests
            .iter()
            .map(|contest| {
                let mut arms: Vec<_> = contest.arms().map(|(slot, arm, _)| (slot, arm)).collect();
                arms.shuffle(&mut rng);
                let count = (arms.len() as f64 * share).ceil().max(1.0) as usize;
                let mut drawn: Vec<_> = arms.into_iter().take(count).collect();
                for choice in contest.default.iter().chain(&contest.incumbents) {
                    drawn.extend(choice.iter().copied().enumerate());
                }
                drawn.sort_unstable();
                drawn.dedup();
                drawn.shuffle(&mut rng);
                drawn
            })
            .collect();
        Self(Exhaustive::of(problem, arms, repeats))
    }
}

impl Strategy for Random {
    fn next(&mut self) -> Option<Round> {
        self.0.next()
    }

    fn observe(&mut self, round: &Round, heard: &Heard) {
        self.0.observe(round, heard);
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        self.0.decisions()
    }

    fn leader(&self, contest: usize) -> Option<Choice> {
        self.0.leader(contest)
    }
}
