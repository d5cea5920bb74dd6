//! A choice that beat the default, held against it once more: by a machine that did not race it.
//!
//! It asks what the end of the race asked, of the default and the choice alone, and judges the answers by the same rule.
//! What the first machine measured is not among them: times of two machines are not comparable, verdicts are.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::super::{Choice, Conclusion, ContestId, ContestRun, Decision, Grounds, Round, Second, Timings};
use super::confirm::Confirm;
use super::options::Options;
use super::run::Levels;

/// The part of a contest that its confirmation by a second machine is; the race is part 0.
pub(super) const PART: u32 = 1;

/// One such confirmation.
#[derive(Debug)]
pub(super) struct SecondRun {
    contest: ContestId,
    options: Options,
    levels: Arc<Levels>,
    rng: ChaCha8Rng,
    confirm: Confirm,
}

impl SecondRun {
    /// `choice` against `default`.
    pub(super) fn new(
        contest: ContestId,
        options: Options,
        levels: Arc<Levels>,
        rng: ChaCha8Rng,
        default: Option<Choice>,
        choice: Choice,
    ) -> Self {
        Self { contest, options, levels, rng, confirm: Confirm::new(default, vec![choice], None) }
    }
}

impl ContestRun for SecondRun {
    fn next(&mut self) -> Option<Round> {
        self.confirm.ask(self.contest, &self.options, &self.levels.confirm, &mut self.rng)
    }

    fn observe(&mut self, round: &Round, timings: &Timings) {
        self.confirm.observe(round, timings);
    }

    /// Nothing: the choice was made before.
    fn leader(&self) -> Option<Choice> {
        None
    }

    fn finish(self: Box<Self>) -> Conclusion {
        let decision = self.confirm.decide(&self.levels.confirm, (1.0 + self.options.margin).ln());
        Conclusion { contest: self.contest, decision, log_times: Vec::new() }
    }
}

/// What `theirs`, a second machine's decision, says of `choice`. Where neither ran there, it does not agree.
pub(super) fn verdict(choice: &Choice, theirs: Option<&Decision>) -> Second {
    let against = match theirs.map(|decision| decision.grounds) {
        Some(Grounds::BeatsDefault(against)) => Some(against),
        Some(Grounds::DefaultKept(against)) => against,
        Some(Grounds::Disputed(_) | Grounds::NoDefault | Grounds::Fastest) | None => None,
    };
    Second { agrees: theirs.is_some_and(|decision| decision.choice == *choice), against }
}
