//! Binaries that one node made and others need: who gives, who takes, who waits, and who makes them all the same.

use std::collections::BTreeMap;

use super::*;

/// So many units that are proven, and whose binaries these nodes have.
fn proven(count: usize, on: &[&HostName]) -> Vec<WorkUnit> {
    let on: Vec<HostName> = on.iter().map(|&name| name.clone()).collect();
    units(count).into_iter().map(|unit| WorkUnit { known: true, on: on.clone(), ..unit }).collect()
}

fn needs(units: &[UnitIndex]) -> WorkRace {
    WorkRace { needs: units.to_vec(), ..WorkRace::default() }
}

fn two(work: Vec<WorkUnit>) -> (Scheduler, HostName, HostName) {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(work);
    scheduler.joined(a.clone(), TIMES);
    scheduler.joined(b.clone(), TIMES);
    (scheduler, a, b)
}

fn gives(scheduler: &mut Scheduler, node: &HostName, given: &[(UnitIndex, bool)]) {
    let units: Vec<UnitIndex> = given.iter().map(|it| it.0).collect();
    assert_eq!(scheduler.next(node), Some(Task::Give(units)));
    for &(unit, did) in given {
        scheduler.gave(node, unit, did);
    }
    scheduler.batch_ended(node);
}

fn takes(scheduler: &mut Scheduler, node: &HostName, taken: &[(UnitIndex, bool)]) {
    let units: Vec<UnitIndex> = taken.iter().map(|it| it.0).collect();
    assert_eq!(scheduler.next(node), Some(Task::Take(units)));
    for &(unit, did) in taken {
        scheduler.took(node, unit, did);
    }
    scheduler.batch_ended(node);
}

fn compiles(scheduler: &mut Scheduler, node: &HostName, units: &[UnitIndex]) {
    assert_eq!(scheduler.next(node), Some(Task::Compile(units.to_vec())));
    units.iter().for_each(|&unit| assert!(!scheduler.compiled(node, unit)));
    scheduler.batch_ended(node);
}

#[test]
fn who_has_it_gives_it_and_who_needs_it_takes_it() {
    let a = node("a");
    let (mut scheduler, a, b) = two(proven(2, &[&a]));
    scheduler.offer(needs(&[0, 1]));
    scheduler.offer(needs(&[1]));
    // Before anything else: once it races it gives nothing.
    gives(&mut scheduler, &a, &[(0, true), (1, true)]);
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
    takes(&mut scheduler, &b, &[(1, true)]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(1)));
    scheduler.race_ended(&a);
    scheduler.race_ended(&b);
    assert!(scheduler.is_done());
    // The second word on the first contest: what is there already is not taken again.
    scheduler.offer(WorkRace { second_to: Some(a.clone()), ..needs(&[0, 1]) });
    assert_eq!(scheduler.next(&a), None);
    takes(&mut scheduler, &b, &[(0, true)]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(2)));
}

#[test]
fn a_node_waits_for_another_that_is_about_to_give() {
    let a = node("a");
    let (mut scheduler, a, b) = two(proven(2, &[&a]));
    scheduler.offer(needs(&[0, 1]));
    assert_eq!(scheduler.next(&b), None, "it comes from a");
    assert_eq!(scheduler.next(&a), Some(Task::Give(vec![0, 1])));
    assert!(!scheduler.is_stuck());
    scheduler.gave(&a, 0, true);
    assert_eq!(scheduler.next(&b), None, "all of it at once");
    scheduler.gave(&a, 1, true);
    takes(&mut scheduler, &b, &[(0, true), (1, true)]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
}

#[test]
fn what_does_not_travel_is_compiled_by_whoever_needs_it() {
    let a = node("a");
    let (mut scheduler, a, b) = two(proven(3, &[&a]));
    scheduler.offer(needs(&[0, 1, 2]));
    assert_eq!(scheduler.next(&b), None);
    gives(&mut scheduler, &a, &[(0, true), (1, false), (2, true)]);
    compiles(&mut scheduler, &b, &[1]);
    // What it made itself it gives.
    gives(&mut scheduler, &b, &[(1, true)]);
    takes(&mut scheduler, &b, &[(0, false), (2, true)]);
    compiles(&mut scheduler, &b, &[0]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
}

#[test]
fn what_a_batch_does_not_speak_of_did_not_travel() {
    let a = node("a");
    let (mut scheduler, a, b) = two(proven(2, &[&a]));
    scheduler.offer(needs(&[0, 1]));
    assert_eq!(scheduler.next(&b), None);
    assert_eq!(scheduler.next(&a), Some(Task::Give(vec![0, 1])));
    scheduler.gave(&a, 1, true);
    scheduler.batch_ended(&a);
    compiles(&mut scheduler, &b, &[0]);
    gives(&mut scheduler, &b, &[(0, false)]);
    assert_eq!(scheduler.next(&b), Some(Task::Take(vec![1])));
    scheduler.batch_ended(&b);
    compiles(&mut scheduler, &b, &[1]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
}

/// A worker that died at it is not asked again; one that was lost is.
#[test]
fn a_node_that_died_over_it_is_not_asked_again_and_nobody_waits_for_one_that_is_away() {
    let a = node("a");
    for how in [Fate::Died, Fate::Lost] {
        let (mut scheduler, a, b) = two(proven(2, &[&a]));
        scheduler.offer(needs(&[0, 1]));
        assert_eq!(scheduler.next(&b), None);
        assert_eq!(scheduler.next(&a), Some(Task::Give(vec![0, 1])));
        scheduler.gave(&a, 0, true);
        assert_eq!(scheduler.left(&a, how), []);
        compiles(&mut scheduler, &b, &[1]);
        scheduler.joined(a.clone(), TIMES);
        assert_eq!(scheduler.next(&a), (how == Fate::Lost).then(|| Task::Give(vec![1])));
    }
    for how in [Fate::Died, Fate::Lost] {
        let (mut scheduler, a, b) = two(proven(2, &[&a]));
        scheduler.offer(needs(&[0, 1]));
        assert_eq!(scheduler.next(&b), None);
        gives(&mut scheduler, &a, &[(0, true), (1, true)]);
        assert_eq!(scheduler.next(&b), Some(Task::Take(vec![0, 1])));
        scheduler.took(&b, 0, true);
        assert_eq!(scheduler.left(&b, how), []);
        scheduler.gone(&a);
        scheduler.joined(b.clone(), TIMES);
        match how {
            Fate::Died => compiles(&mut scheduler, &b, &[1]),
            Fate::Lost => takes(&mut scheduler, &b, &[(1, true)]),
        }
        assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
    }
}

/// A resumed run whose nodes have nothing any more: they make it together, each binary once, and then race.
#[test]
fn what_nobody_has_is_made_by_all_together_and_each_binary_once() {
    const COUNT: usize = 200;
    let names: Vec<HostName> = (0..4).map(|at| node(&format!("n{at}"))).collect();
    let mut scheduler = Scheduler::new(proven(COUNT, &[]));
    for (at, name) in names.iter().enumerate() {
        // The last one only compiles.
        scheduler.joined(name.clone(), if at == 3 { COMPILES } else { TIMES });
    }
    let all: Vec<UnitIndex> = (0..COUNT).collect();
    (0..5).for_each(|_| assert!(scheduler.offer(needs(&all)) < 5));
    let (mut made, mut raced) = (BTreeMap::new(), 0);
    let mut has: BTreeMap<&HostName, BTreeSet<UnitIndex>> = BTreeMap::new();
    for _ in 0..1000 {
        // All are asked before any has done what it was told.
        let tasks: Vec<_> = names.iter().map(|name| (name, scheduler.next(name))).collect();
        assert!(!scheduler.is_stuck());
        for (name, task) in tasks {
            match task {
                Some(Task::Compile(batch)) => {
                    for unit in batch {
                        assert_eq!(made.insert(unit, name), None, "{unit} was made twice");
                        has.entry(name).or_default().insert(unit);
                        scheduler.compiled(name, unit);
                    }
                    scheduler.batch_ended(name);
                }
                Some(Task::Give(batch)) => {
                    batch.into_iter().for_each(|unit| scheduler.gave(name, unit, true));
                    scheduler.batch_ended(name);
                }
                Some(Task::Take(batch)) => {
                    for unit in batch {
                        has.entry(name).or_default().insert(unit);
                        scheduler.took(name, unit, true);
                    }
                    scheduler.batch_ended(name);
                }
                Some(Task::Race(_)) => {
                    assert_eq!(has[name].len(), COUNT);
                    raced += 1;
                    scheduler.race_ended(name);
                }
                None => {}
            }
        }
    }
    assert!(scheduler.is_done());
    assert_eq!((made.len(), raced), (COUNT, 5));
    let makers: BTreeSet<&HostName> = made.into_values().collect();
    assert_eq!(makers.len(), 4, "each has a part in it");
}

#[test]
fn a_node_alone_gives_nothing_and_one_that_only_compiles_gives_to_the_one_that_times() {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(proven(1, &[&a]));
    scheduler.joined(a.clone(), TIMES);
    scheduler.offer(needs(&[0]));
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));

    let mut scheduler = Scheduler::new(proven(1, &[&a]));
    scheduler.joined(a.clone(), COMPILES);
    scheduler.joined(b.clone(), TIMES);
    assert_eq!(scheduler.next(&a), None, "nothing is raced");
    scheduler.offer(needs(&[0]));
    gives(&mut scheduler, &a, &[(0, true)]);
    takes(&mut scheduler, &b, &[(0, true)]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(0)));
    scheduler.race_ended(&b);
    assert!(scheduler.is_done());
    assert_eq!(scheduler.next(&a), None);
}

/// What an earlier session's nodes gave is there, whoever is.
#[test]
fn what_was_given_before_is_taken_and_not_given_again() {
    let a = node("a");
    let given = proven(1, &[&a]).into_iter().map(|unit| WorkUnit { given: true, ..unit });
    let (mut scheduler, a, b) = two(given.collect());
    scheduler.offer(needs(&[0]));
    scheduler.offer(needs(&[0]));
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
    takes(&mut scheduler, &b, &[(0, true)]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(1)));
}

/// Who has it is racing: nobody waits for that.
#[test]
fn nobody_waits_for_a_node_that_races() {
    let (a, b) = (node("a"), node("b"));
    let mut scheduler = Scheduler::new(proven(1, &[&a]));
    scheduler.joined(a.clone(), TIMES);
    scheduler.offer(needs(&[0]));
    scheduler.offer(needs(&[0]));
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)), "it is alone");
    scheduler.joined(b.clone(), TIMES);
    compiles(&mut scheduler, &b, &[0]);
}

/// What does not compile has no binary: nobody is asked for one, and nobody waits for it.
#[test]
fn what_does_not_compile_is_not_given() {
    let a = node("a");
    let work =
        proven(2, &[&a]).into_iter().enumerate().map(|(at, unit)| WorkUnit { hollow: at == 1, ..unit });
    let (mut scheduler, a, b) = two(work.collect());
    scheduler.offer(needs(&[0, 1]));
    scheduler.offer(needs(&[0, 1]));
    gives(&mut scheduler, &a, &[(0, true)]);
    assert_eq!(scheduler.next(&a), Some(Task::Race(0)));
    // What there is of it, it finds out by itself.
    compiles(&mut scheduler, &b, &[1]);
    scheduler.gave(&b, 1, false);
    takes(&mut scheduler, &b, &[(0, true)]);
    assert_eq!(scheduler.next(&b), Some(Task::Race(1)));
}
