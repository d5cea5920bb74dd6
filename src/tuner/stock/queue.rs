//! Which batch size runs next, and where. Pure: no clock, no dice.

use std::collections::{BTreeMap, BTreeSet};

use crate::host_name::HostName;

/// Processes of one batch size that may fail.
const FAILURES_OF_A_SIZE: usize = 3;
/// Failures in a row after which a node is given up. More than a batch size may have: one that fails everywhere takes no
/// node along.
const FAILURES_IN_A_ROW: u32 = 4;

/// The batch sizes of a run, and the nodes that work on them.
#[derive(Debug)]
pub(super) struct Queue {
    /// What is to be run, the largest first: it takes longest.
    waiting: Vec<u32>,
    /// Where each failed so far, once a failure.
    failed: BTreeMap<u32, Vec<HostName>>,
    nodes: BTreeMap<HostName, OneNode>,
}

#[derive(Debug, Default)]
struct OneNode {
    runs: Option<u32>,
    in_a_row: u32,
    given_up: bool,
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
        let mut waiting: Vec<u32> = batch_sizes.into_iter().collect();
        waiting.sort_unstable();
        waiting.reverse();
        let nodes = nodes.into_iter().map(|name| (name, OneNode::default())).collect();
        Self { waiting, failed: BTreeMap::new(), nodes }
    }

    /// What idle nodes run now: the largest that has not failed there. One that failed on all that are left is given out
    /// again all the same.
    pub(super) fn deal(&mut self) -> Vec<(HostName, u32)> {
        let left: BTreeSet<&HostName> =
            self.nodes.iter().filter(|(_, node)| !node.given_up).map(|(name, _)| name).collect();
        let failed_on =
            |size: &u32, name: &HostName| self.failed.get(size).is_some_and(|nodes| nodes.contains(name));
        let mut dealt = Vec::new();
        for name in left.iter().filter(|name| self.nodes[**name].runs.is_none()) {
            let fits = |size: &u32| !failed_on(size, name) || left.iter().all(|name| failed_on(size, name));
            if let Some(at) = self.waiting.iter().position(fits) {
                dealt.push(((*name).clone(), self.waiting.remove(at)));
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
            (node.runs, node.in_a_row) = (None, 0);
        }
    }

    /// The node's batch size came to nothing.
    pub(super) fn failed(&mut self, name: &HostName, against: Against) -> Consequence {
        let mut consequence = Consequence::default();
        let Some(node) = self.nodes.get_mut(name) else { return consequence };
        node.in_a_row += 1;
        node.given_up = node.in_a_row >= FAILURES_IN_A_ROW;
        consequence.node_given_up = node.given_up;
        let Some(size) = node.runs.take() else { return consequence };
        if against == Against::Both {
            let failed = self.failed.entry(size).or_default();
            failed.push(name.clone());
            consequence.size_given_up = failed.len() >= FAILURES_OF_A_SIZE;
        }
        if !consequence.size_given_up {
            let at = self.waiting.iter().position(|other| *other < size).unwrap_or(self.waiting.len());
            self.waiting.insert(at, size);
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
    fn a_batch_size_that_fails_everywhere_takes_no_node_along() {
        let mut queue = Queue::new([8, 4], [node("a")]);
        for tried in 1..=FAILURES_OF_A_SIZE {
            assert_eq!(dealt(&mut queue), [is("a", 8)]);
            let consequence = queue.failed(&node("a"), Against::Both);
            assert_eq!(consequence.size_given_up, tried == FAILURES_OF_A_SIZE);
            assert!(!consequence.node_given_up);
        }
        assert_eq!(dealt(&mut queue), [is("a", 4)]);
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
