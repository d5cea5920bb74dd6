//! Whole measuring runs against a look-alike of a GPU: its times are the cost model's, bent and noisy.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::artifact::Manifest;
use crate::artifact::manifest::{self, Source};
use crate::events::{DecisionGrounds, Event, MeasureEvent, What, Work as Progress};
use crate::journal;
use crate::kernel::cost::CostModel;
use crate::shape::KernelConfig;
use crate::tuner::open_run::records;
use crate::tuner::strategy::Method;
use crate::worker::protocol::{ArmOutcome, GpuReport, GpuState, TimedArm};

/// Answers every request by itself alone, so that an interrupted run meets the same device again.
#[derive(Debug, Clone)]
pub(crate) struct LookAlikeGpu {
    pub(crate) plan: Plan,
    /// Requests answered.
    pub(crate) answered: usize,
    /// Pulled after this many.
    pub(crate) cancel_after: Option<(usize, CancellationToken)>,
    /// Tiles of either role that give wrong results.
    pub(crate) wrong: Vec<String>,
    /// Every config takes the same.
    pub(crate) identical: bool,
    /// What a clock of its own makes of every time.
    pub(crate) clock: f64,
    /// Times grow by this share with each request.
    pub(crate) slowing: f64,
    /// Requests it answers half asleep, at a third of its clock.
    pub(crate) waking: usize,
    /// Each request makes it warmer by so many degrees, from 40; above 75 it holds its clock down.
    pub(crate) warming: f64,
    pub(crate) state: GpuState,
}

impl LookAlikeGpu {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            answered: 0,
            cancel_after: None,
            wrong: Vec::new(),
            identical: false,
            clock: 1.0,
            slowing: 0.0,
            waking: 0,
            warming: 0.0,
            state: GpuState { clock_mhz: Some(2400.0), ..GpuState::default() },
        }
    }

    /// What a config takes without noise and on a clock like any other's, microseconds.
    pub(crate) fn usual_us(&self, tokens: u32, role: Role, config: &KernelConfig) -> f64 {
        if self.identical {
            return 100.0;
        }
        let device = gb10();
        let cost = CostModel::new(&self.plan.shape, &device, tokens).cost(role, config).unwrap();
        let mut hasher = DefaultHasher::new();
        (role, config.tile()).hash(&mut hasher);
        cost.time_us * ChaCha8Rng::seed_from_u64(hasher.finish()).random_range(0.8..1.3)
    }
}

impl LookAlikeGpu {
    pub(super) fn stopped_by(&self) -> Option<CancellationToken> {
        self.cancel_after.as_ref().map(|(_, token)| token.clone())
    }

    /// None where the user stops it here.
    pub(crate) fn time(&mut self, request: &TimingRequest) -> Option<Timed> {
        if let Some((after, token)) = &self.cancel_after
            && self.answered >= *after
        {
            token.cancel();
            return None;
        }
        self.answered += 1;
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(request).unwrap().hash(&mut hasher);
        let mut rng = ChaCha8Rng::seed_from_u64(hasher.finish());
        let parts = |arm: &TimedArm| match *arm {
            TimedArm::Up { config } => vec![(Role::Up, config)],
            TimedArm::Down { config } => vec![(Role::Down, config)],
            TimedArm::Path { up, down } => {
                assert_eq!(up.block_size_m, down.block_size_m, "one alignment");
                vec![(Role::Up, up), (Role::Down, down)]
            }
        };
        let wrong = |arm: &TimedArm| {
            parts(arm).iter().any(|(_, config)| self.wrong.contains(&config.tile().to_string()))
        };
        let mut failures = Vec::new();
        for (index, arm) in request.arms.iter().enumerate() {
            for (role, config) in parts(arm) {
                let needs = shared_memory::required_bytes(&config.tile(), &self.plan.shape.quantization);
                assert!(needs <= 101_376, "{role} {config} would not launch on a GB10");
            }
            if wrong(arm) {
                failures.push((index as u16, ArmOutcome::WrongResult, "off".to_owned()));
            }
        }
        let asleep = self.answered <= self.waking;
        let slowed =
            self.clock * (1.0 + self.slowing * self.answered as f64) * if asleep { 3.0 } else { 1.0 };
        let times_us = request
            .order
            .iter()
            .map(|&index| {
                let arm = &request.arms[usize::from(index)];
                let usual: f64 = parts(arm)
                    .iter()
                    .map(|(role, config)| self.usual_us(request.batch_size, *role, config))
                    .sum();
                let noise: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
                (!wrong(arm)).then_some(usual * slowed * (0.01 * noise).exp())
            })
            .collect();
        let mut state = self.state.clone();
        if asleep {
            state.clock_mhz = state.clock_mhz.map(|mhz| mhz / 3.0);
        }
        if self.warming > 0.0 {
            let warmth = (40.0 + self.warming * self.answered as f64).min(80.0);
            state.temperature_c = Some(warmth);
            if warmth > 75.0 {
                state.throttle = vec!["sw thermal slowdown".into()];
                state.clock_mhz = state.clock_mhz.map(|mhz| mhz * 0.8);
            }
        }
        Some(Timed { times_us, failures, state, replaced: 0 })
    }
}

pub(crate) fn confirmed() -> Plan {
    // 4096 has no default that fits, 64 has one.
    let strategy = Some(StrategySpec { method: Method::Race(Default::default()), seed: 0 });
    Plan { batch_sizes: vec![64, 4096], evidence: Evidence::Confirmed, strategy, ..glm() }
}

/// What the look-alike's node says of its GPU.
pub(crate) fn report() -> GpuReport {
    serde_json::from_value(serde_json::json!({
        "name": "NVIDIA GB10", "capability": 121, "shared_memory_per_block": 101_376, "max_clock_mhz": 2500.0,
        "other_processes": [],
    }))
    .unwrap()
}

async fn measure(
    plan: &Plan,
    dir: &mut OpenRun,
    gpu: &mut LookAlikeGpu,
    limits: Limits,
    cache: &Path,
    observer: &mut dyn Observer,
) -> Result<Finished, RunError> {
    on_one_node(plan, dir, (&mut look_alike(), Some(gpu)), limits, cache, observer).await
}

/// What was told of measuring.
fn measured(events: &[Event]) -> Vec<MeasureEvent> {
    let measured = |event: &Event| match &event.what {
        What::Measure(event) => Some(event.clone()),
        _ => None,
    };
    events.iter().filter_map(measured).collect()
}

/// The files of a run and their manifests, without the dates.
fn outcome(dir: &Path, finished: &Finished) -> Vec<(Vec<u8>, Manifest)> {
    let read = |path: &str| {
        let path = dir.join(path);
        let manifest = Manifest::read(&manifest::path_beside(&path).clone()).unwrap().unwrap();
        assert_eq!(manifest.contradiction(), None);
        (std::fs::read(&path).unwrap(), Manifest { created: String::new(), ..manifest })
    };
    finished.files.iter().map(|file| read(&file.path)).collect()
}

#[tokio::test]
async fn what_is_faster_is_confirmed_and_what_cannot_run_is_replaced() {
    let (plan, dir, cache) = (confirmed(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu::new(&plan);
    let mut events: Vec<Event> = Vec::new();
    let limits = Limits::default();
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), &mut events).await.unwrap();
    assert!(finished.raced.as_ref().unwrap().spent.complete);
    let whole = Progress { done: 2, of: 2 };
    let ended = |event: &MeasureEvent| matches!(event, MeasureEvent::Ended { complete: true, work, .. } if *work == whole);
    assert!(measured(&events).last().is_some_and(ended));
    for (_, manifest) in outcome(dir.path(), &finished) {
        let small = &manifest.entries[&64];
        assert_eq!((small.evidence, small.source), (Evidence::Confirmed, Source::Tuned));
        let speedup = small.measured.unwrap().speedup.unwrap();
        assert!(speedup.lower > 1.005 && speedup.pairs >= 200, "{speedup:?}");
        assert!(small.default_replaced.as_ref().unwrap().contains("slower in 200 pairs"));
        // Nothing to compare with: measured, and no more is claimed.
        let large = &manifest.entries[&4096];
        assert_eq!((large.evidence, large.source), (Evidence::Measured, Source::Tuned));
        assert!(large.default_replaced.as_ref().unwrap().contains("needs 147456 bytes"));
        assert!(large.measured.unwrap().time_us > 0.0);
    }
}

#[tokio::test]
async fn noise_leaves_the_default_where_it_is() {
    let (plan, dir, cache) = (confirmed(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu { identical: true, ..LookAlikeGpu::new(&plan) };
    let finished =
        measure(&plan, &mut run_dir, &mut gpu, Limits::default(), cache.path(), &mut crate::events::Silent)
            .await
            .unwrap();
    for (_, manifest) in outcome(dir.path(), &finished) {
        let small = &manifest.entries[&64];
        assert_eq!((small.evidence, small.source), (Evidence::Measured, Source::RuntimeDefault));
        assert_eq!(small.config.to_string(), "64x128x128 g1 w4 s4", "as the runtime writes it");
        assert_eq!(small.default_replaced, None);
    }
}

#[tokio::test]
async fn a_run_cut_anywhere_ends_like_one_that_was_not() {
    let plan = Plan { batch_sizes: vec![64], ..confirmed() };
    let cache = tempfile::tempdir().unwrap();
    let (whole_dir, mut gpu) = (tempfile::tempdir().unwrap(), LookAlikeGpu::new(&plan));
    let mut run_dir = OpenRun::start(whole_dir.path(), &plan).unwrap();
    let silent = &mut crate::events::Silent;
    let whole =
        measure(&plan, &mut run_dir, &mut gpu, Limits::default(), cache.path(), silent).await.unwrap();
    let expected = outcome(whole_dir.path(), &whole);
    for cut in [0, 1, 2, gpu.answered / 3, gpu.answered / 2, gpu.answered - 1] {
        let (dir, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        let mut gpu = LookAlikeGpu { cancel_after: Some((cut, token)), ..LookAlikeGpu::new(&plan) };
        let limits = Limits::default();
        let error = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted, "cut at {cut}: {error}");
        drop(run_dir);
        let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
        let mut gpu = LookAlikeGpu::new(&plan);
        let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
        assert_eq!(outcome(dir.path(), &finished), expected, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_spent_budget_writes_what_there_is_and_can_be_gone_on_from() {
    let (plan, dir, cache) = (confirmed(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let limits = Limits { budget_s: Some(1e-9), strict: false };
    let silent = &mut crate::events::Silent;
    let mut gpu = LookAlikeGpu::new(&plan);
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    assert!(!finished.raced.as_ref().unwrap().spent.complete);
    for (_, manifest) in outcome(dir.path(), &finished) {
        assert_eq!(manifest.evidence(), Some(Evidence::Compiled), "nothing claims what was not decided");
    }
    drop(run_dir);
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let limits = Limits::default();
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    assert!(finished.raced.as_ref().unwrap().spent.complete);
}

/// What an earlier session measured is no news: how much it was is one fact.
#[tokio::test]
async fn a_resumed_run_tells_of_what_is_new() {
    let (plan, dir, cache) = (confirmed(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (limits, mut all) = (Limits::default(), Vec::new());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let cut = (60, CancellationToken::new());
    let mut gpu = LookAlikeGpu { cancel_after: Some(cut), ..LookAlikeGpu::new(&plan) };
    measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), &mut all).await.unwrap_err();
    drop(run_dir);
    let told_rounds = |events: &[Event]| {
        measured(events).iter().filter(|event| matches!(event, MeasureEvent::Round { .. })).count() as u64
    };
    let before = told_rounds(&all);
    assert!(before > 0);

    let mut again: Vec<Event> = Vec::new();
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu::new(&plan);
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), &mut again).await.unwrap();
    let told = measured(&again);
    let resumed: Vec<_> = told.iter().filter(|event| matches!(event, MeasureEvent::Resumed { .. })).collect();
    assert!(
        matches!(resumed[..], [MeasureEvent::Resumed { rounds, .. }] if *rounds == before),
        "{resumed:?}"
    );
    assert_eq!(before + told_rounds(&again), finished.raced.unwrap().spent.rounds as u64);
    // Every decision is told once, with its grounds and times.
    all.append(&mut again);
    let mut decided: Vec<_> = measured(&all)
        .into_iter()
        .filter_map(|event| match event {
            MeasureEvent::Decided { batch_size, grounds, time_us, default_us, .. } => {
                Some((batch_size, grounds, time_us.is_some(), default_us.is_some()))
            }
            _ => None,
        })
        .collect();
    decided.sort_by_key(|it| it.0);
    let expected =
        [(64, DecisionGrounds::BeatsDefault, true, true), (4096, DecisionGrounds::NoDefault, true, false)];
    assert_eq!(decided, expected);
}

#[tokio::test]
async fn a_spent_budget_gives_the_leader_where_no_default_runs() {
    let plan = Plan { batch_sizes: vec![4096], ..confirmed() };
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let silent = &mut crate::events::Silent;
    // Far enough for the race to have a leader, not far enough for a decision.
    let cut = 40;
    let mut gpu =
        LookAlikeGpu { cancel_after: Some((cut, CancellationToken::new())), ..LookAlikeGpu::new(&plan) };
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    measure(&plan, &mut run_dir, &mut gpu, Limits::default(), cache.path(), silent).await.unwrap_err();
    drop(run_dir);
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let limits = Limits { budget_s: Some(1e-9), strict: false };
    let mut gpu = LookAlikeGpu::new(&plan);
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    assert!(!finished.raced.as_ref().unwrap().spent.complete);
    let guess = Selector::new(&plan, &gb10()).select(&Default::default()).unwrap();
    let us = |entry: &Selected| {
        gpu.usual_us(4096, Role::Up, &entry.up.config) + gpu.usual_us(4096, Role::Down, &entry.down.config)
    };
    assert!(us(&finished.selected[0]) < us(&guess[0]));
    for (_, manifest) in outcome(dir.path(), &finished) {
        let entry = &manifest.entries[&4096];
        assert_eq!((entry.source, entry.evidence, entry.measured), (Source::Tuned, Evidence::Compiled, None));
        assert!(entry.default_replaced.as_ref().unwrap().contains("needs 147456 bytes"));
    }
}

#[tokio::test]
async fn the_sentinel_is_on_record_and_paid_for() {
    let plan = Plan { batch_sizes: vec![64], ..confirmed() };
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let silent = &mut crate::events::Silent;
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu::new(&plan);
    let finished =
        measure(&plan, &mut run_dir, &mut gpu, Limits::default(), cache.path(), silent).await.unwrap();
    drop(run_dir);
    let records = records(dir.path());
    let (mut looks, mut rounds, mut seconds) = (0, 0, 0.0);
    for record in &records {
        match record {
            Record::Sentinel { on, batch_size, times_us, seconds: took, .. } => {
                assert_eq!((on.as_str(), *batch_size, times_us.len()), ("localhost", 64, 5));
                (looks, seconds) = (looks + 1, seconds + took);
            }
            Record::Round { on, timings, .. } => {
                assert_eq!(on.as_str(), "localhost");
                (rounds, seconds) = (rounds + 1, seconds + timings.seconds);
            }
            _ => {}
        }
    }
    // Before the first round and after every twentieth.
    assert_eq!(looks, (rounds - 1) / 20 + 1);
    let spent = finished.raced.unwrap().spent;
    assert!((spent.seconds - seconds).abs() < 1e-9, "{} of {seconds} s", spent.seconds);
    // A later session of the run has spent as much already.
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let again =
        measure(&plan, &mut run_dir, &mut gpu, Limits::default(), cache.path(), silent).await.unwrap();
    assert_eq!(again.raced.unwrap().spent, spent);
}

/// The yardstick outlives the session, and is taken from a GPU that was awake: here with no default to time.
#[tokio::test]
async fn a_resumed_contest_has_the_sentinel_it_began_with() {
    let plan = Plan { batch_sizes: vec![4096], ..confirmed() };
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let silent = &mut crate::events::Silent;
    let strict = Limits { budget_s: None, strict: true };
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    // It sleeps at first: a slow look that counts for nothing.
    let mut gpu = LookAlikeGpu {
        waking: 1,
        cancel_after: Some((30, CancellationToken::new())),
        ..LookAlikeGpu::new(&plan)
    };
    measure(&plan, &mut run_dir, &mut gpu, strict, cache.path(), silent).await.unwrap_err();
    drop(run_dir);
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    measure(&plan, &mut run_dir, &mut LookAlikeGpu::new(&plan), strict, cache.path(), silent).await.unwrap();
    drop(run_dir);
    let records = records(dir.path());
    let looks: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Sentinel { entrant, awake, .. } => Some((entrant, *awake)),
            _ => None,
        })
        .collect();
    assert!(looks.len() > 3 && !looks[0].1 && looks[1..].iter().all(|it| it.1));
    assert!(looks.iter().all(|it| it.0 == looks[0].0), "{looks:?}");
}

#[tokio::test]
async fn wrong_results_are_never_shipped() {
    let plan = Plan { batch_sizes: vec![64], ..confirmed() };
    let (first, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let silent = &mut crate::events::Silent;
    let limits = Limits::default();
    let mut run_dir = OpenRun::start(first.path(), &plan).unwrap();
    let finished = measure(&plan, &mut run_dir, &mut LookAlikeGpu::new(&plan), limits, cache.path(), silent)
        .await
        .unwrap();
    let winner = finished.selected[0].up.config.tile().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu { wrong: vec![winner.clone()], ..LookAlikeGpu::new(&plan) };
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    for role in Role::BOTH {
        assert_ne!(finished.selected[0].role(role).config.tile().to_string(), winner);
    }
}

#[tokio::test]
async fn capped_clocks_are_refused_and_a_moving_machine_is_told_of() {
    let (plan, cache) = (confirmed(), tempfile::tempdir().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let capped =
        GpuState { clock_mhz: Some(850.0), throttle: vec!["power cap".into()], ..GpuState::default() };
    let mut gpu = LookAlikeGpu { state: capped, ..LookAlikeGpu::new(&plan) };
    let silent = &mut crate::events::Silent;
    let limits = Limits::default();
    let error = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap_err();
    assert!(error.to_string().contains("850 MHz under load, its maximum is 2500: power cap"), "{error}");
    assert!(error.hint().unwrap().contains("USB-PD"));
    assert_eq!(error.kind(), Kind::Environment);

    for strict in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
        let mut gpu = LookAlikeGpu { slowing: 0.01, ..LookAlikeGpu::new(&plan) };
        let limits = Limits { budget_s: None, strict };
        let mut events: Vec<Event> = Vec::new();
        let result = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), &mut events).await;
        if strict {
            assert!(result.unwrap_err().to_string().contains("not steady"));
        } else {
            result.unwrap();
            let told = |event: &MeasureEvent| matches!(event, MeasureEvent::Unsteady { change_percent, .. } if *change_percent > 0.0);
            assert!(measured(&events).iter().any(told));
        }
    }
}

#[tokio::test]
async fn a_journal_of_another_strategy_is_refused() {
    let plan = Plan { batch_sizes: vec![64], ..confirmed() };
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let silent = &mut crate::events::Silent;
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let limits = Limits::default();
    measure(&plan, &mut run_dir, &mut LookAlikeGpu::new(&plan), limits, cache.path(), silent).await.unwrap();
    drop(run_dir);
    let journal = dir.path().join(journal::FILE_NAME);
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"skewed\":false,\"seed\":0", "\"skewed\":false,\"seed\":9", 1))
        .unwrap();
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu::new(&plan);
    let error = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("round 1 of the journal at batch size 64"), "{error}");
}

/// Where several batch sizes are measured at once, their rounds stand in the journal as they came.
#[tokio::test]
async fn a_journal_is_resumed_by_batch_size_whatever_the_order_of_its_rounds() {
    let (plan, cache) = (confirmed(), tempfile::tempdir().unwrap());
    let (whole_dir, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let silent = &mut crate::events::Silent;
    let limits = Limits::default();
    let mut run_dir = OpenRun::start(whole_dir.path(), &plan).unwrap();
    let mut gpu = LookAlikeGpu::new(&plan);
    let whole = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    let text = std::fs::read_to_string(whole_dir.path().join(journal::FILE_NAME)).unwrap();
    let is = |line: &&str, record: &str| line.contains(&format!("\"record\":\"{record}\""));
    let of = |contest: usize| {
        let asks = format!("\"contest\":{{\"index\":{contest},");
        text.lines().filter(move |line| is(line, "round") && line.contains(&asks)).collect::<Vec<_>>()
    };
    let (small, large) = (of(0), of(1));
    // The first third of one, half of the other, in turns; neither is over.
    let (small, large) = (&small[..small.len() / 3], &large[..large.len() / 2]);
    assert!(small.len() > 2 && large.len() > 2);
    let mut lines: Vec<&str> = text.lines().filter(|it| !is(it, "round") && !is(it, "file")).collect();
    for at in 0..small.len().max(large.len()) {
        lines.extend(large.get(at).into_iter().chain(small.get(at)));
    }
    std::fs::write(dir.path().join(journal::FILE_NAME), lines.join("\n") + "\n").unwrap();
    let mut run_dir = OpenRun::resume(dir.path(), &plan).unwrap();
    let answered = gpu.answered;
    let mut gpu = LookAlikeGpu::new(&plan);
    let resumed = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    assert_eq!(outcome(dir.path(), &resumed), outcome(whole_dir.path(), &whole));
    assert!(gpu.answered < answered, "what the journal holds is not measured again");
}

/// A whole run over `batch_sizes`, for tests of what is made of one.
pub(crate) async fn a_run(batch_sizes: &[u32]) -> (Plan, Finished) {
    let plan = Plan { batch_sizes: batch_sizes.to_vec(), ..confirmed() };
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run_dir = OpenRun::start(dir.path(), &plan).unwrap();
    let (mut gpu, limits) = (LookAlikeGpu::new(&plan), Limits::default());
    let silent = &mut crate::events::Silent;
    let finished = measure(&plan, &mut run_dir, &mut gpu, limits, cache.path(), silent).await.unwrap();
    (plan, finished)
}
