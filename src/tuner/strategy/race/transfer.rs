//! What a contest that is over passes on to its successors: which arms were best, and how wrong the priors were.

use std::collections::HashMap;

use super::super::{Contest, LogTimes};
use super::families::representatives;

/// What one contest passes on.
#[derive(Debug)]
pub(super) struct Transfer {
    /// The best arms of each slot by name and family: what a successor tries first.
    top: Vec<(usize, u32, u32)>,
    /// By slot and family: the logarithm of what an arm took over its prior.
    residuals: HashMap<(usize, u32), f64>,
}

impl Transfer {
    /// What follows from `known`, the logarithms of times by slot and arm: the `most` best arms of each slot, and
    /// residuals.
    pub(super) fn of(contest: &Contest, known: &LogTimes, most: usize) -> Self {
        let mut residuals = HashMap::new();
        for (slot, index, arm) in contest.arms() {
            if let (Some(score), Some(prior)) = (known[slot][index], arm.prior) {
                residuals.insert((slot, arm.family), score - prior.ln());
            }
        }
        let mut top = Vec::new();
        for (slot, scores) in known.iter().enumerate() {
            let mut scored: Vec<_> =
                scores.iter().enumerate().filter_map(|(arm, score)| Some((arm, (*score)?))).collect();
            scored.sort_by(|a, b| a.1.total_cmp(&b.1));
            let named =
                |(arm, _): (usize, f64)| (slot, contest.arm(slot, arm).name, contest.arm(slot, arm).family);
            top.extend(scored.into_iter().take(most).map(named));
        }
        Self { top, residuals }
    }

    /// The best arms, as they are found in another contest.
    pub(super) fn best_in<'a>(&'a self, contest: &'a Contest) -> impl Iterator<Item = (usize, usize)> + 'a {
        self.top.iter().filter_map(|&(slot, name, family)| {
            let arms = &contest.slots[slot].arms;
            let same = arms.iter().position(|arm| arm.name == name);
            // The same tile under another GROUP_SIZE_M, where that one means nothing here.
            let found = same.or_else(|| arms.iter().position(|arm| arm.family == family));
            Some((slot, found?))
        })
    }
}

/// What the representative of each family should take in `contest`: its prior, corrected by how wrong the prior
/// was at `predecessors`.
pub(super) fn predicted(contest: &Contest, predecessors: &[&Transfer]) -> LogTimes {
    let mut predicted: LogTimes = contest.slots.iter().map(|slot| vec![None; slot.arms.len()]).collect();
    for (slot, index, prior) in representatives(contest) {
        let family = contest.arm(slot, index).family;
        let residuals = predecessors.iter().filter_map(|it| it.residuals.get(&(slot, family)));
        let (sum, count) = residuals.fold((0.0, 0), |(sum, count), residual| (sum + residual, count + 1));
        if count > 0 && prior.is_finite() {
            predicted[slot][index] = Some(prior.ln() + sum / f64::from(count));
        }
    }
    predicted
}
