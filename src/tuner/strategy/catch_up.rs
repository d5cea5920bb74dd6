//! How a contest is told what was measured of it before.

use super::{ContestRun, Round, Timings};

/// Where a contest no longer asks what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Divergence {
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
pub(crate) fn catch_up(
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
