//! The figures of a race, each with what it is for.

use serde::{Deserialize, Serialize};

/// How a race is run. Ratios are of times: 0.01 is one per cent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Share of the families tried at random where the whole space is not screened.
    pub random_share: f64,
    /// Candidates of a neighbouring batch size that are tried again.
    pub inherited: usize,
    /// Candidates by the corrected prior where the whole space is not screened.
    pub predicted: usize,
    /// Slower than the screening's leader by more than this is not looked at twice.
    pub second_look_within: f64,
    /// Arms whose whole families get a second look with them.
    pub whole_families: usize,
    /// Slower than the leader by more than this after the second look does not enter the race.
    pub race_within: f64,
    /// Arms that enter the race at most.
    pub candidates: usize,
    /// A deficit up to this is never a reason to eliminate an arm.
    pub deficit: f64,
    /// Probability that one judgement of an arm in the race is wrong.
    pub race_miss: f64,
    /// Blocks after which a race ends where nothing more is eliminated.
    pub blocks: usize,
    /// Times the survivors' neighbours may join.
    pub expansions: usize,
    /// Whole choices that stay in each round of a confirmation; the last figure holds to the end.
    pub rivals: [usize; 3],
    /// Those of them that are confirmed even where they trail by more than the deficit.
    pub sure_rivals: usize,
    /// Pairs of a confirmation.
    pub pairs: usize,
    /// Probability that a confirmation's interval misses, for each rival.
    pub confirm_miss: f64,
    /// The gain below which the default stays.
    pub margin: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            random_share: 1.0 / 16.0,
            inherited: 12,
            predicted: 24,
            second_look_within: 0.25,
            whole_families: 24,
            race_within: 0.10,
            candidates: 48,
            deficit: 0.01,
            race_miss: 0.01,
            blocks: 16,
            expansions: 3,
            // No more runs than three rivals to the end, even where none can be told from another.
            rivals: [5, 3, 2],
            sure_rivals: 3,
            pairs: 200,
            confirm_miss: 0.003,
            margin: 0.005,
        }
    }
}
