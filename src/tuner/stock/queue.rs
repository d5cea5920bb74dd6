//! Which batch size runs next, and where. Pure: no clock, no dice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::host_name::HostName;

/// Processes of one batch size that may fail in a session.
const FAILURES_OF_A_SIZE: usize = 3;
/// After so many failures in a row a node is given up. Of one batch size only the first counts, however often it is tried
/// there: what fails everywhere takes no node along.
const FAILURES_IN_A_ROW: usize = 4;

/// The batch sizes of a run, and the nodes that work on them.
#[derive(Debug)]
pub(super) struct Queue {
    /// What is to be run.
    waiting: BTreeSet<u32>,
    /// Where each failed in this session, once a failure.
    failed: BTreeMap<u32, Vec<HostName>>,
    /// How often each failed in any session.
    failures: BTreeMap<u32, usize>,
    /// How often each went down with a node in any session, by node.
    losses: BTreeMap<(HostName, u32), usize>,
    nodes: BTreeMap<HostName, OneNode>,
}

#[derive(Debug, Default)]
struct OneNode {
    runs: Option<u32>,
    row: Row,
    given_up: bool,
}

/// Failures of a node since its last result.
#[derive(Debug, Default)]
struct Row {
    failed: BTreeSet<u32>,
    losses: usize,
}

/// Whom a failure tells against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Against {
    /// The batch size and the node: the script ran, and came to no result.
    Both,
    /// The node alone: nothing is known of the script.
    Node,
}

/// What a failure led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Consequence {
    /// The batch size is not tried again.
    pub size_given_up: bool,
    /// The node works no more.
    pub node_given_up: bool,
}

impl Queue {
    pub(super) fn new(
        batch_sizes: impl IntoIterator<Item = u32>,
        nodes: impl IntoIterator<Item = HostName>,
    ) -> Self {
        let nodes = nodes.into_iter().map(|name| (name, OneNode::default())).collect();
        let (failed, failures, losses) = Default::default();
        Self { waiting: batch_sizes.into_iter().collect(), failed, failures, losses, nodes }
    }

    /// Another node works.
    pub(super) fn join(&mut self, name: HostName) {
        self.nodes.entry(name).or_default();
    }

    /// Whether nothing is to be run but what runs.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A failure of an earlier session. It gives up nobody: its batch size comes after others, so that a run which goes
    /// on gets to those.
    pub(super) fn failed_before(&mut self, name: &HostName, size: u32, against: Against) {
        *match against {
            Against::Both => self.failures.entry(size).or_default(),
            Against::Node => self.losses.entry((name.clone(), size)).or_default(),
        } += 1;
    }

    /// What idle nodes run now, of what has not failed there: what failed least, and of that the largest, which takes
    /// longest. One that failed on all that are left is given out again all the same.
    pub(super) fn deal(&mut self) -> Vec<(HostName, u32)> {
        let left: BTreeSet<&HostName> =
            self.nodes.iter().filter(|(_, node)| !node.given_up).map(|(name, _)| name).collect();
        let failed_on =
            |size: &u32, name: &HostName| self.failed.get(size).is_some_and(|nodes| nodes.contains(name));
        let mut dealt = Vec::new();
        for name in left.iter().filter(|name| self.nodes[**name].runs.is_none()) {
            let fits = |size: &&u32| !failed_on(size, name) || left.iter().all(|name| failed_on(size, name));
            let place = |size: &&u32| {
                let failures = self.failures.get(*size).copied().unwrap_or_default();
                let losses = self.losses.get(&((*name).clone(), **size)).copied().unwrap_or_default();
                (failures, losses, Reverse(**size))
            };
            if let Some(size) = self.waiting.iter().filter(fits).min_by_key(place).copied() {
                self.waiting.remove(&size);
                dealt.push(((*name).clone(), size));
            }
        }
        for (name, size) in &dealt {
            if let Some(node) = self.nodes.get_mut(name) {
                node.runs = Some(*size);
            }
        }
        dealt
    }

    /// The node's batch size is tuned.
    pub(super) fn tuned(&mut self, name: &HostName) {
        if let Some(node) = self.nodes.get_mut(name) {
            (node.runs, node.row) = (None, Row::default());
        }
    }

    /// The node's batch size came to nothing.
    pub(super) fn failed(&mut self, name: &HostName, against: Against) -> Consequence {
        let mut consequence = Consequence::default();
        let Some(node) = self.nodes.get_mut(name) else { return consequence };
        let Some(size) = node.runs.take() else { return consequence };
        match against {
            Against::Both => _ = node.row.failed.insert(size),
            Against::Node => node.row.losses += 1,
        }
        node.given_up = node.row.failed.len() + node.row.losses >= FAILURES_IN_A_ROW;
        consequence.node_given_up = node.given_up;
        if against == Against::Both {
            let failed = self.failed.entry(size).or_default();
            failed.push(name.clone());
            consequence.size_given_up = failed.len() >= FAILURES_OF_A_SIZE;
        }
        self.failed_before(name, size, against);
        if !consequence.size_given_up {
            self.waiting.insert(size);
        }
        consequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> HostName {
        name.parse().unwrap()
    }

    fn dealt(queue: &mut Queue) -> Vec<(String, u32)> {
        queue.deal().into_iter().map(|(name, size)| (name.to_string(), size)).collect()
    }

    fn is(name: &str, size: u32) -> (String, u32) {
        (name.to_owned(), size)
    }

    #[test]
    fn the_largest_goes_first_to_whoever_is_free() {
        let mut queue = Queue::new([1, 64, 16, 4096], [node("a"), node("b")]);
        assert_eq!(dealt(&mut queue), [is("a", 4096), is("b", 64)]);
        assert_eq!(dealt(&mut queue), []);
        queue.tuned(&node("b"));
        assert_eq!(dealt(&mut queue), [is("b", 16)]);
        queue.tuned(&node("a"));
        queue.tuned(&node("b"));
        assert_eq!(dealt(&mut queue), [is("a", 1)]);
        queue.tuned(&node("a"));
        assert_eq!(dealt(&mut queue), []);
    }

    #[test]
    fn a_node_that_joins_later_gets_what_is_left() {
        let mut queue = Queue::new([1, 64, 16], [node("a")]);
        assert_eq!(dealt(&mut queue), [is("a", 64)]);
        queue.join(node("b"));
        assert_eq!(dealt(&mut queue), [is("b", 16)]);
        assert!(!queue.is_empty());
        queue.tuned(&node("b"));
        assert_eq!(dealt(&mut queue), [is("b", 1)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_failed_goes_to_another_node_and_back_only_where_all_have_failed() {
        let mut queue = Queue::new([8, 4, 2], [node("a"), node("b")]);
        assert_eq!(dealt(&mut queue), [is("a", 8), is("b", 4)]);
        assert_eq!(queue.failed(&node("a"), Against::Both), Consequence::default());
        assert_eq!(dealt(&mut queue), [is("a", 2)]);
        queue.tuned(&node("b"));
        assert_eq!(dealt(&mut queue), [is("b", 8)]);
        queue.failed(&node("b"), Against::Both);
        // Failed on both: whoever is free.
        assert_eq!(dealt(&mut queue), [is("b", 8)]);
        let consequence = queue.failed(&node("b"), Against::Both);
        assert_eq!(consequence, Consequence { size_given_up: true, node_given_up: false });
        queue.tuned(&node("a"));
        assert_eq!(dealt(&mut queue), []);
    }

    #[test]
    fn batch_sizes_that_fail_everywhere_keep_no_other_from_running_and_take_no_node_along() {
        let mut queue = Queue::new([1, 2, 4, 3072, 4096], [node("a")]);
        for size in [4096, 3072] {
            assert_eq!(dealt(&mut queue), [is("a", size)]);
            assert_eq!(queue.failed(&node("a"), Against::Both), Consequence::default());
        }
        for size in [4, 2, 1] {
            assert_eq!(dealt(&mut queue), [is("a", size)]);
            queue.tuned(&node("a"));
        }
        for (size, last) in [(4096, false), (3072, false), (4096, true), (3072, true)] {
            assert_eq!(dealt(&mut queue), [is("a", size)]);
            let consequence = queue.failed(&node("a"), Against::Both);
            assert_eq!(consequence, Consequence { size_given_up: last, node_given_up: false });
        }
        assert_eq!(dealt(&mut queue), []);
    }

    #[test]
    fn a_node_where_different_batch_sizes_fail_in_a_row_is_given_up() {
        let mut queue = Queue::new([1, 2, 4, 8, 16], [node("a")]);
        for (size, last) in [(16, false), (8, false), (4, false), (2, true)] {
            assert_eq!(dealt(&mut queue), [is("a", size)]);
            let consequence = queue.failed(&node("a"), Against::Both);
            assert_eq!(consequence, Consequence { size_given_up: false, node_given_up: last });
        }
        assert_eq!(dealt(&mut queue), []);
    }

    #[test]
    fn a_run_that_goes_on_begins_with_what_has_not_failed_before() {
        let mut queue = Queue::new([1, 2, 8, 16], [node("a"), node("b")]);
        for _ in 0..FAILURES_OF_A_SIZE {
            queue.failed_before(&node("a"), 16, Against::Both);
        }
        queue.failed_before(&node("a"), 8, Against::Node);
        // What went down with the one node is as good as any for another.
        assert_eq!(dealt(&mut queue), [is("a", 2), is("b", 8)]);
        queue.tuned(&node("a"));
        queue.tuned(&node("b"));
        assert_eq!(dealt(&mut queue), [is("a", 1), is("b", 16)]);
        // Those count for nothing else.
        assert_eq!(queue.failed(&node("b"), Against::Both), Consequence::default());
    }

    #[test]
    fn a_node_that_goes_down_tries_another_batch_size_first() {
        let mut queue = Queue::new([8, 4], [node("a")]);
        for (size, last) in [(8, false), (4, false), (8, false), (4, true)] {
            assert_eq!(dealt(&mut queue), [is("a", size)]);
            assert_eq!(queue.failed(&node("a"), Against::Node).node_given_up, last);
        }
    }

    #[test]
    fn a_node_out_of_reach_is_given_up_and_its_batch_size_is_nobody_s_fault() {
        let mut queue = Queue::new([8, 4], [node("a"), node("b")]);
        assert_eq!(dealt(&mut queue), [is("a", 8), is("b", 4)]);
        for row in 1..=FAILURES_IN_A_ROW {
            let consequence = queue.failed(&node("a"), Against::Node);
            assert_eq!(
                consequence,
                Consequence { size_given_up: false, node_given_up: row == FAILURES_IN_A_ROW }
            );
            let again: &[_] = if row < FAILURES_IN_A_ROW { &[is("a", 8)] } else { &[] };
            assert_eq!(dealt(&mut queue), again);
        }
        queue.tuned(&node("b"));
        assert_eq!(dealt(&mut queue), [is("b", 8)]);
    }

    #[test]
    fn a_result_wipes_out_what_went_before() {
        let mut queue = Queue::new([9, 8, 7, 6, 5], [node("a")]);
        for _ in 0..3 {
            queue.deal();
            queue.failed(&node("a"), Against::Node);
        }
        queue.deal();
        queue.tuned(&node("a"));
        queue.deal();
        assert!(!queue.failed(&node("a"), Against::Node).node_given_up);
    }
}
