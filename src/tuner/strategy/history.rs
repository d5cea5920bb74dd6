//! What was measured before: a journal's rounds by contest, and how a contest is told of its own.

use std::collections::BTreeMap;

use super::{ContestId, ContestRun, Round, Timings};

/// Rounds that were answered already, by contest and in the order in which each contest asked them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    by_contest: BTreeMap<ContestId, Vec<(Round, Timings)>>,
}

impl FromIterator<(Round, Timings)> for History {
    fn from_iter<I: IntoIterator<Item = (Round, Timings)>>(rounds: I) -> Self {
        let mut history = Self::default();
        for (round, timings) in rounds {
            history.by_contest.entry(round.contest).or_default().push((round, timings));
        }
        history
    }
}

impl History {
    /// Take out what was measured of `contest`.
    pub fn take(&mut self, contest: ContestId) -> Vec<(Round, Timings)> {
        self.by_contest.remove(&contest).unwrap_or_default()
    }

    /// Time of all rounds together, seconds.
    pub fn seconds(&self) -> f64 {
        self.by_contest.values().flatten().map(|(_, timings)| timings.seconds).sum()
    }

    /// The first contest that something is still held of.
    pub fn first(&self) -> Option<ContestId> {
        self.by_contest.keys().next().copied()
    }
}

/// Where a contest no longer asks what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Rounds that it did ask, in their order.
    pub matched: usize,
    /// What it asks instead of the next one; none where it is over.
    pub asked: Option<Round>,
}

/// Tell `run` the rounds that were measured of it before, as long as it asks just these; `told` hears of each
/// after the run has. Where all match, the run is where it was when the last of them was measured.
///
/// After a divergence the run has been told of what matched alone, and waits for the answer to what it asked:
/// whoever does not want to give that begins the contest anew.
pub fn catch_up(
    run: &mut dyn ContestRun,
    rounds: &[(Round, Timings)],
    mut told: impl FnMut(&dyn ContestRun, &Round, &Timings),
) -> Result<(), Divergence> {
    for (matched, (round, timings)) in rounds.iter().enumerate() {
        let asked = run.next();
        if asked.as_ref() != Some(round) {
            return Err(Divergence { matched, asked });
        }
        run.observe(round, timings);
        told(run, round, timings);
    }
    Ok(())
}
