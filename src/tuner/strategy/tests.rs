//! Strategies against tables: what they choose, what it costs, and that they can be taken up again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, any, prop_assert_eq};
use proptest::test_runner::TestRunner;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::artifact::Evidence;
use crate::device::Device;
use crate::runtime::{Runtime, Target};
use crate::shape::{Dtype, MoeShape, Quantization};
use crate::tuner::plan::{Plan, PlannedDevice, PlannedModel, Policy};
use crate::tuner::replay::regret::{Trial, spread, trials};
use crate::tuner::replay::{Disturbance, Replay};
use crate::tuner::table::{ArmResult, Statistic, TimingTable, look_alike};

fn glm_look_alike(batch_sizes: &[u32]) -> TimingTable {
    let device = Device::find("gb10").unwrap();
    let quantization = Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) };
    let plan = Plan {
        model: PlannedModel { name: "GLM".into(), architecture: None, tp: 4, ep: 1 },
        shape: MoeShape::glm(quantization, 0),
        device: PlannedDevice {
            id: device.id.clone(),
            name: device.name.clone(),
            shared_memory_per_block: device.shared_memory_per_block,
        },
        target: Target::of(Runtime::Sglang054),
        batch_sizes: batch_sizes.to_vec(),
        policy: Policy::RuntimeDefault,
        evidence: Evidence::Confirmed,
        strategy: None,
        incumbents: Vec::new(),
        image: None,
    };
    look_alike::table(&plan, &device, 7)
}

fn race() -> Method {
    Method::Race(Default::default())
}

fn exhaustive() -> Method {
    Method::Exhaustive(Default::default())
}

fn strategy(method: Method, table: &TimingTable, seed: u64) -> Box<dyn Strategy> {
    StrategySpec { method, seed }.strategy(Arc::clone(&table.problem))
}

fn regrets(trials: &[Trial]) -> Vec<f64> {
    trials.iter().flat_map(|trial| trial.regrets.iter().flatten().copied()).collect()
}

#[test]
fn the_race_finds_the_best_at_every_batch_size() {
    let table = glm_look_alike(&[1, 8, 64, 512, 1536, 4096]);
    let ours = trials(&table, Statistic::Mean, Disturbance::default(), 0..4, race());
    let spread = spread(&ours, |trial| trial.regrets.iter().flatten().copied().collect()).unwrap();
    assert!(spread.median <= 0.003 && spread.p95 <= 0.01, "{spread:?}");
    assert_eq!(regrets(&ours).len(), 4 * 6, "every contest was decided");
    let stock = table.size().0 as u64 * crate::tuner::replay::regret::STOCK_RUNS;
    for trial in &ours {
        assert!(trial.launches * 100 <= stock, "{} launches, the stock tuner makes {stock}", trial.launches);
    }
}

#[test]
fn pairing_survives_what_breaks_means() {
    let table = glm_look_alike(&[64]);
    let storm = Disturbance { drift: 0.1, spikes: 0.02, noise: 0.01 };
    let ours = trials(&table, Statistic::Mean, storm, 0..8, race());
    let theirs = trials(&table, Statistic::Mean, storm, 0..8, exhaustive());
    let mean = |trials: &[Trial]| regrets(trials).iter().sum::<f64>() / 8.0;
    assert!(mean(&ours) <= mean(&theirs), "{} against {}", mean(&ours), mean(&theirs));
    assert!(mean(&ours) < 0.01);
}

#[test]
fn noise_alone_is_not_adopted() {
    let table = glm_look_alike(&[64, 512]).with_identical_arms();
    for disturbance in [Disturbance::default(), Disturbance { drift: 0.1, spikes: 0.05, noise: 0.03 }] {
        let ours = trials(&table, Statistic::Mean, disturbance, 0..50, race());
        let adopted: usize = ours.iter().map(|trial| trial.adopted).sum();
        assert!(adopted <= 1, "{adopted} of 100 contests adopted noise under {disturbance:?}");
        assert!(ours.iter().all(|trial| trial.regrets.iter().all(Option::is_some)));
    }
}

/// What is known for good after any number of answers is enough to go on as if nothing had happened.
#[test]
fn the_same_answers_lead_to_the_same_end_wherever_it_was_cut() {
    let table = glm_look_alike(&[64]);
    let whole = strategy(race(), &table, 3);
    let mut device = Replay::new(&table, Disturbance::default(), 5);
    let mut run = whole.begin(ContestId::of(0));
    let mut journal = Vec::new();
    while let Some(round) = run.next() {
        let timings = device.answer(&round);
        run.observe(&round, &timings);
        journal.push((round, timings));
    }
    let conclusion = run.finish();
    assert!(conclusion.decision.is_some());
    for cut in (0..=20).map(|at| at * journal.len() / 20) {
        // A run that was killed after `cut` rounds reads these; the rest is measured again.
        let text = serde_json::to_string(&journal[..cut]).unwrap();
        let known: Vec<(Round, Timings)> = serde_json::from_str(&text).unwrap();
        let mut again = strategy(race(), &table, 3).begin(ContestId::of(0));
        let mut told = 0;
        catch_up(&mut *again, &known, |_, _, _| told += 1).unwrap();
        assert_eq!(told, cut);
        for (round, timings) in &journal[cut..] {
            assert_eq!(again.next().as_ref(), Some(round), "after a cut at {cut}");
            again.observe(round, timings);
        }
        assert_eq!(again.next(), None);
        assert_eq!(again.finish(), conclusion);
    }
}

#[test]
fn a_history_of_other_questions_is_told_apart_where_it_begins() {
    let table = glm_look_alike(&[64]);
    let mut device = Replay::new(&table, Disturbance::default(), 5);
    let begin = |seed: u64| strategy(race(), &table, seed).begin(ContestId::of(0));
    let mut run = begin(3);
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let round = run.next().unwrap();
        let timings = device.answer(&round);
        run.observe(&round, &timings);
        rounds.push((round, timings));
    }
    rounds[3].0.routing.seed += 1;
    let found = catch_up(&mut *begin(3), &rounds, |_, _, _| ()).unwrap_err();
    assert_eq!(found.matched, 3);
    rounds[3].0.routing.seed -= 1;
    assert_eq!(found.asked.as_ref(), Some(&rounds[3].0));
    // Other dice ask otherwise from the first round on.
    assert_eq!(catch_up(&mut *begin(4), &rounds, |_, _, _| ()).unwrap_err().matched, 0);
}

/// Drive `method` with up to `machines` contests at once, taking turns as `dice` falls. A contest's device
/// answers by the contest alone, as if each machine were as good as the next.
fn interleaved(
    method: Method,
    table: &TimingTable,
    machines: usize,
    dice: &mut ChaCha8Rng,
) -> (Vec<Option<Decision>>, BTreeMap<ContestId, Vec<Round>>) {
    let mut strategy = strategy(method, table, 3);
    let mut running = Vec::new();
    let mut asked: BTreeMap<ContestId, Vec<Round>> = BTreeMap::new();
    loop {
        let waiting = strategy.ready().into_iter().filter(|it| !asked.contains_key(it));
        let mut waiting: Vec<ContestId> = waiting.collect();
        waiting.shuffle(dice);
        for contest in waiting.into_iter().take(machines - running.len()) {
            asked.insert(contest, Vec::new());
            let seed = (contest.index as u64) << 32 | u64::from(contest.part);
            let device = Replay::new(table, Disturbance::default(), seed);
            running.push((contest, strategy.begin(contest), device));
        }
        if running.is_empty() {
            return (strategy.decisions(), asked);
        }
        let at = dice.random_range(0..running.len());
        let (contest, run, device) = &mut running[at];
        if let Some(round) = run.next() {
            run.observe(&round, &device.answer(&round));
            asked.entry(*contest).or_default().push(round);
        } else {
            strategy.end(running.swap_remove(at).1.finish());
        }
    }
}

/// However many contests run at once, whichever begins, goes on or ends first: the same questions, the same
/// decisions.
#[test]
fn the_order_in_which_contests_run_changes_nothing() {
    let table = glm_look_alike(&[1, 4, 16, 32, 512]);
    let recording = recording::Options { repeats: 2, sessions: 2 };
    for method in [race(), Method::Random(Default::default()), Method::Recording(recording)] {
        let expected = interleaved(method, &table, 1, &mut ChaCha8Rng::seed_from_u64(0));
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 6,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let same = runner.run(&(2_usize..6, any::<u64>()), |(machines, order)| {
            let mut dice = ChaCha8Rng::seed_from_u64(order);
            prop_assert_eq!(&interleaved(method, &table, machines, &mut dice), &expected);
            Ok(())
        });
        same.unwrap();
    }
}

/// Where nothing can be told apart, no rival falls out early: as many runs as three rivals to the end.
#[test]
fn a_confirmation_of_equals_costs_what_three_rivals_cost() {
    let table = glm_look_alike(&[64]).with_identical_arms();
    let options = race::Options::default();
    for seed in 0..4 {
        let mut strategy = strategy(race(), &table, seed);
        let mut device = Replay::new(&table, Disturbance::default(), seed);
        let rounds = crate::tuner::replay::run(&mut *strategy, &mut device);
        let whole: Vec<&Round> = rounds
            .iter()
            .map(|(round, _)| round)
            .filter(|round| matches!(round.entrants[0], Entrant::Whole(_)))
            .collect();
        let runs: usize = whole.iter().map(|round| round.order.len()).sum();
        assert!(runs <= (1 + 3) * options.pairs, "{runs} runs");
        let entrants = |round: Option<&&Round>| round.map_or(0, |round| round.entrants.len());
        assert!(entrants(whole.first()) > 4, "more than three rivals begin");
        assert!(entrants(whole.last()) <= 3, "two run to the end");
    }
}

#[test]
fn a_contest_is_ready_once_its_predecessors_are_over() {
    let table = glm_look_alike(&[1, 4, 16, 32, 64, 512, 4096]);
    let of = |indices: &[usize]| indices.iter().copied().map(ContestId::of).collect::<Vec<_>>();
    let mut race = strategy(race(), &table, 0);
    assert_eq!(race.ready(), of(&[0, 2, 4, 5, 6]), "the anchors wait for nobody");
    let end = |strategy: &mut dyn Strategy, index| {
        strategy.end(strategy.begin(ContestId::of(index)).finish());
    };
    end(&mut *race, 0);
    end(&mut *race, 2);
    assert_eq!(race.ready(), of(&[4, 5, 6, 1]), "4 lies between 1 and 16; 32 waits for 64");
    end(&mut *race, 1);
    end(&mut *race, 4);
    assert_eq!(race.ready(), of(&[5, 6, 3]));
    for index in [5, 6, 3] {
        end(&mut *race, index);
    }
    assert_eq!(race.ready(), []);
}

/// A slow minute must spoil no batch size alone, and a session not reach into the next.
#[test]
fn a_recording_spreads_each_session_over_all_batch_sizes() {
    let table = glm_look_alike(&[16, 64]);
    let options = recording::Options { repeats: 1, sessions: 2 };
    let mut recording = strategy(Method::Recording(options), &table, 0);
    let parts = recording.ready();
    let rounds =
        crate::tuner::replay::run(&mut *recording, &mut Replay::new(&table, Disturbance::default(), 0));
    assert_eq!(rounds.len(), 2 * parts.len());
    for session in rounds.chunks(parts.len()) {
        let mut seen = HashSet::new();
        for round in session.iter().map(|it| &it.0) {
            for entrant in &round.entrants {
                let Entrant::Single { slot, arm } = entrant else { panic!("arms alone are recorded") };
                assert!(seen.insert((round.contest.index, *slot, *arm)), "once a session");
            }
        }
        assert_eq!(seen.len(), table.size().0);
        let of_first = |half: &[(Round, Timings)]| half.iter().filter(|it| it.0.contest.index == 0).count();
        let (early, late) = session.split_at(session.len() / 2);
        assert!(of_first(early) > 0 && of_first(late) > 0, "both halves hold both batch sizes");
    }
}

#[test]
fn what_fails_is_never_chosen() {
    let mut table = glm_look_alike(&[64]);
    // The best arms of both slots fail, and the default with them.
    let mut best: Vec<usize> = table.problem.contests[0].default.clone().unwrap();
    for _ in 0..20 {
        for (slot, arm) in best.iter().enumerate() {
            table.answers[0][slot][*arm] = ArmResult::Failed(ArmFailure::WrongResult);
        }
        let time = |slot: usize, arm: usize| table.answers[0][slot][arm].true_us(Statistic::Mean);
        best = table.problem.contests[0].best_by(time).unwrap();
    }
    let ours = trials(&table, Statistic::Mean, Disturbance::default(), 0..4, race());
    for regret in regrets(&ours) {
        assert!(regret <= 0.01, "{regret}");
    }
    assert_eq!(regrets(&ours).len(), 4);
    assert!(ours.iter().all(|trial| trial.adopted == 0), "there is no default to beat");
}

#[test]
fn a_space_of_failures_ends_without_a_choice() {
    let mut table = glm_look_alike(&[64]);
    for slot in &mut table.answers[0] {
        slot.fill(ArmResult::Failed(ArmFailure::OutOfResources));
    }
    for method in [race(), exhaustive(), Method::Random(Default::default())] {
        let mut strategy = strategy(method, &table, 0);
        crate::tuner::replay::run(&mut *strategy, &mut Replay::new(&table, Disturbance::default(), 0));
        assert_eq!(strategy.decisions(), [None]);
    }
}

#[test]
fn exhaustive_and_random_choose_what_they_measured_fastest() {
    let table = glm_look_alike(&[64]);
    let exhaustive = trials(&table, Statistic::Mean, Disturbance::default(), 0..1, exhaustive());
    assert!(regrets(&exhaustive)[0] < 0.02);
    let random = Method::Random(Default::default());
    let random = trials(&table, Statistic::Mean, Disturbance::default(), 0..4, random);
    assert!(random.iter().all(|trial| trial.launches * 5 < exhaustive[0].launches));
    assert!(regrets(&random).iter().sum::<f64>() > 0.0, "a tenth of the space rarely holds the best");
}
