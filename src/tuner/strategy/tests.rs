//! Strategies against tables: what they choose, what it costs, and that they can be taken up again.

use std::sync::Arc;

use super::exhaustive::Exhaustive;
use super::race::{Options, Race};
use super::random::Random;
use super::*;
use crate::artifact::Evidence;
use crate::device::Device;
use crate::runtime::{Runtime, Target};
use crate::shape::{Dtype, MoeShape, Quantization};
use crate::tuner::plan::{Plan, PlannedDevice, PlannedModel, Policy};
use crate::tuner::replay::regret::{Trial, spread, trials};
use crate::tuner::replay::{Disturbance, Replay};
use crate::tuner::table::{Answer, Table, Truth, look_alike};

fn glm_look_alike(batch_sizes: &[u32]) -> Table {
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
    };
    look_alike::table(&plan, &device, 7)
}

fn race(table: &Table, seed: u64) -> Race {
    Race::new(Arc::clone(&table.problem), Options::default(), seed)
}

fn regrets(trials: &[Trial]) -> Vec<f64> {
    trials.iter().flat_map(|trial| trial.regrets.iter().flatten().copied()).collect()
}

#[test]
fn the_race_finds_the_best_at_every_batch_size() {
    let table = glm_look_alike(&[1, 8, 64, 512, 1536, 4096]);
    let ours = trials(&table, Truth::Mean, Disturbance::default(), 0..4, |seed| race(&table, seed));
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
    let ours = trials(&table, Truth::Mean, storm, 0..8, |seed| race(&table, seed));
    let theirs =
        trials(&table, Truth::Mean, storm, 0..8, |_| Exhaustive::new(Arc::clone(&table.problem), 10));
    let mean = |trials: &[Trial]| regrets(trials).iter().sum::<f64>() / 8.0;
    assert!(mean(&ours) <= mean(&theirs), "{} against {}", mean(&ours), mean(&theirs));
    assert!(mean(&ours) < 0.01);
}

#[test]
fn noise_alone_is_not_adopted() {
    let table = glm_look_alike(&[64, 512]).with_identical_arms();
    for disturbance in [Disturbance::default(), Disturbance { drift: 0.1, spikes: 0.05, noise: 0.03 }] {
        let ours = trials(&table, Truth::Mean, disturbance, 0..50, |seed| race(&table, seed));
        let adopted: usize = ours.iter().map(|trial| trial.adopted).sum();
        assert!(adopted <= 1, "{adopted} of 100 contests adopted noise under {disturbance:?}");
        assert!(ours.iter().all(|trial| trial.regrets.iter().all(Option::is_some)));
    }
}

/// What is known for good after any number of answers is enough to go on as if nothing had happened.
#[test]
fn the_same_answers_lead_to_the_same_end_wherever_it_was_cut() {
    let table = glm_look_alike(&[16, 64, 512]);
    let mut whole = race(&table, 3);
    let mut device = Replay::new(&table, Disturbance::default(), 5);
    let mut journal = Vec::new();
    while let Some(round) = whole.next() {
        let heard = device.answer(&round);
        whole.observe(&round, &heard);
        journal.push((round, heard));
    }
    for cut in (0..100).map(|at| at * journal.len() / 100) {
        // A run that was killed after `cut` rounds knows these; the rest is measured again.
        let mut again = race(&table, 3);
        for (at, (round, heard)) in journal.iter().enumerate() {
            assert_eq!(again.next().as_ref(), Some(round), "round {at} after a cut at {cut}");
            let text = serde_json::to_string(heard).unwrap();
            let heard = if at < cut { serde_json::from_str(&text).unwrap() } else { heard.clone() };
            again.observe(round, &heard);
        }
        assert_eq!(again.next(), None);
        assert_eq!(again.decisions(), whole.decisions());
    }
}

#[test]
fn what_fails_is_never_chosen() {
    let mut table = glm_look_alike(&[64]);
    // The best arms of both slots fail, and the default with them.
    let mut best: Vec<usize> = table.problem.contests[0].default.clone().unwrap();
    for _ in 0..20 {
        for (slot, arm) in best.iter().enumerate() {
            table.answers[0][slot][*arm] = Answer::Failed(ArmFailure::WrongResult);
        }
        let time = |slot: usize, arm: usize| table.answers[0][slot][arm].true_us(Truth::Mean);
        best = table.problem.contests[0].best_by(time).unwrap();
    }
    let ours = trials(&table, Truth::Mean, Disturbance::default(), 0..4, |seed| race(&table, seed));
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
        slot.fill(Answer::Failed(ArmFailure::OutOfResources));
    }
    for strategy in [
        &mut race(&table, 0) as &mut dyn Strategy,
        &mut Exhaustive::new(Arc::clone(&table.problem), 10),
        &mut Random::new(Arc::clone(&table.problem), 0.1, 10, 0),
    ] {
        crate::tuner::replay::run(strategy, &mut Replay::new(&table, Disturbance::default(), 0));
        assert_eq!(strategy.decisions(), [None]);
    }
}

#[test]
fn exhaustive_and_random_choose_what_they_measured_fastest() {
    let table = glm_look_alike(&[64]);
    let exhaustive = trials(&table, Truth::Mean, Disturbance::default(), 0..1, |_| {
        Exhaustive::new(Arc::clone(&table.problem), 10)
    });
    assert!(regrets(&exhaustive)[0] < 0.02);
    let random = trials(&table, Truth::Mean, Disturbance::default(), 0..4, |seed| {
        Random::new(Arc::clone(&table.problem), 0.1, 10, seed)
    });
    assert!(random.iter().all(|trial| trial.launches * 5 < exhaustive[0].launches));
    assert!(regrets(&random).iter().sum::<f64>() > 0.0, "a tenth of the space rarely holds the best");
}
