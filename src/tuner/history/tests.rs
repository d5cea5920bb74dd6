use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::shape::{Role, Tile};

fn name(node: &str) -> HostName {
    node.parse().unwrap()
}

fn at(at_ms: u64, record: Record) -> Entry {
    Entry { at_ms, record }
}

/// A line as it stands in a journal.
fn line(value: Value) -> Entry {
    serde_json::from_value(value).unwrap()
}

fn session(at_ms: u64, opened: &str) -> Entry {
    at(at_ms, Record::Session { opened: opened.parse().unwrap() })
}

fn joined(at_ms: u64, node: &str) -> Entry {
    let compiler = json!({"kernel_digest": "k", "triton": "3.5.0", "ptxas": null, "sglang": null});
    line(json!({"at_ms": at_ms, "record": "joined", "node": node, "compiler": compiler, "gpu": null}))
}

fn left(at_ms: u64, node: &str, how: Left) -> Entry {
    at(at_ms, Record::Left { node: name(node), how })
}

fn ordered(at_ms: u64, on: &str, kernels: Option<u32>) -> Entry {
    at(at_ms, Record::Ordered { on: name(on), kernels })
}

fn batch_ended(at_ms: u64, on: &str) -> Entry {
    at(at_ms, Record::BatchEnded { on: name(on) })
}

fn state(clock_mhz: f64, throttle: &[&str]) -> GpuState {
    let throttle = throttle.iter().map(|&reason| reason.to_owned()).collect();
    GpuState { clock_mhz: Some(clock_mhz), throttle, ..GpuState::default() }
}

fn round(at_ms: u64, on: &str, failures: &[ArmFailure], gpu: GpuState) -> Entry {
    let mut entry = line(json!({
        "at_ms": at_ms, "record": "round", "on": on, "gpu": {},
        "round": {
            "contest": {"index": 0, "part": 0}, "routing": {"skewed": false, "seed": 0}, "entrants": [],
            "order": [], "warm_up": true, "abort_above_us": null,
        },
        "timings": {"times_us": [], "failures": [], "seconds": 1.0},
    }));
    let Record::Round { timings, gpu: after, .. } = &mut entry.record else { unreachable!() };
    timings.failures = failures.iter().map(|failure| (0, *failure)).collect();
    *after = gpu;
    entry
}

fn look(at_ms: u64, on: &str, batch_size: u32, awake: bool, times_us: &[f64]) -> Entry {
    at(
        at_ms,
        Record::Sentinel {
            on: name(on),
            batch_size,
            entrant: crate::tuner::strategy::Entrant::Single { slot: 0, arm: 0 },
            awake,
            times_us: times_us.to_vec(),
            gpu: state(2000.0, &[]),
            replaced: 1,
            seconds: 0.5,
        },
    )
}

fn proof(at_ms: u64, on: &str, result: Value, kept: bool) -> Entry {
    let tile = Tile { block_size_m: 16, block_size_n: 64, block_size_k: 64, num_warps: 4, num_stages: 3 };
    let result = serde_json::from_value(result).unwrap();
    at(at_ms, Record::Proof { on: name(on), role: Role::Up, tile, result, kept })
}

fn compiled() -> Value {
    json!({
        "outcome": "compiled", "shared_bytes": 1, "registers": 1, "spill_bytes": 0, "seconds": 1.0,
        "binary_sha256": "0",
    })
}

fn failed(reason: &str) -> Value {
    json!({"outcome": "failed", "reason": reason, "message": "two workers died on it", "seconds": 0.0})
}

fn died() -> Left {
    Left::Died { status: "signal 9".into() }
}

fn spells(history: &History, node: &str) -> Vec<(u64, u64, Doing)> {
    let spells = &history.nodes[&name(node)].spells;
    spells.iter().map(|spell| (spell.from_ms, spell.to_ms, spell.doing)).collect()
}

#[test]
fn what_each_node_did_is_known_from_its_orders_and_what_came_of_them() {
    use Doing::{Away, Compiling, Idle, Measuring};
    let history = History::of(&[
        // The time before it had its nodes is no time of the run.
        session(5_000, "2026-01-31T10:00:00Z"),
        joined(5_000, "a"),
        joined(5_000, "b"),
        ordered(5_000, "a", Some(2)),
        ordered(5_500, "b", Some(1)),
        proof(6_000, "a", compiled(), false),
        proof(7_000, "a", failed("kernel_error"), false),
        batch_ended(7_000, "a"),
        left(8_000, "b", died()),
        joined(8_500, "b"),
        ordered(9_000, "a", None),
        round(10_000, "a", &[], state(2000.0, &[])),
        // The next order follows at once, and the program is killed.
        ordered(10_000, "a", None),
        ordered(10_500, "b", Some(1)),
        // On another day, with a clock of its own, and with one of them.
        session(1_000, "2026-02-02T10:00:00Z"),
        joined(1_000, "b"),
        ordered(1_500, "b", Some(1)),
        batch_ended(2_500, "b"),
        left(3_000, "b", Left::Drained),
        at(3_100, Record::File { path: "a.json".into(), sha256: "0".into() }),
    ]);
    assert_eq!(
        spells(&history, "a"),
        [
            (0, 2_000, Compiling),
            (2_000, 4_000, Idle),
            (4_000, 5_500, Measuring),
            // It had no part in the second session.
            (5_500, 7_500, Away)
        ]
    );
    assert_eq!(
        spells(&history, "b"),
        [
            (0, 500, Idle),
            (500, 3_000, Compiling),
            (3_000, 3_500, Away),
            (3_500, 6_000, Idle),
            (6_000, 7_000, Compiling),
            (7_000, 7_500, Idle)
        ]
    );
    let [a, b] = ["a", "b"].map(|node| &history.nodes[&name(node)]);
    assert_eq!((a.busy_ms(), a.utilisation()), (3_500, Some(3.5 / 5.5)));
    assert_eq!((a.orders, a.broken_off, a.proven, a.without_binary, a.rounds), (3, 0, 2, 1, 1));
    assert_eq!((b.orders, b.broken_off, b.restarts, b.sessions), (3, 1, 1, 2));
    assert_eq!(b.departures, [(3_000, died())]);
    let sessions: Vec<_> = history.sessions.iter().map(|it| (it.from_ms, it.to_ms)).collect();
    assert_eq!((sessions, history.ends_ms), (vec![(0, 5_500), (5_500, 7_500)], 7_500));
    assert_eq!(history.sessions[1].opened.to_string(), "2026-02-02T10:00:00Z");
}

#[test]
fn a_share_of_a_stretch_is_what_was_done_within_it() {
    let history = History::of(&[
        session(0, "2026-01-31T10:00:00Z"),
        joined(0, "a"),
        ordered(1_000, "a", None),
        round(3_000, "a", &[], GpuState::default()),
        left(4_000, "a", died()),
        batch_ended(5_000, "nobody"),
    ]);
    let node = &history.nodes[&name("a")];
    let shares = |from, to| {
        [Doing::Measuring, Doing::Compiling, Doing::Idle, Doing::Away].map(|it| node.share(it, from, to))
    };
    assert_eq!(shares(0, 4_000), [0.5, 0.0, 0.5, 0.0]);
    assert_eq!(shares(2_000, 4_500), [0.4, 0.0, 0.4, 0.2]);
    assert_eq!(shares(7, 7), [0.0; 4]);
    assert_eq!(history.nodes.len(), 1, "who never joined has no part in it");
}

#[test]
fn who_proved_what_and_for_whom_is_told_apart() {
    let history = History::of(&[
        session(0, "2026-01-31T10:00:00Z"),
        joined(0, "a"),
        proof(0, "a", compiled(), true),
        proof(1, "a", compiled(), false),
        proof(2, "a", failed("worker_lost"), false),
        at(3, Record::Binary { on: name("a"), unit: "up".into(), travelled: false }),
    ]);
    let a = &history.nodes[&name("a")];
    assert_eq!((a.kept, a.proven, a.without_binary, a.binaries), (1, 1, 0, 1));
    assert_eq!(a.given_up, ["up 16x64x64 w4 s3: two workers died on it"]);
    assert!(!history.is_measured());
}

#[test]
fn drift_is_told_from_the_first_look_at_a_batch_size_on_an_awake_gpu() {
    let history = History::of(&[
        session(0, "2026-01-31T10:00:00Z"),
        joined(0, "a"),
        joined(0, "b"),
        look(10, "a", 64, false, &[300.0]),
        look(20, "a", 64, true, &[99.0, 100.0, 104.0]),
        look(30, "a", 64, true, &[110.0]),
        look(40, "a", 16, true, &[50.0]),
        look(50, "b", 64, true, &[80.0]),
        look(60, "a", 64, true, &[80.0]),
        // What is no time is no yardstick, nor measured by one.
        look(70, "b", 16, true, &[0.0]),
        look(80, "b", 16, true, &[f64::NAN]),
        look(90, "b", 16, true, &[]),
        look(100, "b", 16, true, &[40.0]),
    ]);
    let ratios = |node: &str| -> Vec<_> {
        history.nodes[&name(node)].looks.iter().map(|look| (look.batch_size, look.over_first)).collect()
    };
    assert_eq!(ratios("a"), [(64, None), (64, Some(1.0)), (64, Some(1.1)), (16, Some(1.0)), (64, Some(0.8))]);
    let none = (16, None);
    assert_eq!(ratios("b"), [(64, Some(1.0)), none, none, none, (16, Some(1.0))]);
    // Twenty per cent down is further than ten up.
    assert_eq!(history.nodes[&name("a")].furthest_drift(), Some(0.8));
    assert_eq!(history.nodes[&name("a")].replaced, 5, "one a look");
}

#[test]
fn what_held_a_clock_down_and_what_could_not_be_timed_is_counted() {
    let history = History::of(&[
        session(0, "2026-01-31T10:00:00Z"),
        joined(0, "a"),
        ordered(0, "a", None),
        round(5, "a", &[ArmFailure::TimedOut, ArmFailure::WrongResult], state(900.0, &["power cap"])),
        round(9, "a", &[ArmFailure::TimedOut], state(2000.0, &[])),
    ]);
    let a = &history.nodes[&name("a")];
    let expected = BTreeMap::from([(ArmFailure::TimedOut, 2), (ArmFailure::WrongResult, 1)]);
    assert_eq!(a.failures, expected);
    assert_eq!(a.throttled().map(|(at_ms, _)| *at_ms).collect::<Vec<_>>(), [5]);
    assert_eq!(a.readings.len(), 2);
}

#[test]
fn a_journal_of_nothing_is_a_history_of_nothing() {
    assert_eq!(History::of(&[]), History::default());
    let begun = History::of(&[session(7, "2026-01-31T10:00:00Z")]);
    assert_eq!((begun.ends_ms, begun.nodes.len(), begun.sessions.len()), (0, 0, 1));
}

/// Any record at any time: also what no run writes.
fn entry() -> impl Strategy<Value = Entry> {
    let node = prop::sample::select(vec!["a", "b", "c"]);
    let time = prop_oneof![8 => 0..100_000u64, 1 => Just(u64::MAX)];
    (time, node, 0..9u32).prop_map(|(at_ms, node, what)| match what {
        0 => session(at_ms, "2026-01-31T10:00:00Z"),
        1 | 2 => joined(at_ms, node),
        3 => left(at_ms, node, if at_ms % 2 == 0 { Left::Drained } else { died() }),
        4 => ordered(at_ms, node, Some(3)),
        5 => ordered(at_ms, node, None),
        6 => batch_ended(at_ms, node),
        7 => round(at_ms, node, &[], GpuState::default()),
        _ => look(at_ms, node, 64, true, &[1.0]),
    })
}

proptest! {
    #[test]
    fn every_moment_of_a_node_is_accounted_for_once(entries in prop::collection::vec(entry(), 0..60)) {
        let history = History::of(&entries);
        for (name, node) in &history.nodes {
            for pair in node.spells.windows(2) {
                prop_assert_eq!(pair[0].to_ms, pair[1].from_ms);
                prop_assert_ne!(pair[0].doing, pair[1].doing);
            }
            prop_assert!(node.spells.iter().all(|spell| spell.from_ms < spell.to_ms));
            let all: u64 = [Doing::Measuring, Doing::Compiling, Doing::Idle, Doing::Away]
                .map(|doing| node.spent_ms(doing))
                .iter()
                .sum();
            let first = node.spells.first().map_or(history.ends_ms, |spell| spell.from_ms);
            prop_assert_eq!(all, history.ends_ms - first, "{}", name);
            if let Some(used) = node.utilisation() {
                prop_assert!((0.0..=1.0).contains(&used));
            }
        }
        let whole: u64 = history.sessions.iter().map(|it| it.to_ms - it.from_ms).sum();
        let before = history.sessions.first().map_or(history.ends_ms, |it| it.from_ms);
        prop_assert_eq!(whole + before, history.ends_ms);
    }
}
