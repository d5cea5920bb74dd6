//! Who decided a batch size, and what each node saw of what was chosen. Pure.

use std::collections::BTreeMap;

use super::adopt::speedup;
use super::contests::Contests;
use super::search::Searched;
use super::strategy::{Decision, Grounds};
use crate::artifact::manifest::ManifestSpeedup;
use crate::host_name::HostName;

/// How one batch size was decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// The node that raced it.
    pub on: HostName,
    /// How many times as fast as the default the choice was there, or the best rival of a default that stayed; none
    /// where no such pair ran.
    pub speedup: Option<ManifestSpeedup>,
    /// What a second node said, where one was asked.
    pub second: Option<SecondVerdict>,
}

/// A second node's own word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SecondVerdict {
    /// Which node.
    pub on: HostName,
    /// Whether it would replace the default by the same choice.
    pub agrees: bool,
    /// The same figure by its own times.
    pub speedup: Option<ManifestSpeedup>,
}

/// The verdicts of `decisions` by batch size, on the nodes that `searched` names.
pub(super) fn verdicts(
    contests: &Contests,
    decisions: &[Option<Decision>],
    searched: &Searched,
) -> BTreeMap<u32, Verdict> {
    let verdict = |(at, decision): (usize, &Option<Decision>)| {
        let decision = decision.as_ref()?;
        let against = match decision.grounds {
            Grounds::BeatsDefault(against) | Grounds::Disputed(against) => Some(against),
            Grounds::DefaultKept(rival) => rival,
            Grounds::NoDefault | Grounds::Fastest => None,
        };
        let second = decision.second.zip(searched.judges.get(&at)).map(|(second, [_, on])| SecondVerdict {
            on: on.clone(),
            agrees: second.agrees,
            speedup: second.against.as_ref().map(speedup),
        });
        let on = searched.raced_on.get(&at)?.clone();
        let verdict = Verdict { on, speedup: against.as_ref().map(speedup), second };
        Some((contests.problem.contests[at].key, verdict))
    };
    decisions.iter().enumerate().filter_map(verdict).collect()
}
