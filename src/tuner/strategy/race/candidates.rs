//! Which arms are tried, and in what order: lists of arms, one arm for a family, and arms by what a whole
//! choice with them would take.

use std::collections::{BTreeMap, HashSet};

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::super::{Contest, LogTimes};
use super::families::representatives;
use super::options::Options;
use super::transfer::{Transfer, predicted};

/// One arm of every family and every incumbent, best prior first.
pub(super) fn everything(contest: &Contest, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut listed = Candidates::with_incumbents(contest);
    for arm in families(contest, rng) {
        listed.add(arm);
    }
    listed.order
}

/// The incumbents, what was best at the predecessors or is predicted from them, and a random share.
pub(super) fn inherited(
    contest: &Contest,
    predecessors: &[&Transfer],
    options: &Options,
    rng: &mut ChaCha8Rng,
) -> Vec<(usize, usize)> {
    let mut families = families(contest, rng);
    families.shuffle(rng);
    let mut listed = Candidates::with_incumbents(contest);
    for arm in predecessors.iter().flat_map(|it| it.best_in(contest)) {
        listed.add(arm);
    }
    let predicted = ranked_by_whole(contest, &predicted(contest, predecessors));
    for (arm, _) in predicted.into_iter().take(options.predicted) {
        listed.add(arm);
    }
    let share = (families.len() as f64 * options.random_share).ceil() as usize;
    for arm in families.into_iter().take(share) {
        listed.add(arm);
    }
    listed.order
}

/// One arm of every family of every slot, best prior first, those without in random order.
fn families(contest: &Contest, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut families = representatives(contest);
    families.shuffle(rng);
    families.sort_by(|a, b| a.2.total_cmp(&b.2));
    families.into_iter().map(|(slot, arm, _)| (slot, arm)).collect()
}

/// Arms in order, each once.
pub(super) struct Candidates {
    pub(super) order: Vec<(usize, usize)>,
    seen: HashSet<(usize, usize)>,
}

impl Candidates {
    /// The default and the incumbents: the first to be tried, everywhere.
    pub(super) fn with_incumbents(contest: &Contest) -> Self {
        let mut listed = Self { order: Vec::new(), seen: HashSet::new() };
        for choice in contest.default.iter().chain(&contest.incumbents) {
            for arm in choice.iter().copied().enumerate() {
                listed.add(arm);
            }
        }
        listed
    }

    pub(super) fn add(&mut self, arm: (usize, usize)) {
        if self.seen.insert(arm) {
            self.order.push(arm);
        }
    }
}

/// Every screened arm with the logarithm of how much slower its best whole choice is than the best of all,
/// best first. An arm without a partner of its link is left out.
pub(super) fn ranked_by_whole(contest: &Contest, scores: &LogTimes) -> Vec<((usize, usize), f64)> {
    let time = |slot: usize, arm: usize| scores[slot][arm].map(f64::exp);
    let mut best: Vec<BTreeMap<u32, f64>> = vec![BTreeMap::new(); contest.slots.len()];
    for (slot, index, arm) in contest.arms() {
        if let Some(time) = time(slot, index) {
            let entry = best[slot].entry(arm.link).or_insert(time);
            *entry = entry.min(time);
        }
    }
    let whole = |slot: usize, index: usize, link: u32| -> Option<f64> {
        let others: Option<f64> =
            (0..best.len()).filter(|&other| other != slot).map(|other| best[other].get(&link).copied()).sum();
        Some(time(slot, index)? + others?)
    };
    let mut ranked: Vec<_> = contest
        .arms()
        .filter_map(|(slot, index, arm)| Some(((slot, index), whole(slot, index, arm.link)?)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let fastest = ranked.first().map_or(1.0, |it| it.1);
    for it in &mut ranked {
        it.1 = (it.1 / fastest).ln();
    }
    ranked
}
