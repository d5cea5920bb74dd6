use super::*;
use crate::commands::shown::Shown;
use crate::events::{DecisionGrounds, FileEvent, NoBinary};
use crate::failure::Kind;
use crate::shape::{Role, Tile};

const RUNNING: Option<Writer> = Some(Writer { process: Some(7) });

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// What is heard so many seconds after the beginning, from a node or nobody.
fn view(events: Vec<(i64, &str, What)>) -> RunView {
    let mut view = RunView::default();
    for (second, node, what) in events {
        let from = match node {
            "" => EventOrigin::Harness,
            name => EventOrigin::Host(name.parse().unwrap()),
        };
        view.hears(&Event { at: at(second), from, what });
    }
    view
}

fn began(resumed: bool) -> What {
    RunEvent::Began { directory: "results/a".into(), resumed }.into()
}

fn joined(gpu: Option<&str>) -> What {
    NodeEvent::Joined { processors: 20, gpu: gpu.map(str::to_owned) }.into()
}

fn compiled(done: u64, failed: bool) -> What {
    let tile = Tile { block_size_m: 64, block_size_n: 128, block_size_k: 128, num_warps: 4, num_stages: 3 };
    let failed = failed.then(|| NoBinary { reason: "timeout".into(), message: "60 s passed".into() });
    let work = Work { done, of: 40 };
    CompileEvent::Ended { role: Role::Up, tile, batch_size: None, failed, work }.into()
}

fn failed() -> What {
    let (message, hint) = ("interrupted".to_owned(), Some("go on with: sparktune".to_owned()));
    let exit_code = Kind::Interrupted.exit_code();
    CommandEvent::Failed { exit_code, message, causes: Vec::new(), hint }.into()
}

fn shown(view: &RunView, writer: Option<Writer>, second: i64) -> String {
    let mut shown = Shown::default();
    view.show(Path::new("results/a"), writer, at(second), &mut shown).unwrap();
    shown.0
}

/// Two nodes that compile, one of which is lost.
fn compiling() -> Vec<(i64, &'static str, What)> {
    let lost = NodeEvent::Left { how: Left::Lost { why: "no answer within 30 s".into() } };
    vec![
        (0, "", began(false)),
        (0, "n1", joined(Some("NVIDIA GB10"))),
        (0, "n2", joined(None)),
        (0, "", CompileEvent::Queued { work: Work { done: 0, of: 40 } }.into()),
        (5, "n1", compiled(1, false)),
        (6, "n2", compiled(2, true)),
        (10, "n1", compiled(20, false)),
        (11, "n2", lost.into()),
    ]
}

#[test]
fn who_does_what_how_fast_and_how_long_it_takes_is_seen_while_it_runs() {
    let view = view(compiling());
    let text = shown(&view, RUNNING, 15);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "results/a: running (process 7), for 15 s",
            "  compiled 20/40 kernels, 2.0 a second, 10 s left",
            "node |  | GPU | compiled | no binary | rounds | last",
            "n1 | works | NVIDIA GB10 | 2 | 0 | 0 | up 64x128x128 w4 s3, 5.0 s ago",
            "n2 | no answer within 30 s |  | 1 | 1 | 0 | up 64x128x128 w4 s3, 9.0 s ago",
        ]
    );
    let json = view.json(Path::new("results/a"), RUNNING, at(15));
    assert_eq!(
        (&json["state"], &json["process"], &json["began"]),
        (&"running".into(), &7.into(), &at(0).to_string().into())
    );
    assert_eq!(json["compiling"], json!({"done": 20, "of": 40, "per_second": 2.0, "remaining_s": 10.0}));
    assert_eq!(json["measuring"], Value::Null);
    assert_eq!(json["nodes"][1]["left"], json!({"how": "lost", "why": "no answer within 30 s"}));
    assert_eq!((&json["nodes"][0]["works"], &json["nodes"][0]["last_s_ago"]), (&true.into(), &5.0.into()));
}

#[test]
fn a_node_that_waits_for_its_gpu_says_so_until_it_works() {
    let waiting = || What::from(NodeEvent::Waiting { why: "others compute on it".into() });
    let mut events = compiling();
    events.push((12, "n3", waiting()));
    let waits = view(events.clone());
    assert!(shown(&waits, RUNNING, 15).contains("n3 | waits: others compute on it |"));
    let json = waits.json(Path::new("results/a"), RUNNING, at(15));
    let n3 = |json: &Value| (json["nodes"][2]["works"].clone(), json["nodes"][2]["waits"].clone());
    assert_eq!(n3(&json), (false.into(), "others compute on it".into()));
    for (event, state) in [(joined(None), "works"), (NodeEvent::Left { how: Left::Drained }.into(), "done")] {
        let then = view([events.clone(), vec![(13, "n3", event)]].concat());
        assert!(shown(&then, RUNNING, 15).contains(&format!("n3 | {state} |")));
        let json = then.json(Path::new("results/a"), RUNNING, at(15));
        assert_eq!(n3(&json), ((state == "works").into(), Value::Null));
    }
}

#[test]
fn how_it_ended_is_known_by_what_it_said_last() {
    let drained = || What::from(NodeEvent::Left { how: Left::Drained });
    let tunes = |told: StockEvent| What::from(told);
    let tuned = Work { done: 2, of: 2 };
    let written = || What::from(FileEvent::Written { path: "a.json".into(), sha256: "00".into() });
    let end = |more: Vec<(i64, &'static str, What)>| view([compiling(), more].concat());
    for (state, view, says) in [
        ("ended", end(vec![(12, "n1", drained()), (12, "", written())]), "  wrote a.json"),
        ("ended", end(vec![(12, "n1", drained())]), "n1 | done |"),
        // Of a run that asks no node anything.
        ("ended", view(vec![(0, "", began(false)), (1, "", written())]), "  wrote a.json"),
        // A runtime's own tuner, all of whose choices were unsafe.
        (
            "ended",
            view(vec![
                (0, "", began(true)),
                (1, "", tunes(StockEvent::Queued { work: tuned })),
                (1, "", tunes(StockEvent::Ended { work: tuned })),
            ]),
            "  tuned 2/2 batch sizes",
        ),
        (
            "ended",
            view(vec![
                (0, "", began(false)),
                (0, "n1", tunes(StockEvent::Started { batch_size: 64 })),
                (1, "n1", drained()),
            ]),
            "n1 | done |",
        ),
        // It was killed while its last processes were ended.
        (
            "killed",
            view(vec![
                (0, "", began(false)),
                (0, "n1", tunes(StockEvent::Started { batch_size: 64 })),
                (1, "", tunes(StockEvent::Ended { work: Work { done: 1, of: 2 } })),
            ]),
            "it ended without a word",
        ),
        (
            "stopped",
            end(vec![(12, "n1", drained()), (12, "", failed())]),
            "  interrupted\n  go on with: sparktune",
        ),
        ("killed", end(vec![]), "  it ended without a word; go on with: sparktune moe --resume 'results/a'"),
        ("killed", RunView::default(), "it ended without a word"),
    ] {
        assert_eq!(view.json(Path::new("results/a"), None, at(90))["state"], state);
        let text = shown(&view, None, 90);
        assert!(text.starts_with(&format!("results/a: {state}")) && text.contains(says), "{text}");
        assert!(!text.contains("left\n"), "nothing is foretold of what is over: {text}");
        assert_eq!(view.json(Path::new("results/a"), RUNNING, at(90))["state"], "running");
    }
}

#[test]
fn a_session_begins_anew_with_what_the_one_before_measured() {
    let work = |done| Work { done, of: 18 };
    let decided = |done| MeasureEvent::Decided {
        batch_size: 1,
        grounds: DecisionGrounds::DefaultKept,
        time_us: None,
        default_us: None,
        work: work(done),
    };
    let more = vec![
        (12, "", failed()),
        (100, "", began(true)),
        (101, "n3", joined(None)),
        (102, "", MeasureEvent::Queued { work: work(0) }.into()),
        (102, "", MeasureEvent::Resumed { rounds: 9, launches: 900, seconds: 60.0, work: work(6) }.into()),
        (112, "n3", MeasureEvent::Round { batch_size: 64, launches: 1000, seconds: 70.0 }.into()),
        (122, "", decided(8).into()),
    ];
    let text = shown(&view([compiling(), more].concat()), RUNNING, 160);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "results/a: running (process 7), resumed, for 1 min",
            "  decided 8/18 batch sizes, 6.0 a minute, 1 min left",
            "  measured for 1 min, 1000 launches",
            "node |  | GPU | compiled | no binary | rounds | last",
            "n3 | works |  | 0 | 0 | 1 | batch size 64, 48 s ago",
        ]
    );
}
