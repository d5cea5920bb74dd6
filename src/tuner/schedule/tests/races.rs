//! Who races what, and what becomes of a contest whose node dies.

use super::*;

#[test]
fn a_contest_waits_for_its_kernels_on_its_node() {
    let mut known = units(3);
    for unit in &mut known {
        unit.known = true;
    }
    known[0].on = vec![node("a")];
    let mut scheduler = Scheduler::new(known);
    assert_eq!(scheduler.offer(WorkRace { needs: vec![0, 1], begun_on: None, second_to: None }), 0);
    assert_eq!(scheduler.offer(WorkRace { needs: vec![2], begun_on: None, second_to: None }), 1);
    let (a, b) = (node("a"), node("b"));
    scheduler.joined(a.clone(), TIMES);
    scheduler.joined(b.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![2, 1])), "for both contests");
    assert_eq!(scheduler.next(&b), None, "a is at all there is, and b cannot time");
    for lacks in [2, 1] {
        assert!(!scheduler.compiled(&a, lacks), "no news");
    }
    scheduler.batch_ended(&a);
    for race in [0, 1] {
        assert_eq!(scheduler.next(&a), Some(Task::Race(race)));
        scheduler.race_ended(&a);
    }
    assert!(scheduler.is_done());
}

#[test]
fn half_a_contest_goes_on_where_it_was_begun_and_begins_anew_only_without_that_node() {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(WorkRace { begun_on: Some(b.clone()), ..WorkRace::default() });
    scheduler.offer(WorkRace::default());
    scheduler.joined(a.clone(), TIMES);
    scheduler.joined(b.clone(), TIMES);
    assert_eq!(scheduler.next(&a), Some(Task::Race(1)), "the other one is b's");
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
    scheduler.race_ended(&a);
    assert_eq!(scheduler.next(&a), None);
    scheduler.left(&b, Fate::Lost);
    assert_eq!(scheduler.next(&a), None, "b is expected back");
    assert!(!scheduler.is_stuck());
    scheduler.gone(&b);
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
}

#[test]
fn a_contest_does_not_wait_for_a_node_that_only_compiles_now() {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(WorkRace { begun_on: Some(b.clone()), ..WorkRace::default() });
    scheduler.joined(b, COMPILES);
    scheduler.joined(a.clone(), TIMES);
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
}

#[test]
fn nobody_waits_for_what_nobody_can_do() {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(WorkRace::default());
    scheduler.joined(a.clone(), COMPILES);
    assert_eq!(scheduler.next(&a), None);
    assert!(scheduler.is_stuck(), "no node times");
    scheduler.expects(b.clone(), TIMES);
    assert!(!scheduler.is_stuck(), "one that does comes back");
    assert_eq!(scheduler.next(&b), None, "not yet");
    scheduler.joined(b.clone(), TIMES);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
    // Word of another task ends nothing.
    scheduler.batch_ended(&b);
    assert_eq!(scheduler.next(&b), None);
    scheduler.race_ended(&b);
    assert!(scheduler.is_done());
}

#[test]
fn deaths_far_apart_give_no_contest_up() {
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(WorkRace::default());
    let a = node("a");
    for _ in 0..10 {
        scheduler.joined(a.clone(), TIMES);
        assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
        scheduler.race_went_on(&a);
        scheduler.left(&a, Fate::Died);
    }
    assert!(scheduler.lost_races().is_empty());
}

#[test]
fn a_contest_that_two_workers_died_on_is_given_up() {
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(WorkRace::default());
    let a = node("a");
    for _ in 0..2 {
        scheduler.joined(a.clone(), TIMES);
        assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
        scheduler.left(&a, Fate::Died);
    }
    scheduler.joined(a.clone(), TIMES);
    assert_eq!(scheduler.next(&a), None);
    assert!(scheduler.is_done());
    assert_eq!(scheduler.lost_races(), [0]);
}

/// Workers of `a` die on anything, those of `b` on nothing.
/// A contest needs its binary here: what takes every worker of this node along is done without, here alone.
#[test]
fn a_binary_that_a_node_cannot_make_is_still_made_elsewhere() {
    let known = WorkUnit { known: true, ..WorkUnit::default() };
    let mut scheduler = Scheduler::new(vec![known]);
    let (a, b) = (node("a"), node("b"));
    let needs = || WorkRace { needs: vec![0], ..WorkRace::default() };
    scheduler.offer(needs());
    scheduler.offer(needs());
    for name in [&a, &b] {
        scheduler.joined(name.clone(), TIMES);
    }
    for _ in 0..2 {
        assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![0])));
        assert_eq!(scheduler.left(&a, Fate::Died), []);
        scheduler.joined(a.clone(), TIMES);
    }
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
    assert_eq!(scheduler.next(&b), Some(Task::Compile(vec![0])));
}

#[test]
fn a_contest_that_one_node_died_on_twice_begins_anew_on_another() {
    let (a, b) = (node("a"), node("b"));
    for b_dies in [false, true] {
        let mut scheduler = Scheduler::new(Vec::new());
        scheduler.offer(WorkRace::default());
        scheduler.joined(a.clone(), TIMES);
        scheduler.expects(b.clone(), TIMES);
        for _ in 0..2 {
            assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
            scheduler.left(&a, Fate::Died);
            scheduler.joined(a.clone(), TIMES);
        }
        assert_eq!(scheduler.next(&a), None, "it is b's now");
        assert!(scheduler.lost_races().is_empty());
        scheduler.joined(b.clone(), TIMES);
        assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
        if !b_dies {
            scheduler.race_ended(&b);
            assert!(scheduler.is_done());
            continue;
        }
        scheduler.left(&b, Fate::Died);
        scheduler.joined(b.clone(), TIMES);
        assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
        scheduler.left(&b, Fate::Died);
        assert_eq!(scheduler.lost_races(), [0]);
    }
}

fn second_to(first: &HostName) -> WorkRace {
    WorkRace { second_to: Some(first.clone()), ..WorkRace::default() }
}

#[test]
fn a_second_word_is_never_the_first_nodes_and_comes_after_what_others_wait_for() {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(second_to(&a));
    scheduler.offer(WorkRace::default());
    scheduler.joined(a.clone(), TIMES);
    scheduler.joined(b.clone(), TIMES);
    assert_eq!(scheduler.next(&b), Some(Task::Race(1)));
    assert_eq!(scheduler.next(&a), None, "it is the one that raced it");
    assert!(!scheduler.is_done() && !scheduler.is_stuck());
    scheduler.race_ended(&b);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
    assert!(!scheduler.is_done(), "b is at it");
    scheduler.race_ended(&b);
    assert!(scheduler.is_done());
}

#[test]
fn nobody_waits_for_a_second_word_without_a_second_node_that_times() {
    let (a, b, c) = (node("a"), node("b"), node("c"));
    let mut scheduler = Scheduler::new(Vec::new());
    scheduler.offer(second_to(&a));
    scheduler.joined(a.clone(), TIMES);
    scheduler.joined(c.clone(), COMPILES);
    assert!(scheduler.is_done());
    assert_eq!((scheduler.next(&a), scheduler.next(&c)), (None, None));
    // One that does is waited for, until it is gone for good.
    scheduler.expects(b.clone(), TIMES);
    assert!(!scheduler.is_done() && !scheduler.is_stuck());
    scheduler.joined(b.clone(), TIMES);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
    scheduler.left(&b, Fate::Lost);
    assert!(!scheduler.is_done());
    scheduler.gone(&b);
    assert!(scheduler.is_done() && !scheduler.is_stuck());
}
