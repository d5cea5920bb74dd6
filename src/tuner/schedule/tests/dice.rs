//! Sixty-four made-up nodes with a dice: they die, are lost, come back, and the harness is killed.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// What is on disk: it outlives the harness.
#[derive(Debug, Default)]
struct OnDisk {
    results: Vec<(UnitIndex, HostName)>,
    /// Binaries that were given.
    given: BTreeSet<UnitIndex>,
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
                hollow: false,
                cost: (at * 7919 % 101) as u64,
                known: self.disk.given_up.contains(&at) || self.disk.results.iter().any(|it| it.0 == at),
                given: self.disk.given.contains(&at),
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
                if let Task::Compile(batch) | Task::Give(batch) | Task::Take(batch) = &task {
                    let through = self.rng.random_range(0..=batch.len());
                    self.go_through(&mut scheduler, &name, &task, &batch[..through]);
                }
                for (unit, _) in scheduler.left(&name, how) {
                    assert!(self.disk.given_up.insert(unit), "{unit} was given up twice");
                }
                here.remove(&name);
                continue;
            }
            match task {
                Task::Compile(ref batch) | Task::Give(ref batch) | Task::Take(ref batch) => {
                    self.go_through(&mut scheduler, &name, &task, batch);
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

    /// `name` reports these units of its task. One binary in ten does not travel.
    fn go_through(&mut self, scheduler: &mut Scheduler, name: &HostName, task: &Task, units: &[UnitIndex]) {
        for &unit in units {
            let travels = self.rng.random_bool(0.9);
            match task {
                Task::Compile(_) if self.killers.contains(&unit) => {}
                Task::Compile(_) => self.record(scheduler, name, unit),
                Task::Give(_) => {
                    assert!(self.binaries[name].contains(&unit), "{name} has no binary of {unit} to give");
                    scheduler.gave(name, unit, travels);
                    self.disk.given.extend(travels.then_some(unit));
                }
                Task::Take(_) => {
                    assert!(self.disk.given.contains(&unit), "nobody gave {unit}");
                    scheduler.took(name, unit, travels);
                    self.binaries.get_mut(name).unwrap().extend(travels.then_some(unit));
                }
                Task::Race(_) => {}
            }
        }
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
