//! One arm for each family.

use std::collections::BTreeMap;

use super::super::Contest;

/// The arm of the best prior of each family, with that prior; infinite where there is none.
pub(super) fn representatives(contest: &Contest) -> Vec<(usize, usize, f64)> {
    let mut best: BTreeMap<(usize, u32), (usize, f64)> = BTreeMap::new();
    for (slot, index, arm) in contest.arms() {
        let prior = arm.prior.unwrap_or(f64::INFINITY);
        let entry = best.entry((slot, arm.family)).or_insert((index, prior));
        if prior < entry.1 {
            *entry = (index, prior);
        }
    }
    best.into_iter().map(|((slot, _), (arm, prior))| (slot, arm, prior)).collect()
}
