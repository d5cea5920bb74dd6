//! What beat the default on one node is asked of a second one: it agrees, it does not, it dies, the harness is killed.

use std::collections::BTreeMap;

use super::*;
use crate::artifact::Evidence;
use crate::artifact::manifest::Source;
use crate::events::MeasureEvent;
use crate::shape::KernelConfig;
use crate::tuner::run::tests::node;
use crate::tuner::strategy::{Method, StrategySpec};

type Gpu = Arc<Mutex<LookAlikeGpu>>;

fn shared(gpu: LookAlikeGpu) -> Gpu {
    Arc::new(Mutex::new(gpu))
}

/// One batch size, which the first node races while the second has nothing to do.
fn plan() -> Plan {
    Plan { batch_sizes: vec![64], ..confirmed() }
}

async fn on(
    plan: &Plan,
    open: &mut OpenRun,
    nodes: Vec<Node>,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Finished, RunError> {
    let (device, limits) = (gb10(), Limits::default());
    run(RunJob { plan, device: &device, dir: open, nodes, limits, cancel, observer }).await
}

/// A run from its beginning, with what it told and wrote.
async fn whole(plan: &Plan, nodes: Vec<Node>) -> (Vec<Event>, Vec<(Vec<u8>, Manifest)>, tempfile::TempDir) {
    let (dir, mut events) = (tempfile::tempdir().unwrap(), Vec::new());
    let mut open = OpenRun::start(dir.path(), plan).unwrap();
    let finished = on(plan, &mut open, nodes, CancellationToken::new(), &mut events).await.unwrap();
    assert!(finished.raced.as_ref().unwrap().spent.complete);
    let written = written(dir.path(), &finished);
    for (_, manifest) in &written {
        let dated = Manifest { created: "2026-01-31T10:20:30Z".into(), ..manifest.clone() };
        assert_eq!(dated.contradiction(), None);
    }
    drop(open);
    answers_fit(dir.path());
    (events, written, dir)
}

fn entry(written: &[(Vec<u8>, Manifest)]) -> &ManifestEntry {
    &written[0].1.entries[&64]
}

fn judged(events: &[Event]) -> Vec<MeasureEvent> {
    let judged = |event: &Event| match &event.what {
        What::Measure(event @ MeasureEvent::Judged { .. }) => Some(event.clone()),
        _ => None,
    };
    events.iter().filter_map(judged).collect()
}

/// The rounds of the confirmation in a journal, by the node that measured them.
fn seconds(dir: &Path) -> Vec<HostName> {
    let records = records(dir);
    let second = |record: Record| match record {
        Record::Round { on, round, .. } => (round.contest.part == 1).then_some(on),
        _ => None,
    };
    records.into_iter().filter_map(second).collect()
}

#[tokio::test]
async fn one_node_is_asked_nothing_more_and_says_so() {
    let plan = plan();
    let gpu = shared(LookAlikeGpu::new(&plan));
    let (events, written, dir) = whole(&plan, vec![node("spark-1", &gpu)]).await;
    assert_eq!(entry(&written).measured.unwrap().confirmed_on, Some(1));
    assert_eq!((judged(&events), seconds(dir.path())), (Vec::new(), Vec::new()));
}

/// Clocks that differ by 30 % and drift apart: the files are those of one node, and the second one's word counts.
#[tokio::test]
async fn two_nodes_with_clocks_of_their_own_choose_what_one_chooses() {
    let plan = plan();
    let alone = shared(LookAlikeGpu::new(&plan));
    let (_, expected, _dir) = whole(&plan, vec![node("spark-1", &alone)]).await;
    for (clock, slowing) in [(1.3, 0.0), (1.0 / 1.3, 0.0), (1.3, 0.0005)] {
        let first = shared(LookAlikeGpu::new(&plan));
        let second = shared(LookAlikeGpu { clock, slowing, ..LookAlikeGpu::new(&plan) });
        let nodes = vec![node("spark-1", &first), node("spark-2", &second)];
        let (events, mut written, dir) = whole(&plan, nodes).await;
        assert_eq!(confirmed_on_one(&mut written), [2; 2], "clock {clock}");
        assert_eq!(written, expected, "clock {clock}, slowing {slowing}");
        let [MeasureEvent::Judged { batch_size: 64, agrees: true, seen }] = &judged(&events)[..] else {
            panic!("{:?}", judged(&events))
        };
        let saw: Vec<_> =
            seen.iter().map(|it| (it.node.as_str(), it.speedup.unwrap().lower > 1.005)).collect();
        assert_eq!(saw, [("spark-1", true), ("spark-2", true)]);
        // Two hundred pairs, twenty a round, on the other node alone.
        assert_eq!(seconds(dir.path()), vec!["spark-2".parse::<HostName>().unwrap(); 10]);
    }
}

#[tokio::test]
async fn where_the_second_node_does_not_see_it_the_default_stays_and_both_are_told() {
    let plan = plan();
    let first = shared(LookAlikeGpu::new(&plan));
    let (_, alone, _dir) = whole(&plan, vec![node("spark-1", &first)]).await;
    let chosen = entry(&alone).config.tile().to_string();
    // On one all configs are equal, on the other the choice gives wrong results.
    for (identical, wrong) in [(true, Vec::new()), (false, vec![chosen])] {
        let runs = wrong.is_empty();
        let second = shared(LookAlikeGpu { identical, wrong, ..LookAlikeGpu::new(&plan) });
        let nodes = vec![node("spark-1", &shared(LookAlikeGpu::new(&plan))), node("spark-2", &second)];
        let (events, written, _dir) = whole(&plan, nodes).await;
        for (_, manifest) in &written {
            let entry = &manifest.entries[&64];
            assert_eq!((entry.evidence, entry.source), (Evidence::Measured, Source::RuntimeDefault));
            assert_eq!(entry.config.to_string(), "64x128x128 g1 w4 s4");
            let measured = entry.measured.unwrap();
            assert_eq!((measured.speedup, measured.confirmed_on), (None, None));
            assert_eq!(measured.default_us, Some(measured.time_us), "the default's time");
            let disputed = measured.disputed.unwrap();
            assert!(disputed.first.lower > 1.005, "{disputed:?}");
            assert_eq!(disputed.second.is_some(), runs);
            assert!(disputed.second.is_none_or(|it| it.lower < 1.005 && it.pairs == 200), "{disputed:?}");
        }
        let [MeasureEvent::Judged { agrees: false, seen, .. }] = &judged(&events)[..] else {
            panic!("{:?}", judged(&events))
        };
        assert_eq!(seen[1].speedup.is_some(), runs);
    }
}

/// Nobody waits for a second opinion that nobody is left to give.
#[tokio::test(start_paused = true)]
async fn where_the_second_node_is_lost_for_good_the_first_ones_word_counts_as_one() {
    let plan = plan();
    let alone = shared(LookAlikeGpu::new(&plan));
    let (_, expected, _dir) = whole(&plan, vec![node("spark-1", &alone)]).await;
    let many = || vec![lost as fn() -> Result<(), Trouble>; 100];
    // Before its first round, and after some.
    for well_for in [0, 4] {
        // It compiles its share, and the two kernels of either projection, and then times.
        let first = node("spark-1", &shared(LookAlikeGpu::new(&plan)));
        let mut second = Scripted::node(&plan, "spark-2", Vec::new());
        second.executor =
            Box::new(TimesNoMore { inner: second.executor, left: well_for, ends: many().into_iter() });
        let (events, written, dir) = whole(&plan, vec![first, second]).await;
        assert_eq!(written, expected);
        assert_eq!(judged(&events), []);
        assert!(seconds(dir.path()).len() <= well_for);
        let gone = |event: &Event| matches!(&event.what, What::Note { text } if text.contains("spark-2 is out of reach"));
        assert!(events.iter().any(gone));
    }
}

/// A node whose link is lost whenever it times, from its n-th time on.
struct TimesNoMore {
    inner: Box<dyn Executor>,
    left: usize,
    ends: std::vec::IntoIter<fn() -> Result<(), Trouble>>,
}

impl Executor for TimesNoMore {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        self.inner.compile(batch, on_result)
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async move {
            if self.left == 0 {
                self.ends.next().unwrap_or(well)()?;
            }
            self.left = self.left.saturating_sub(1);
            self.inner.time(request).await
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.inner.close()
    }
}

/// Stopped anywhere in a confirmation and gone on with: nothing is measured twice, and the end is the same. Gone on with
/// where the second node is not, the first one's word is all there is.
#[tokio::test]
async fn a_run_cut_in_a_confirmation_goes_on_where_it_stopped() {
    let plan = plan();
    let (first, second) = (shared(LookAlikeGpu::new(&plan)), shared(LookAlikeGpu::new(&plan)));
    let (_, expected, _dir) = whole(&plan, vec![node("spark-1", &first), node("spark-2", &second)]).await;
    let asked = second.lock().unwrap().answered;
    assert!(asked > 5, "ten rounds, and looks at the sentinel: {asked}");
    for cut in 0..asked {
        for comes_back in [true, false] {
            let (dir, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
            let cut_after = Some((cut, token.clone()));
            let gpus = [
                shared(LookAlikeGpu::new(&plan)),
                shared(LookAlikeGpu { cancel_after: cut_after, ..LookAlikeGpu::new(&plan) }),
            ];
            let nodes = vec![node("spark-1", &gpus[0]), node("spark-2", &gpus[1])];
            let mut open = OpenRun::start(dir.path(), &plan).unwrap();
            let error = on(&plan, &mut open, nodes, token, &mut Silent).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Interrupted, "cut at {cut}: {error}");
            drop(open);
            let raced = gpus[0].lock().unwrap().answered;
            let gpus = [shared(LookAlikeGpu::new(&plan)), shared(LookAlikeGpu::new(&plan))];
            let mut nodes = vec![node("spark-1", &gpus[0])];
            nodes.extend(comes_back.then(|| node("spark-2", &gpus[1])));
            let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
            let finished = on(&plan, &mut open, nodes, CancellationToken::new(), &mut Silent).await.unwrap();
            assert!(finished.raced.as_ref().unwrap().spent.complete);
            let written = written(dir.path(), &finished);
            let nodes = if comes_back { 2 } else { 1 };
            assert_eq!(entry(&written).measured.unwrap().confirmed_on, Some(nodes), "cut at {cut}");
            if comes_back {
                assert_eq!(written, expected, "cut at {cut}");
            }
            drop(open);
            answers_fit(dir.path());
            assert!(raced > 0);
            assert_eq!(gpus[0].lock().unwrap().answered, 0, "what it raced is on record");
        }
    }
}

/// What two nodes said is kept: gone on with alone, a run is what it was.
#[tokio::test]
async fn a_second_word_on_record_is_heard_without_its_node() {
    let plan = plan();
    let nodes = ["spark-1", "spark-2"].map(|name| node(name, &shared(LookAlikeGpu::new(&plan))));
    let (_, expected, dir) = whole(&plan, nodes.into()).await;
    let gpu = shared(LookAlikeGpu::new(&plan));
    let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
    let nodes = vec![node("spark-1", &gpu)];
    let finished = on(&plan, &mut open, nodes, CancellationToken::new(), &mut Silent).await.unwrap();
    assert_eq!(written(dir.path(), &finished), expected);
    assert_eq!(gpu.lock().unwrap().answered, 0);
    let verdict = &finished.raced.unwrap().verdicts[&64];
    let second = verdict.second.as_ref().unwrap();
    assert_eq!([&verdict.on, &second.on].map(HostName::as_str), ["spark-1", "spark-2"]);
}

/// Another node than the one that began it begins it anew, and what that one measured was paid for.
#[tokio::test]
async fn a_third_node_gives_the_second_word_where_the_second_does_not_come_back() {
    let plan = plan();
    let (dir, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let cut = LookAlikeGpu { cancel_after: Some((4, token.clone())), ..LookAlikeGpu::new(&plan) };
    let nodes = vec![node("spark-1", &shared(LookAlikeGpu::new(&plan))), node("spark-2", &shared(cut))];
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    on(&plan, &mut open, nodes, token, &mut Silent).await.unwrap_err();
    drop(open);
    let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
    let nodes = ["spark-1", "spark-3"].map(|name| node(name, &shared(LookAlikeGpu::new(&plan))));
    let finished = on(&plan, &mut open, nodes.into(), CancellationToken::new(), &mut Silent).await.unwrap();
    assert_eq!(finished.raced.unwrap().verdicts[&64].second.as_ref().unwrap().on.as_str(), "spark-3");
    drop(open);
    // With both parts on record, it is still read back.
    let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
    let gpu = shared(LookAlikeGpu::new(&plan));
    let nodes = vec![node("spark-2", &gpu)];
    let finished = on(&plan, &mut open, nodes, CancellationToken::new(), &mut Silent).await.unwrap();
    assert_eq!(entry(&written(dir.path(), &finished)).measured.unwrap().confirmed_on, Some(2));
    assert_eq!(gpu.lock().unwrap().answered, 0);
}

/// The budget ends a confirmation, not what the first node decided; a run without one asks the rest.
#[tokio::test]
async fn a_budget_spent_on_the_way_to_the_second_word_leaves_the_first() {
    let plan = plan();
    for cut in [0, 3] {
        let (dir, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let cut = LookAlikeGpu { cancel_after: Some((cut, token.clone())), ..LookAlikeGpu::new(&plan) };
        let nodes = vec![node("spark-1", &shared(LookAlikeGpu::new(&plan))), node("spark-2", &shared(cut))];
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        on(&plan, &mut open, nodes, token, &mut Silent).await.unwrap_err();
        drop(open);
        for (budget_s, nodes_that_confirmed) in [(Some(1e-9), 1), (None, 2)] {
            let nodes = ["spark-1", "spark-2"].map(|name| node(name, &shared(LookAlikeGpu::new(&plan))));
            let (device, cancel, limits) =
                (gb10(), CancellationToken::new(), Limits { budget_s, strict: false });
            let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
            let (dir_of_run, nodes, observer) = (&mut open, nodes.into(), &mut Silent);
            let job =
                RunJob { plan: &plan, device: &device, dir: dir_of_run, nodes, limits, cancel, observer };
            let finished = run(job).await.unwrap();
            let raced = finished.raced.as_ref().unwrap();
            assert_eq!((raced.decided, raced.spent.complete), (1, budget_s.is_none()));
            let confirmed_on = entry(&written(dir.path(), &finished)).measured.unwrap().confirmed_on;
            assert_eq!(confirmed_on, Some(nodes_that_confirmed));
        }
    }
}

/// How much slower than the best each batch size's choice is, by times without noise.
fn regrets(plan: &Plan, finished: &Finished) -> Vec<f64> {
    let (device, truth) = (gb10(), LookAlikeGpu::new(plan));
    let contests = Contests::new(plan, &device, &Default::default(), &[]);
    let regret = |(at, entry): (usize, &crate::tuner::select::Selected)| {
        let us = |role, config: &KernelConfig| truth.usual_us(entry.batch_size, role, config);
        let mut best: BTreeMap<u32, [f64; 2]> = BTreeMap::new();
        for (slot, index, arm) in contests.problem.contests[at].arms() {
            let time = us(Role::BOTH[slot], &contests.config(at, slot, index));
            let times = best.entry(arm.link).or_insert([f64::INFINITY; 2]);
            times[slot] = times[slot].min(time);
        }
        let best = best.values().map(|[up, down]| up + down).fold(f64::INFINITY, f64::min);
        (us(Role::Up, &entry.up.config) + us(Role::Down, &entry.down.config)) / best - 1.0
    };
    finished.selected.iter().enumerate().map(regret).collect()
}

/// Four nodes whose clocks differ by up to 30 % and drift: their choices are not worse than one steady node's by more
/// than 0.2 points, at any batch size.
#[tokio::test]
async fn nodes_that_differ_and_drift_choose_as_well_as_one() {
    for seed in 0..2 {
        let strategy = Some(StrategySpec { method: Method::Race(Default::default()), seed });
        let plan = Plan { batch_sizes: vec![16, 64, 96, 4096], strategy, ..confirmed() };
        let mut regret_of = Vec::new();
        for clocks in [&[(1.0, 0.0)][..], &[(1.0, 0.0), (1.3, 0.0004), (0.77, 0.0), (1.15, 0.0002)]] {
            let gpu = |&(clock, slowing)| shared(LookAlikeGpu { clock, slowing, ..LookAlikeGpu::new(&plan) });
            let nodes = clocks.iter().enumerate();
            let nodes = nodes.map(|(at, it)| node(&format!("spark-{at}"), &gpu(it))).collect();
            let dir = tempfile::tempdir().unwrap();
            let mut open = OpenRun::start(dir.path(), &plan).unwrap();
            let finished = on(&plan, &mut open, nodes, CancellationToken::new(), &mut Silent).await.unwrap();
            regret_of.push(regrets(&plan, &finished));
        }
        for (one, four) in regret_of[0].iter().zip(&regret_of[1]) {
            assert!(*one >= 0.0 && *four <= one + 0.002, "seed {seed}: {regret_of:?}");
        }
    }
}
