//! Every arm in turn, the mean of a few runs, the smallest wins: what SGLang's own tuner does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Choice, Conclusion, ContestId, ContestRun, Decision, Entrant, Grounds, LogTimes, Round, RoutingSeed,
    SearchProblem, Strategy, Timings,
};

/// The name in plans and reports.
pub(crate) const NAME: &str = "exhaustive";
/// Goes up where equal options, seeds and answers lead to other questions.
pub(crate) const VERSION: u32 = 1;

/// How each arm is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Timed runs of each arm.
    pub repeats: usize,
}

impl Default for Options {
    /// The timed runs SGLang's tuner takes its mean of. (Each stands for ten launches in a graph.)
    fn default() -> Self {
        Self { repeats: 10 }
    }
}

/// Times what it is told to time, one arm after another, and takes the smallest mean. No contest learns from
/// another.
#[derive(Debug)]
pub(crate) struct Exhaustive {
    problem: Arc<SearchProblem>,
    /// Arms to time in each contest, by slot.
    arms: Vec<Vec<(usize, usize)>>,
    repeats: usize,
    /// By contest, what those that are over came to.
    ended: Vec<Option<Conclusion>>,
}

impl Exhaustive {
    /// Time every arm of every contest.
    pub(crate) fn new(problem: Arc<SearchProblem>, options: Options) -> Self {
        let every = |contest: &super::Contest| contest.arms().map(|(slot, arm, _)| (slot, arm)).collect();
        let arms = problem.contests.iter().map(every).collect();
        Self::of(problem, arms, options.repeats)
    }

    /// Time the given arms of each contest.
    pub(super) fn of(problem: Arc<SearchProblem>, arms: Vec<Vec<(usize, usize)>>, repeats: usize) -> Self {
        let ended = vec![None; problem.contests.len()];
        Self { problem, arms, repeats, ended }
    }
}

impl Strategy for Exhaustive {
    fn ready(&self) -> Vec<ContestId> {
        (0..self.ended.len()).filter(|&at| self.ended[at].is_none()).map(ContestId::of).collect()
    }

    fn begin(&self, contest: ContestId) -> Box<dyn ContestRun> {
        let data = &self.problem.contests[contest.index];
        Box::new(Run {
            contest,
            problem: Arc::clone(&self.problem),
            arms: self.arms[contest.index].clone(),
            repeats: self.repeats,
            at: 0,
            log_means: data.slots.iter().map(|slot| vec![None; slot.arms.len()]).collect(),
        })
    }

    fn end(&mut self, conclusion: Conclusion) {
        let index = conclusion.contest.index;
        self.ended[index] = Some(conclusion);
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        self.ended.iter().map(|ended| ended.as_ref()?.decision.clone()).collect()
    }
}

/// One contest: the arms in turn.
#[derive(Debug)]
struct Run {
    contest: ContestId,
    problem: Arc<SearchProblem>,
    arms: Vec<(usize, usize)>,
    repeats: usize,
    at: usize,
    log_means: LogTimes,
}

impl Run {
    fn mean_us(&self, slot: usize, arm: usize) -> Option<f64> {
        self.log_means[slot][arm].map(f64::exp)
    }
}

impl ContestRun for Run {
    fn next(&mut self) -> Option<Round> {
        let &(slot, arm) = self.arms.get(self.at)?;
        Some(Round {
            contest: self.contest,
            routing: RoutingSeed { skewed: false, seed: 0 },
            entrants: vec![Entrant::Single { slot, arm }],
            order: vec![0; self.repeats],
            warm_up: true,
            abort_above_us: None,
        })
    }

    fn observe(&mut self, round: &Round, timings: &Timings) {
        self.at += 1;
        let [Entrant::Single { slot, arm }] = round.entrants[..] else { return };
        let times: Vec<f64> = timings.times_us.iter().flatten().copied().collect();
        if !times.is_empty() {
            self.log_means[slot][arm] = Some((times.iter().sum::<f64>() / times.len() as f64).ln());
        }
    }

    fn leader(&self) -> Option<Choice> {
        self.problem.contests[self.contest.index].best_by(|slot, arm| self.mean_us(slot, arm))
    }

    fn finish(self: Box<Self>) -> Conclusion {
        let choice = if self.at < self.arms.len() { None } else { self.leader() };
        let decision = choice.map(|choice| {
            let times = choice.iter().enumerate().map(|(slot, &arm)| self.mean_us(slot, arm));
            Decision { time_us: times.sum(), choice, grounds: Grounds::Fastest, second: None }
        });
        Conclusion { contest: self.contest, decision, log_times: self.log_means }
    }
}
