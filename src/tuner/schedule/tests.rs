//! Hand-made histories of units; of races, of binaries that travel, and of made-up nodes with a dice, in files of their own.

use std::collections::BTreeSet;

use super::*;

mod dice;
mod races;
mod travel;

fn node(name: &str) -> HostName {
    name.parse().unwrap()
}

fn units(count: usize) -> Vec<WorkUnit> {
    (0..count).map(|at| WorkUnit { cost: at as u64, ..WorkUnit::default() }).collect()
}

const COMPILES: Able = Able { jobs: 2, times: false };
const TIMES: Able = Able { jobs: 2, times: true };

#[test]
fn a_node_alone_takes_everything_the_dearest_first() {
    let mut scheduler = Scheduler::new(units(5));
    let a = node("a");
    assert_eq!(scheduler.next(&a), None, "it has not joined");
    scheduler.joined(a.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![4, 3, 2, 1, 0])));
    assert_eq!(scheduler.next(&a), None, "it is busy");
    assert!((0..5).all(|unit| scheduler.compiled(&a, unit)));
    scheduler.batch_ended(&a);
    assert!(scheduler.is_done());
    assert_eq!(scheduler.next(&a), None);
}

#[test]
fn several_nodes_share_by_their_processors_what_it_all_costs() {
    let mut scheduler = Scheduler::new(units(100));
    let (a, b) = (node("a"), node("b"));
    scheduler.joined(a.clone(), Able { jobs: 1, times: false });
    scheduler.joined(b.clone(), Able { jobs: 3, times: false });
    let mut cost = |name| match scheduler.next(name) {
        Some(Task::Compile(batch)) => batch.iter().sum::<usize>(),
        other => panic!("{other:?}"),
    };
    // Half of its quarter of 4,951 (what costs nothing counts one), with what its last unit is above that: 99 to 93.
    assert_eq!(cost(&a), 672);
    // Half of its three quarters of the 4,279 left: 92 to 73.
    assert_eq!(cost(&b), 1650);
}

/// Whatever they cost, all nodes end at about the same time: nobody has taken more than the others can make up for.
#[test]
fn nodes_that_share_work_end_together() {
    for (nodes, count, cost) in [
        (64, 20_000, (|at| 1 + at * at) as fn(u64) -> u64),
        (64, 2_000, |at| 100 + 1_000_000 / (1 + at)),
        (4, 728, |at| at % 7 * (at % 40)),
        (3, 100, |_| 0),
    ] {
        let work = (0..count).map(|at| WorkUnit { cost: cost(at), ..WorkUnit::default() });
        let mut scheduler = Scheduler::new(work.collect());
        let names: Vec<HostName> = (0..nodes).map(|at| node(&format!("n{at}"))).collect();
        names.iter().for_each(|name| scheduler.joined(name.clone(), Able { jobs: 1, times: false }));
        // Who is idle, and from when on.
        let mut idle: BTreeSet<(u64, usize)> = (0..nodes).map(|at| (0, at)).collect();
        let mut ends = 0;
        while let Some((now, at)) = idle.pop_first() {
            let Some(Task::Compile(batch)) = scheduler.next(&names[at]) else { continue };
            let end = now + batch.iter().map(|unit| cost(*unit as u64).max(1)).sum::<u64>();
            ends = ends.max(end);
            batch.into_iter().for_each(|unit| assert!(scheduler.compiled(&names[at], unit)));
            scheduler.batch_ended(&names[at]);
            idle.insert((end, at));
        }
        assert!(scheduler.is_done());
        let all: u64 = (0..count).map(|at| cost(at).max(1)).sum();
        let dearest = (0..count).map(cost).max().unwrap();
        let best = (all / nodes as u64).max(dearest);
        assert!(ends <= best + best / 20 + 1, "{nodes} nodes, {count} units: {ends} for {best}");
    }
}

#[test]
fn a_killer_is_found_by_halves_and_nobody_else_is_given_up() {
    let (killer, count) = (5, 16);
    let mut scheduler = Scheduler::new(units(count));
    let a = node("a");
    let (mut given_up, mut deaths) = (Vec::new(), 0);
    while !scheduler.is_done() {
        scheduler.joined(a.clone(), COMPILES);
        while let Some(Task::Compile(batch)) = scheduler.next(&a) {
            if batch.contains(&killer) {
                deaths += 1;
                given_up.extend(scheduler.left(&a, Fate::Died));
                break;
            }
            for unit in batch {
                assert!(scheduler.compiled(&a, unit));
            }
            scheduler.batch_ended(&a);
        }
    }
    // 16, 8, 4, 2, 1 and 1.
    assert_eq!((given_up, deaths), (vec![(killer, 6)], 6));
}

#[test]
fn one_death_alone_is_anybodys_and_a_lost_link_is_nobodys() {
    let mut scheduler = Scheduler::new(units(1));
    let a = node("a");
    for _ in 0..10 {
        scheduler.joined(a.clone(), COMPILES);
        assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![0])));
        assert_eq!(scheduler.left(&a, Fate::Lost), []);
    }
    for given_up in [vec![], vec![(0, 2)]] {
        scheduler.joined(a.clone(), COMPILES);
        assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![0])));
        assert_eq!(scheduler.left(&a, Fate::Died), given_up);
    }
    assert!(scheduler.is_done());
}

/// A slow node that was taken for lost may still answer; so does the one that got its unit.
#[test]
fn a_unit_that_two_nodes_do_counts_once_whoever_is_first() {
    for late_first in [true, false] {
        let mut scheduler = Scheduler::new(units(1));
        let (slow, quick) = (node("n1"), node("n2"));
        scheduler.joined(slow.clone(), COMPILES);
        scheduler.joined(quick.clone(), COMPILES);
        assert_eq!(scheduler.next(&slow), Some(Task::Compile(vec![0])));
        assert_eq!(scheduler.next(&quick), None, "it is out");
        assert_eq!(scheduler.left(&slow, Fate::Lost), []);
        assert_eq!(scheduler.next(&quick), Some(Task::Compile(vec![0])));
        let answers = if late_first { [&slow, &quick] } else { [&quick, &slow] };
        assert_eq!(answers.map(|node| scheduler.compiled(node, 0)), [true, false], "{late_first}");
        scheduler.batch_ended(&quick);
        scheduler.joined(slow.clone(), COMPILES);
        assert_eq!((scheduler.next(&slow), scheduler.next(&quick)), (None, None));
        assert!(scheduler.is_done());
    }
}

#[test]
fn a_node_that_dies_on_everything_convicts_nothing_while_another_is_there() {
    let mut scheduler = Scheduler::new(units(6));
    let (a, b) = (node("a"), node("b"));
    scheduler.joined(a.clone(), COMPILES);
    scheduler.joined(b.clone(), COMPILES);
    // However often it dies, and with b at something else.
    let Some(Task::Compile(of_b)) = scheduler.next(&b) else { panic!("nothing for b") };
    let mut died_alone = BTreeSet::new();
    while let Some(Task::Compile(batch)) = scheduler.next(&a) {
        if let [only] = batch[..] {
            assert!(died_alone.insert(only), "{only} went out to it again");
        }
        assert_eq!(scheduler.left(&a, Fate::Died), []);
        scheduler.joined(a.clone(), COMPILES);
    }
    assert_eq!(died_alone.len() + of_b.len(), 6);
    assert!(!scheduler.is_done() && !scheduler.is_stuck());
    let mut next = Some(Task::Compile(of_b));
    while let Some(Task::Compile(batch)) = next {
        assert!(batch.into_iter().all(|unit| scheduler.compiled(&b, unit)));
        scheduler.batch_ended(&b);
        next = scheduler.next(&b);
    }
    assert!(scheduler.is_done());
}

#[test]
fn a_killer_is_given_up_after_a_death_on_each_of_two_nodes() {
    let mut scheduler = Scheduler::new(units(1));
    let (a, b) = (node("a"), node("b"));
    scheduler.joined(a.clone(), COMPILES);
    scheduler.joined(b.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![0])));
    assert_eq!(scheduler.left(&a, Fate::Died), []);
    scheduler.joined(a.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), None, "it is for b to tell");
    assert_eq!(scheduler.next(&b), Some(Task::Compile(vec![0])));
    assert_eq!(scheduler.left(&b, Fate::Died), [(0, 2)]);
    assert!(scheduler.is_done());
}

/// The other node is gone for good: there is nobody else to tell.
#[test]
fn where_no_other_node_is_left_two_deaths_on_one_are_enough() {
    let mut scheduler = Scheduler::new(units(1));
    let (a, b) = (node("a"), node("b"));
    scheduler.joined(a.clone(), COMPILES);
    scheduler.expects(b.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![0])));
    assert_eq!(scheduler.left(&a, Fate::Died), []);
    scheduler.joined(a.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), None, "b is expected back");
    assert!(!scheduler.is_stuck());
    scheduler.gone(&b);
    assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![0])));
    assert_eq!(scheduler.left(&a, Fate::Died), [(0, 2)]);
}
