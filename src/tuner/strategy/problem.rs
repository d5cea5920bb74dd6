//! The choices to make, as a strategy sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All choices of one tuning run.
#[derive(Debug, Clone, Default)]
pub struct SearchProblem {
    /// One a batch size, in ascending order: neighbours are likely to choose alike.
    pub contests: Vec<Contest>,
}

/// What can run by itself: the search for one contest's choice, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContestId {
    /// The contest's place in the problem.
    pub index: usize,
    /// Which part of it, where a strategy asks about one contest in several independent parts; else 0.
    pub part: u32,
}

impl ContestId {
    /// All of the contest at `index`.
    pub fn of(index: usize) -> Self {
        Self { index, part: 0 }
    }
}

/// One choice: an arm for each slot, all of one link.
#[derive(Debug, Clone)]
pub struct Contest {
    /// The batch size; 0 where the table knows none.
    pub key: u32,
    /// What must be filled: one a role.
    pub slots: Vec<Slot>,
    /// What is used if nothing is chosen.
    pub default: Option<Choice>,
    /// Other choices that deserve a hearing, such as those of a file already in use.
    pub incumbents: Vec<Choice>,
}

/// The arms among which one is chosen.
#[derive(Debug, Clone)]
pub struct Slot {
    /// In no particular order.
    pub arms: Vec<Arm>,
}

/// One thing that can be chosen and timed.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// The same thing has the same name in every contest.
    pub name: u32,
    /// Arms of different slots go together where their links are equal (BLOCK_SIZE_M).
    pub link: u32,
    /// Arms of one family differ little (GROUP_SIZE_M alone): screening tries one of them.
    pub family: u32,
    /// Its place along each parameter, in steps: arms one step apart are neighbours.
    pub place: Vec<u16>,
    /// An estimate of its time to begin with, in any unit.
    pub prior: Option<f64>,
}

/// The index of an arm in each slot.
pub(crate) type Choice = Vec<usize>;

impl Contest {
    /// All arms, by slot and index.
    pub fn arms(&self) -> impl Iterator<Item = (usize, usize, &Arm)> {
        self.slots
            .iter()
            .enumerate()
            .flat_map(|(slot, arms)| arms.arms.iter().enumerate().map(move |(arm, it)| (slot, arm, it)))
    }

    /// The arm at `index` of `slot`.
    pub fn arm(&self, slot: usize, index: usize) -> &Arm {
        &self.slots[slot].arms[index]
    }

    /// The names behind a choice.
    pub fn names(&self, choice: &[usize]) -> Vec<u32> {
        choice.iter().enumerate().map(|(slot, &arm)| self.arm(slot, arm).name).collect()
    }

    /// The choice with these names, where all of them are here.
    pub fn named(&self, names: &[u32]) -> Option<Choice> {
        let find = |(slot, name): (&Slot, &u32)| slot.arms.iter().position(|arm| arm.name == *name);
        self.slots.iter().zip(names).map(find).collect()
    }

    /// The choice with the smallest sum of times, all of one link; none where no link has a time in every
    /// slot.
    pub fn best_by(&self, time: impl Fn(usize, usize) -> Option<f64>) -> Option<Choice> {
        // The best arm of each slot by link; ordered, so that ties fall the same way every time.
        let best_of_slot = |slot: usize| {
            let mut best: BTreeMap<u32, (usize, f64)> = BTreeMap::new();
            for (index, arm) in self.slots[slot].arms.iter().enumerate() {
                if let Some(time) = time(slot, index) {
                    let entry = best.entry(arm.link).or_insert((index, time));
                    if time < entry.1 {
                        *entry = (index, time);
                    }
                }
            }
            best
        };
        let by_slot: Vec<_> = (0..self.slots.len()).map(best_of_slot).collect();
        let (first, others) = by_slot.split_first()?;
        let whole = |(link, (arm, time)): (&u32, &(usize, f64))| {
            let (mut choice, mut sum) = (vec![*arm], *time);
            for slot in others {
                let (arm, time) = slot.get(link)?;
                choice.push(*arm);
                sum += time;
            }
            Some((choice, sum))
        };
        first.iter().filter_map(whole).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(choice, _)| choice)
    }
}

impl Arm {
    /// Whether `other` is one step away along exactly one parameter.
    pub fn is_neighbour(&self, other: &Arm) -> bool {
        let mut steps = 0;
        for (a, b) in self.place.iter().zip(&other.place) {
            steps += a.abs_diff(*b);
            if steps > 1 {
                return false;
            }
        }
        steps == 1
    }
}
