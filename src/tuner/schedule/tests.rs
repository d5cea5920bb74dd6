//! Hand-made histories, then 64 made-up nodes with a dice: they die, are lost, come back, and the harness is killed.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

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
    assert_eq!(scheduler.next(&b), None, "nothing is unknown, and it cannot time");
    for (race, lacks) in [(0, 1), (1, 2)] {
        assert_eq!(scheduler.next(&a), Some(Task::Compile(vec![lacks])));
        assert!(!scheduler.compiled(&a, lacks), "no news");
        scheduler.batch_ended(&a);
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

/// What is on disk: it outlives the harness.
#[derive(Debug, Default)]
struct OnDisk {
    results: Vec<(UnitIndex, HostName)>,
    given_up: BTreeSet<UnitIndex>,
    /// Contests, each with the node that raced it.
    ended: Vec<(usize, HostName)>,
}

struct World {
    rng: ChaCha8Rng,
    names: Vec<HostName>,
    killers: BTreeSet<UnitIndex>,
    unit_count: usize,
    race_count: usize,
    disk: OnDisk,
    /// Binaries on each node's own disk.
    binaries: BTreeMap<HostName, BTreeSet<UnitIndex>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let names: Vec<HostName> = (0..64).map(|at| node(&format!("spark-{at}"))).collect();
        let (unit_count, race_count) = (700, 18);
        let killers = (0..3).map(|_| rng.random_range(0..unit_count)).collect();
        let binaries = names.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
        Self { rng, names, killers, unit_count, race_count, disk: OnDisk::default(), binaries }
    }

    fn able(&self, at: usize) -> Able {
        // Every fourth node cannot time.
        Able { jobs: 1 + at % 20, times: at % 4 != 3 }
    }

    fn needs(&self, contest: usize) -> Vec<UnitIndex> {
        (0..self.unit_count)
            .filter(|unit| unit % self.race_count == contest && !self.killers.contains(unit))
            .collect()
    }

    fn work(&self) -> Vec<WorkUnit> {
        (0..self.unit_count)
            .map(|at| WorkUnit {
                cost: (at * 7919 % 101) as u64,
                known: self.disk.given_up.contains(&at) || self.disk.results.iter().any(|it| it.0 == at),
                on: self.disk.results.iter().filter(|it| it.0 == at).map(|it| it.1.clone()).collect(),
            })
            .collect()
    }

    fn has_ended(&self, contest: usize) -> bool {
        self.disk.ended.iter().any(|it| it.0 == contest)
    }

    /// Offer the contests that may begin: a few anchors, and the others once the anchor below them is over.
    fn offer(&self, scheduler: &mut Scheduler, offered: &mut Vec<usize>) {
        for contest in 0..self.race_count {
            let may_begin = contest % 5 == 0 || self.has_ended(contest - contest % 5);
            if may_begin && !self.has_ended(contest) && !offered.contains(&contest) {
                let race =
                    scheduler.offer(WorkRace { needs: self.needs(contest), begun_on: None, second_to: None });
                assert_eq!(race, offered.len());
                offered.push(contest);
            }
        }
    }

    /// One life of the harness: `steps` events, or until all is done. Whether it is.
    fn live(&mut self, steps: usize) -> bool {
        let mut scheduler = Scheduler::new(self.work());
        // The contest behind each race.
        let mut offered = Vec::new();
        self.offer(&mut scheduler, &mut offered);
        let mut busy: BTreeMap<HostName, Task> = BTreeMap::new();
        let mut here: BTreeSet<HostName> = BTreeSet::new();
        for _ in 0..steps {
            if scheduler.is_done() {
                return true;
            }
            let at = self.rng.random_range(0..self.names.len());
            let name = self.names[at].clone();
            if !here.contains(&name) {
                scheduler.joined(name.clone(), self.able(at));
                here.insert(name);
                continue;
            }
            let Some(task) = busy.remove(&name) else {
                if let Some(task) = scheduler.next(&name) {
                    self.check(&name, &task, &offered);
                    busy.insert(name, task);
                }
                continue;
            };
            let fate: f64 = self.rng.random();
            let deadly =
                matches!(&task, Task::Compile(batch) if batch.iter().any(|it| self.killers.contains(it)));
            // What dies alone for another reason, twice, cannot be told from a killer.
            let alone = matches!(&task, Task::Compile(batch) if batch.len() == 1);
            if deadly || (fate < 0.04 && !alone) {
                // Died or lost somewhere in the middle.
                let how = if deadly || fate < 0.02 { Fate::Died } else { Fate::Lost };
                if let Task::Compile(batch) = &task {
                    let through = self.rng.random_range(0..=batch.len());
                    for &unit in batch.iter().take(through) {
                        if !self.killers.contains(&unit) {
                            self.record(&mut scheduler, &name, unit);
                        }
                    }
                }
                for (unit, _) in scheduler.left(&name, how) {
                    assert!(self.disk.given_up.insert(unit), "{unit} was given up twice");
                }
                here.remove(&name);
                continue;
            }
            match task {
                Task::Compile(batch) => {
                    for unit in batch {
                        self.record(&mut scheduler, &name, unit);
                    }
                    scheduler.batch_ended(&name);
                }
                Task::Race(race) => {
                    scheduler.race_ended(&name);
                    self.disk.ended.push((offered[race], name));
                    self.offer(&mut scheduler, &mut offered);
                }
            }
        }
        false
    }

    fn record(&mut self, scheduler: &mut Scheduler, name: &HostName, unit: UnitIndex) {
        self.binaries.get_mut(name).unwrap().insert(unit);
        if scheduler.compiled(name, unit) {
            self.disk.results.push((unit, name.clone()));
        }
    }

    /// What may be asked of a node.
    fn check(&self, name: &HostName, task: &Task, offered: &[usize]) {
        if let Task::Race(race) = task {
            assert!(!self.has_ended(offered[*race]), "raced again");
            let here = &self.binaries[name];
            assert!(
                self.needs(offered[*race]).iter().all(|unit| here.contains(unit)),
                "it would compile while measuring"
            );
        }
    }
}

#[test]
fn sixty_four_nodes_with_deaths_losses_and_kills_of_the_harness_do_each_unit_once() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let mut lives = 0;
        loop {
            lives += 1;
            assert!(lives < 1000, "seed {seed}: no end");
            let steps = world.rng.random_range(200..3000);
            if world.live(steps) {
                break;
            }
        }
        let mut results: Vec<UnitIndex> = world.disk.results.iter().map(|it| it.0).collect();
        results.sort_unstable();
        let expected: Vec<UnitIndex> =
            (0..world.unit_count).filter(|it| !world.killers.contains(it)).collect();
        assert_eq!(results, expected, "seed {seed}: each unit is recorded once");
        assert_eq!(
            world.disk.given_up, world.killers,
            "seed {seed}: those that kill are given up, and no other"
        );
        let mut raced: Vec<usize> = world.disk.ended.iter().map(|it| it.0).collect();
        raced.sort_unstable();
        assert_eq!(raced, (0..world.race_count).collect::<Vec<_>>(), "seed {seed}");
    }
}
