//! A random share of the arms, each timed a few times: the yardstick any cleverer search must beat.

use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::exhaustive::{self, Exhaustive};
use super::{Conclusion, ContestId, ContestRun, Decision, SearchProblem, Strategy, dice};

/// The name in plans and reports.
pub(crate) const NAME: &str = "random";
/// Goes up where equal options, seeds and answers lead to other questions.
pub(crate) const VERSION: u32 = 1;

/// How much is tried, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The share of each contest's arms that is tried, 0 to 1; at least one arm is.
    pub share: f64,
    /// Timed runs of each arm.
    pub repeats: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { share: 0.1, repeats: exhaustive::Options::default().repeats }
    }
}

/// [`Exhaustive`] over a random share of the arms and the default.
#[derive(Debug)]
pub(crate) struct Random(Exhaustive);

impl Random {
    /// Draw the arms of every contest, each with dice of its own.
    pub(crate) fn new(problem: Arc<SearchProblem>, options: Options, seed: u64) -> Self {
        let drawn = |contest: &super::Contest| {
            let mut rng = dice(seed, contest.key, 0);
            let mut arms: Vec<_> = contest.arms().map(|(slot, arm, _)| (slot, arm)).collect();
            arms.shuffle(&mut rng);
            let count = (arms.len() as f64 * options.share).ceil().max(1.0) as usize;
            let mut drawn: Vec<_> = arms.into_iter().take(count).collect();
            for choice in contest.default.iter().chain(&contest.incumbents) {
                drawn.extend(choice.iter().copied().enumerate());
            }
            drawn.sort_unstable();
            drawn.dedup();
            drawn.shuffle(&mut rng);
            drawn
        };
        let arms = problem.contests.iter().map(drawn).collect();
        Self(Exhaustive::of(problem, arms, options.repeats))
    }
}

impl Strategy for Random {
    fn ready(&self) -> Vec<ContestId> {
        self.0.ready()
    }

    fn begin(&self, contest: ContestId) -> Box<dyn ContestRun> {
        self.0.begin(contest)
    }

    fn end(&mut self, conclusion: Conclusion) {
        self.0.end(conclusion);
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        self.0.decisions()
    }
}
