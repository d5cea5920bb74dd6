//! What earlier sessions of a run measured, by contest and node.

use std::collections::BTreeMap;

use crate::host_name::HostName;
use crate::tuner::record::Record;
use crate::tuner::strategy::{ContestId, Entrant, Round, Timings};

/// Rounds of one contest on one node, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContestRounds {
    /// Where.
    pub on: HostName,
    /// What was asked and answered.
    pub rounds: Vec<(Round, Timings)>,
}

/// The measurements in a run's journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// The nodes of a contest in the order in which they began it.
    contests: BTreeMap<ContestId, Vec<ContestRounds>>,
    /// The first look at a GPU that was awake, by node and batch size: what was timed, and the microseconds it took.
    sentinels: BTreeMap<(HostName, u32), (Entrant, Vec<f64>)>,
    /// Time of all, seconds.
    seconds: f64,
}

impl Past {
    /// What `records` hold of measurements.
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut past = Self::default();
        for record in records {
            match record {
                Record::Round { on, round, timings, .. } => {
                    past.seconds += timings.seconds;
                    let nodes = past.contests.entry(round.contest).or_default();
                    let at = nodes.iter().position(|it| it.on == *on).unwrap_or_else(|| {
                        nodes.push(ContestRounds { on: on.clone(), rounds: Vec::new() });
                        nodes.len() - 1
                    });
                    nodes[at].rounds.push((round.clone(), timings.clone()));
                }
                Record::Sentinel { on, batch_size, entrant, awake, times_us, seconds, .. } => {
                    past.seconds += seconds;
                    if *awake {
                        let first = || (entrant.clone(), times_us.clone());
                        past.sentinels.entry((on.clone(), *batch_size)).or_insert_with(first);
                    }
                }
                Record::Session { .. }
                | Record::Joined { .. }
                | Record::Left { .. }
                | Record::Ordered { .. }
                | Record::BatchEnded { .. }
                | Record::Proof { .. }
                | Record::Binary { .. }
                | Record::File { .. } => {}
            }
        }
        past
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.contests.is_empty()
    }

    /// Measuring time, seconds, sentinels and what was begun again elsewhere included.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// What was measured of `contest`, on each node that did.
    pub(crate) fn take(&mut self, contest: ContestId) -> Vec<ContestRounds> {
        self.contests.remove(&contest).unwrap_or_default()
    }

    /// The first contest of which something was measured and never [taken](Self::take).
    pub(crate) fn left_over(&self) -> Option<ContestId> {
        self.contests.keys().next().copied()
    }

    /// The yardstick of `batch_size` on `node`: what was timed there, and the microseconds it took.
    pub(crate) fn sentinel(&self, node: &HostName, batch_size: u32) -> Option<&(Entrant, Vec<f64>)> {
        self.sentinels.get(&(node.clone(), batch_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::strategy::RoutingSeed;
    use crate::worker::protocol::GpuState;

    fn round(index: usize, seed: u32, on: &str) -> Record {
        let round = Round {
            contest: ContestId::of(index),
            routing: RoutingSeed { skewed: false, seed },
            entrants: Vec::new(),
            order: Vec::new(),
            warm_up: true,
            abort_above_us: None,
        };
        let timings = Timings { times_us: Vec::new(), failures: Vec::new(), seconds: 1.5 };
        Record::Round { on: on.parse().unwrap(), round, timings, gpu: GpuState::default(), replaced: 0 }
    }

    #[test]
    fn rounds_are_grouped_by_contest_and_node_however_they_interleave() {
        let look = |awake, time_us| Record::Sentinel {
            on: "b".parse().unwrap(),
            batch_size: 64,
            entrant: Entrant::Single { slot: 0, arm: 7 },
            awake,
            times_us: vec![time_us],
            gpu: GpuState::default(),
            seconds: 0.25,
            replaced: 0,
        };
        let records = [
            round(1, 0, "b"),
            round(0, 0, "a"),
            look(false, 9.0),
            look(true, 2.0),
            round(1, 1, "b"),
            round(0, 1, "a"),
            round(0, 0, "b"),
        ];
        let mut past = Past::of(&records);
        assert_eq!(past.seconds(), 5.0 * 1.5 + 0.5);
        let yardstick = (Entrant::Single { slot: 0, arm: 7 }, vec![2.0]);
        assert_eq!(past.sentinel(&"b".parse().unwrap(), 64), Some(&yardstick));
        assert_eq!(past.sentinel(&"a".parse().unwrap(), 64), None);
        let seeds = |measured: &[ContestRounds]| -> Vec<(String, Vec<u32>)> {
            let seeds = |it: &ContestRounds| it.rounds.iter().map(|(round, _)| round.routing.seed).collect();
            measured.iter().map(|it| (it.on.to_string(), seeds(it))).collect()
        };
        let first = past.take(ContestId::of(0));
        assert_eq!(seeds(&first), [("a".to_owned(), vec![0, 1]), ("b".to_owned(), vec![0])]);
        assert_eq!(past.left_over(), Some(ContestId::of(1)));
        assert_eq!(seeds(&past.take(ContestId::of(1))), [("b".to_owned(), vec![0, 1])]);
        assert_eq!(past.left_over(), None);
    }
}
