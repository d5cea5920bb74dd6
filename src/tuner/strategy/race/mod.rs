//! The default strategy: screen once, race the promising in pairs, confirm the best against the default.
//!
//! Exhaustive tuning gives a slow config as many runs as a fast one and trusts a mean of ten. Here a run is
//! spent where it can change the choice:
//!
//! 1. **Screen** one arm of every family at a few anchor batch sizes; elsewhere only what was best at the
//!    anchors on either side, the incumbents and a random share.
//! 2. **Race** the best, by successive elimination: blocks of one run each in random order on one routing. An
//!    arm is dropped only where the interval of its paired log-ratio excludes zero and it trails by more than
//!    1 %.
//! 3. **Expand**: the leaders' families (GROUP_SIZE_M) and neighbours join, until the leader stays.
//! 4. **Confirm** the best whole choices against the default: at least 200 pairs, fresh seeds, every
//!    fourth round skewed. The default stays unless it is beaten by more than the margin; where a second machine is
//!    at hand, unless it is beaten there, too.

mod candidates;
mod confirm;
mod elimination;
mod families;
mod options;
mod order;
mod run;
mod screen;
mod second;
mod transfer;

use std::sync::Arc;

pub(crate) use self::options::Options;

use self::run::{Levels, RaceRun};
use self::second::SecondRun;
use self::transfer::Transfer;
use super::{
    Choice, Conclusion, Confirmation, Contest, ContestId, ContestRun, Decision, Grounds, SearchProblem,
    Second, Strategy,
};

/// The name in plans and reports.
pub(crate) const NAME: &str = "race";
/// Goes up where equal options, seeds and answers lead to other questions.
pub(crate) const VERSION: u32 = 2;

/// Screen, race, expand, confirm.
#[derive(Debug)]
pub(crate) struct Race {
    problem: Arc<SearchProblem>,
    options: Options,
    seed: u64,
    levels: Arc<Levels>,
    /// By contest, those it learns from.
    predecessors: Vec<Vec<usize>>,
    ended: Vec<Option<Ended>>,
}

/// What is kept of a contest that is over.
#[derive(Debug)]
struct Ended {
    /// As the machine that raced it found. Successors learn from this alone, so that they need not wait for more.
    decision: Option<Decision>,
    second: Option<Second>,
    transfer: Transfer,
}

impl Race {
    /// Decide every contest of `problem`; equal seeds ask equal questions.
    pub(crate) fn new(problem: Arc<SearchProblem>, options: Options, seed: u64) -> Self {
        Self {
            options,
            seed,
            levels: Arc::new(Levels::of(&options)),
            predecessors: order::predecessors(&problem.contests),
            ended: problem.contests.iter().map(|_| None).collect(),
            problem,
        }
    }

    fn is_anchor(&self, contest: usize) -> bool {
        self.predecessors[contest].is_empty()
    }

    fn is_ready(&self, contest: usize) -> bool {
        self.ended[contest].is_none() && self.predecessors[contest].iter().all(|&it| self.ended[it].is_some())
    }

    /// What beat the default at this contest, on the machine that raced it.
    fn beat_default(&self, contest: usize) -> Option<&Choice> {
        let decision = self.ended[contest].as_ref()?.decision.as_ref()?;
        matches!(decision.grounds, Grounds::BeatsDefault(_)).then_some(&decision.choice)
    }

    /// What a predecessor chose, in this contest's terms.
    fn predecessors_choice(&self, contest: usize) -> Option<Choice> {
        self.predecessors[contest].iter().find_map(|&predecessor| {
            let decision = self.ended[predecessor].as_ref()?.decision.as_ref()?;
            let names = self.problem.contests[predecessor].names(&decision.choice);
            self.problem.contests[contest].named(&names)
        })
    }
}

impl Strategy for Race {
    fn ready(&self) -> Vec<ContestId> {
        let mut ready: Vec<usize> = (0..self.ended.len()).filter(|&at| self.is_ready(at)).collect();
        // Whole spaces first: others wait for them.
        ready.sort_by_key(|&at| !self.is_anchor(at));
        ready.into_iter().map(ContestId::of).collect()
    }

    fn begin(&self, contest: ContestId) -> Box<dyn ContestRun> {
        let index = contest.index;
        let mut rng = super::dice(self.seed, self.problem.contests[index].key, contest.part);
        if contest.part == second::PART
            && let Some(choice) = self.beat_default(index)
        {
            let (levels, default) = (Arc::clone(&self.levels), self.problem.contests[index].default.clone());
            return Box::new(SecondRun::new(contest, self.options, levels, rng, default, choice.clone()));
        }
        let transfers: Vec<&Transfer> = self.predecessors[index]
            .iter()
            .filter_map(|&predecessor| Some(&self.ended[predecessor].as_ref()?.transfer))
            .collect();
        let data = &self.problem.contests[index];
        let candidates = if self.is_anchor(index) {
            candidates::everything(data, &mut rng)
        } else {
            candidates::inherited(data, &transfers, &self.options, &mut rng)
        };
        Box::new(RaceRun::new(
            contest,
            Arc::clone(&self.problem),
            self.options,
            Arc::clone(&self.levels),
            rng,
            candidates,
            self.predecessors_choice(index),
        ))
    }

    fn confirmations(&self) -> Vec<Confirmation> {
        let confirmation = |index| {
            let choice = self.beat_default(index)?.clone();
            let default = self.problem.contests[index].default.clone();
            let contest = ContestId { index, part: second::PART };
            Some(Confirmation { contest, choices: default.into_iter().chain([choice]).collect() })
        };
        let asked = |at: &usize| self.ended[*at].as_ref().is_some_and(|ended| ended.second.is_none());
        (0..self.ended.len()).filter(asked).filter_map(confirmation).collect()
    }

    fn end(&mut self, conclusion: Conclusion) {
        let Conclusion { contest, decision, log_times } = conclusion;
        if contest.part == second::PART {
            if let Some(choice) = self.beat_default(contest.index).cloned()
                && let Some(ended) = &mut self.ended[contest.index]
            {
                ended.second = Some(second::verdict(&choice, decision.as_ref()));
            }
            return;
        }
        let data = &self.problem.contests[contest.index];
        let transfer = Transfer::of(data, &log_times, self.options.inherited);
        self.ended[contest.index] = Some(Ended { decision, second: None, transfer });
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        let decision = |(ended, contest): (&Option<Ended>, &Contest)| {
            let Ended { decision, second, .. } = ended.as_ref()?;
            let decision = Decision { second: *second, ..decision.clone()? };
            match (decision.grounds, &contest.default) {
                // Without its agreement nothing is replaced.
                (Grounds::BeatsDefault(first), Some(default)) if second.is_some_and(|it| !it.agrees) => {
                    let (choice, time_us) = (default.clone(), Some(first.default_us));
                    Some(Decision { choice, time_us, grounds: Grounds::Disputed(first), ..decision })
                }
                _ => Some(decision),
            }
        };
        self.ended.iter().zip(&self.problem.contests).map(decision).collect()
    }
}
