//! No search at all: every arm, raw repeats in random order, in several sessions, for later replays.

use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Choice, Decision, Entrant, Heard, Problem, Round, Routing, Strategy};

/// Arms that are timed together.
const CHUNK: usize = 64;

/// Times every arm and keeps what it heard.
#[derive(Debug)]
pub struct Recording {
    problem: Arc<Problem>,
    repeats: usize,
    rng: ChaCha8Rng,
    /// Still to time, the next one last: contest and arms.
    waiting: Vec<(usize, Vec<(usize, usize)>)>,
    heard: Vec<(Round, Heard)>,
}

impl Recording {
    /// Time every arm of `problem` `repeats` times in each of `sessions` passes over everything.
    pub fn new(problem: Arc<Problem>, repeats: usize, sessions: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut waiting = Vec::new();
        for _ in 0..sessions {
            let mut session = Vec::new();
            for (contest, data) in problem.contests.iter().enumerate() {
                let mut arms: Vec<_> = data.arms().map(|(slot, arm, _)| (slot, arm)).collect();
                arms.shuffle(&mut rng);
                session.extend(arms.chunks(CHUNK).map(|chunk| (contest, chunk.to_vec())));
            }
            // Over the whole session, so that a slow minute spoils no batch size alone.
            session.shuffle(&mut rng);
            waiting.extend(session);
        }
        waiting.reverse();
        Self { problem, repeats, rng, waiting, heard: Vec::new() }
    }

    /// Rounds still to come.
    pub fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Every round with its answer.
    pub fn into_heard(self) -> Vec<(Round, Heard)> {
        self.heard
    }
}

impl Strategy for Recording {
    fn next(&mut self) -> Option<Round> {
        let (contest, arms) = self.waiting.pop()?;
        let order = Round::shuffled_blocks(arms.len(), self.repeats, &mut self.rng);
        Some(Round {
            contest,
            routing: Routing { skewed: false, seed: 0 },
            entrants: arms.into_iter().map(|(slot, arm)| Entrant::Single { slot, arm }).collect(),
            order,
            warm_up: true,
            abort_above_us: None,
        })
    }

    fn observe(&mut self, round: &Round, heard: &Heard) {
        self.heard.push((round.clone(), heard.clone()));
    }

    fn decisions(&self) -> Vec<Option<Decision>> {
        vec![None; self.problem.contests.len()]
    }

    fn leader(&self, _: usize) -> Option<Choice> {
        None
    }
}
