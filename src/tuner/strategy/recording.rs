//! No search at all: every arm, raw repeats in random order, in several sessions, for later replays.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    Choice, Conclusion, ContestId, ContestRun, Decision, Entrant, LogTimes, Round, RoutingSeed,
    SearchProblem, Strategy, Timings, dice,
};

/// The name in plans and reports.
pub(crate) const NAME: &str = "recording";
/// Goes up where equal options, seeds and answers lead to other questions.
pub(crate) const VERSION: u32 = 1;

/// Arms of a part.
const CHUNK: usize = 64;

/// How much is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Timed runs of each arm in each session.
    pub repeats: usize,
    /// Passes over everything.
    pub sessions: usize,
}

/// Times every arm. A batch size's arms are timed in many small parts, each one a contest of a single round:
/// the parts of a session follow one another in random order over all batch sizes, so that a slow minute
/// spoils no batch size alone, and a session is over before the next begins.
#[derive(Debug)]
pub(crate) struct Recording {
    problem: Arc<SearchProblem>,
    repeats: usize,
    seed: u64,
    /// The parts of each session, in the order of timing.
    sessions: Vec<Vec<Part>>,
    ended: BTreeSet<ContestId>,
}

/// Arms that are timed together.
#[derive(Debug)]
struct Part {
    id: ContestId,
    arms: Vec<(usize, usize)>,
}

impl Recording {
    /// Time every arm of `problem`.
    pub(crate) fn new(problem: Arc<SearchProblem>, options: Options, seed: u64) -> Self {
        let Options { repeats, sessions } = options;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut parts = vec![0; problem.contests.len()];
        let mut session = |_| {
            let mut session = Vec::new();
            for (index, data) in problem.contests.iter().enumerate() {
                let mut arms: Vec<_> = data.arms().map(|(slot, arm, _)| (slot, arm)).collect();
                arms.shuffle(&mut rng);
                for chunk in arms.chunks(CHUNK) {
                    let id = ContestId { index, part: parts[index] };
                    session.push(Part { id, arms: chunk.to_vec() });
                    parts[index] += 1;
                }
            }
            session.shuffle(&mut rng);
            session
        };
        let sessions = (0..sessions).map(&mut session).collect();
        Self { problem, repeats, seed, sessions, ended: BTreeSet::new() }
    }
}

impl Strategy for Recording {
    fn ready(&self) -> Vec<ContestId> {
        let open = |session: &Vec<Part>| -> Vec<ContestId> {
            session.iter().map(|part| part.id).filter(|part| !self.ended.contains(part)).collect()
        };
        self.sessions.iter().map(open).find(|open| !open.is_empty()).unwrap_or_default()
    }

    fn begin(&self, contest: ContestId) -> Box<dyn ContestRun> {
        let part = self.sessions.iter().flatten().find(|part| part.id == contest);
        let arms: &[_] = part.map_or(&[], |part| &part.arms);
        let data = &self.problem.contests[contest.index];
        let mut rng = dice(self.seed, data.key, contest.part);
        let round = (!arms.is_empty()).then(|| Round {
            contest,
            routing: RoutingSeed { skewed: false, seed: 0 },
            entrants: arms.iter().map(|&(slot, arm)| Entrant::Single { slot, arm }).collect(),
            order: Round::shuffled_blocks(arms.len(), self.repeats, &mut rng),
            warm_up: true,
            abort_above_us: None,
        });
        Box::new(PartRun { contest, round })
    }

    fn end(&mut self, conclusion: Conclusion) {
        self.ended.insert(conclusion.contest);
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        vec![None; self.problem.contests.len()]
    }
}

/// One round, which decides nothing.
#[derive(Debug)]
struct PartRun {
    contest: ContestId,
    round: Option<Round>,
}

impl ContestRun for PartRun {
    fn next(&mut self) -> Option<Round> {
        self.round.take()
    }

    fn observe(&mut self, _: &Round, _: &Timings) {}

    fn leader(&self) -> Option<Choice> {
        None
    }

    fn finish(self: Box<Self>) -> Conclusion {
        Conclusion { contest: self.contest, decision: None, log_times: LogTimes::new() }
    }
}
