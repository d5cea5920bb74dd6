//! Every event as the line that programs read.

use serde_json::Value;

use super::*;
use crate::shape::{Role, Tile};

const GOLDEN: &str = include_str!("../../tests/fixtures/events.jsonl");
const DOCUMENTED: &str = include_str!("../../docs/events.md");

/// The name of each event, and the list of all names: who adds an event cannot but add it here.
macro_rules! every {
    ($($event:pat => $name:literal),* $(,)?) => {
        fn name(what: &What) -> &'static str {
            match what {
                $($event => $name),*
            }
        }
        const NAMES: &[&str] = &[$($name),*];
    };
}

every!(
    What::Note { .. } => "note",
    What::Command(CommandEvent::Stopping) => "command stopping",
    What::Command(CommandEvent::Failed { .. }) => "command failed",
    What::Run(RunEvent::Began { .. }) => "run began",
    What::Setup(SetupEvent::Waiting) => "setup waiting",
    What::Setup(SetupEvent::VirtualEnvironment { .. }) => "setup virtual_environment",
    What::Setup(SetupEvent::InstallTriton { .. }) => "setup install_triton",
    What::Setup(SetupEvent::InstallAssembler) => "setup install_assembler",
    What::Setup(SetupEvent::FetchSglang { .. }) => "setup fetch_sglang",
    What::Setup(SetupEvent::UnpackSglang { .. }) => "setup unpack_sglang",
    What::Setup(SetupEvent::Ready) => "setup ready",
    What::Node(NodeEvent::Joined { .. }) => "node joined",
    What::Node(NodeEvent::Waiting { .. }) => "node waiting",
    What::Node(NodeEvent::Left { how: Left::Drained }) => "node left drained",
    What::Node(NodeEvent::Left { how: Left::Died { .. } }) => "node left died",
    What::Node(NodeEvent::Left { how: Left::Lost { .. } }) => "node left lost",
    What::Node(NodeEvent::Left { how: Left::Unfit { .. } }) => "node left unfit",
    What::Compile(CompileEvent::Queued { .. }) => "compile queued",
    What::Compile(CompileEvent::Ended { failed: None, .. }) => "compile ended",
    What::Compile(CompileEvent::Ended { failed: Some(_), .. }) => "compile ended failed",
    What::Measure(MeasureEvent::Queued { .. }) => "measure queued",
    What::Measure(MeasureEvent::Resumed { .. }) => "measure resumed",
    What::Measure(MeasureEvent::Round { .. }) => "measure round",
    What::Measure(MeasureEvent::Unsteady { .. }) => "measure unsteady",
    What::Measure(MeasureEvent::Decided { grounds: DecisionGrounds::BeatsDefault, .. }) =>
        "measure decided beats_default",
    What::Measure(MeasureEvent::Decided { grounds: DecisionGrounds::DefaultKept, .. }) =>
        "measure decided default_kept",
    What::Measure(MeasureEvent::Decided { grounds: DecisionGrounds::NoDefault, .. }) =>
        "measure decided no_default",
    What::Measure(MeasureEvent::Decided { grounds: DecisionGrounds::Fastest, .. }) =>
        "measure decided fastest",
    What::Measure(MeasureEvent::Judged { agrees: true, .. }) => "measure judged agrees",
    What::Measure(MeasureEvent::Judged { agrees: false, .. }) => "measure judged disagrees",
    What::Measure(MeasureEvent::Ended { .. }) => "measure ended",
    What::Stock(StockEvent::Queued { .. }) => "stock queued",
    What::Stock(StockEvent::Started { .. }) => "stock started",
    What::Stock(StockEvent::Running { .. }) => "stock running",
    What::Stock(StockEvent::Tuned { .. }) => "stock tuned",
    What::Stock(StockEvent::Failed { .. }) => "stock failed",
    What::Stock(StockEvent::Ended { .. }) => "stock ended",
    What::Load(LoadEvent::Preparing { .. }) => "load preparing",
    What::Load(LoadEvent::Prepared { .. }) => "load prepared",
    What::Load(LoadEvent::Queued { part: LoadPart::WarmUp, .. }) => "load queued warm_up",
    What::Load(LoadEvent::Queued { part: LoadPart::Run { .. }, .. }) => "load queued run",
    What::Load(LoadEvent::Queued { part: LoadPart::Step { .. }, .. }) => "load queued step",
    What::Load(LoadEvent::Sending { .. }) => "load sending",
    What::Load(LoadEvent::Ended { .. }) => "load ended",
    What::Load(LoadEvent::Calibrating { .. }) => "load calibrating",
    What::Load(LoadEvent::Calibrated { .. }) => "load calibrated",
    What::Mock(MockEvent::Listening { .. }) => "mock listening",
    What::Image(ImageEvent::Copying { .. }) => "image copying",
    What::Image(ImageEvent::Copied { .. }) => "image copied",
    What::Image(ImageEvent::Detour { .. }) => "image detour",
    What::Image(ImageEvent::Pulling { .. }) => "image pulling",
    What::Image(ImageEvent::Pulled { .. }) => "image pulled",
    What::Image(ImageEvent::Building { .. }) => "image building",
    What::Image(ImageEvent::Built { .. }) => "image built",
    What::Image(ImageEvent::Failed { .. }) => "image failed",
    What::Serve(ServeEvent::Stage { .. }) => "serve stage",
    What::Serve(ServeEvent::StageDone { .. }) => "serve stage_done",
    What::Serve(ServeEvent::Started { .. }) => "serve started",
    What::Serve(ServeEvent::Loading { .. }) => "serve loading",
    What::Serve(ServeEvent::Ended { .. }) => "serve ended",
    What::Serve(ServeEvent::Removed { .. }) => "serve removed",
    What::Serve(ServeEvent::Ready { .. }) => "serve ready",
    What::File(FileEvent::Written { .. }) => "file written",
);

/// One event of every name.
fn samples() -> Vec<Event> {
    let at: Timestamp = "2026-01-31T10:20:30.5Z".parse().unwrap();
    let host = EventOrigin::Host("spark-1".parse().unwrap());
    let here = |what: What| Event { at, from: EventOrigin::Harness, what };
    let there = |what: What| Event { at, from: host.clone(), what };
    let tile = Tile { block_size_m: 64, block_size_n: 128, block_size_k: 128, num_warps: 4, num_stages: 3 };
    let work = |done, of| Work { done, of };
    let no_binary = NoBinary { reason: "timeout".into(), message: "60 s passed".into() };
    let compiled = |failed, done| CompileEvent::Ended {
        role: Role::Down,
        tile,
        batch_size: None,
        failed,
        work: work(done, 36),
    };
    let seen = |node: &str, speedup| Seen { node: node.parse().unwrap(), speedup };
    let first = SpeedupSeen { lower: 1.0625, estimate: 1.125, upper: 1.25 };
    let judged = |agrees, second| MeasureEvent::Judged {
        batch_size: 64,
        agrees,
        seen: vec![seen("spark-1", Some(first)), seen("spark-2", second)],
    };
    let decided = |grounds, time_us, default_us, done| MeasureEvent::Decided {
        batch_size: 64,
        grounds,
        time_us,
        default_us,
        work: work(done, 18),
    };
    let live = LiveView {
        sent: 48,
        done: 31,
        failed: 1,
        tokens: 4096,
        mean_ttft_ms: Some(131.25),
        mean_itl_ms: None,
    };
    let run = LoadPart::Run { profile: "quick".into(), number: 1, of: 3 };
    let image = || "lmsysorg/sglang:spark".to_owned();
    let from = || "spark-2".parse().unwrap();
    let step = LoadPart::Step { axis: "concurrency".into(), at: 8.0, number: 2, of: 4 };
    vec![
        here(What::Note { text: "key \"64\" of b.json was overruled".into() }),
        here(CommandEvent::Stopping.into()),
        here(
            CommandEvent::Failed {
                exit_code: 3,
                message: "cannot ask http://head:30000 who it is".into(),
                causes: vec!["connection refused".into()],
                hint: Some("is the server up?".into()),
            }
            .into(),
        ),
        here(RunEvent::Began { directory: "results/a".into(), resumed: false }.into()),
        here(SetupEvent::Waiting.into()),
        here(SetupEvent::VirtualEnvironment { triton: "3.5.0".into() }.into()),
        here(SetupEvent::InstallTriton { triton: "3.5.0".into() }.into()),
        here(SetupEvent::InstallAssembler.into()),
        here(SetupEvent::FetchSglang { version: "0.5.4.post2".into() }.into()),
        here(SetupEvent::UnpackSglang { version: "0.5.4.post2".into() }.into()),
        here(SetupEvent::Ready.into()),
        there(NodeEvent::Joined { processors: 20, gpu: Some("NVIDIA GB10".into()) }.into()),
        there(
            NodeEvent::Waiting { why: "other processes compute on its GPU (process ids [7])".into() }.into(),
        ),
        there(NodeEvent::Left { how: Left::Drained }.into()),
        there(NodeEvent::Left { how: Left::Died { status: "signal: 9 (SIGKILL)".into() } }.into()),
        there(NodeEvent::Left { how: Left::Lost { why: "no answer within 30 s".into() } }.into()),
        there(
            NodeEvent::Left { how: Left::Unfit { why: "the GPU's clock is held at 850 MHz".into() } }.into(),
        ),
        here(CompileEvent::Queued { work: work(0, 36) }.into()),
        there(compiled(None, 1).into()),
        there(compiled(Some(no_binary), 2).into()),
        here(MeasureEvent::Queued { work: work(0, 18) }.into()),
        here(MeasureEvent::Resumed { rounds: 120, launches: 4200, seconds: 61.5, work: work(2, 18) }.into()),
        there(MeasureEvent::Round { batch_size: 64, launches: 4240, seconds: 62.25 }.into()),
        there(MeasureEvent::Unsteady { batch_size: 64, change_percent: 3.5 }.into()),
        here(decided(DecisionGrounds::BeatsDefault, Some(81.5), Some(97.25), 3).into()),
        here(decided(DecisionGrounds::DefaultKept, Some(97.25), Some(97.25), 4).into()),
        here(decided(DecisionGrounds::NoDefault, Some(81.5), None, 5).into()),
        here(decided(DecisionGrounds::Fastest, None, None, 6).into()),
        there(judged(true, Some(SpeedupSeen { lower: 1.125, estimate: 1.25, upper: 1.375 })).into()),
        there(judged(false, None).into()),
        here(
            MeasureEvent::Ended {
                complete: false,
                rounds: 400,
                launches: 16000,
                seconds: 600.5,
                work: work(6, 18),
            }
            .into(),
        ),
        here(StockEvent::Queued { work: work(0, 18) }.into()),
        there(StockEvent::Started { batch_size: 4096 }.into()),
        there(
            StockEvent::Running { batch_size: 4096, seconds: 61.5, line: Some("3%| 12/364".into()) }.into(),
        ),
        there(
            StockEvent::Tuned {
                batch_size: 4096,
                config: tile.with_group(16),
                seconds: 9000.5,
                work: work(1, 18),
            }
            .into(),
        ),
        there(StockEvent::Failed { batch_size: 64, why: "exit status: 1".into(), again: true }.into()),
        here(StockEvent::Ended { work: work(1, 18) }.into()),
        here(LoadEvent::Preparing { requests: 100 }.into()),
        here(LoadEvent::Prepared { requests: 100 }.into()),
        here(LoadEvent::Queued { part: LoadPart::WarmUp, work: work(0, 4) }.into()),
        here(LoadEvent::Queued { part: run.clone(), work: work(0, 100) }.into()),
        here(LoadEvent::Queued { part: step, work: work(0, 100) }.into()),
        here(LoadEvent::Sending { part: run.clone(), work: work(32, 100), seconds: 4.5, live }.into()),
        here(LoadEvent::Ended { part: run, work: work(32, 100), seconds: 4.5, live }.into()),
        here(LoadEvent::Calibrating { streams: 64 }.into()),
        here(LoadEvent::Calibrated { streams: 64, right: true }.into()),
        here(MockEvent::Listening { url: "http://127.0.0.1:30000".into(), model: "mock".into() }.into()),
        there(
            ImageEvent::Copying { image: image(), from: from(), bytes: 1000, size: 4000, seconds: 1.5 }
                .into(),
        ),
        there(ImageEvent::Copied { image: image(), from: from(), bytes: 4096, seconds: 6.25 }.into()),
        there(ImageEvent::Detour { image: image(), why: "the other node broke off".into() }.into()),
        there(ImageEvent::Pulling { image: image(), status: "Downloading".into() }.into()),
        there(ImageEvent::Pulled { image: image(), seconds: 61.5 }.into()),
        there(ImageEvent::Building { image: image(), status: "Step 2/3 : COPY".into() }.into()),
        there(ImageEvent::Built { image: image(), seconds: 4.5 }.into()),
        there(ImageEvent::Failed { why: "no space left on device".into() }.into()),
        here(ServeEvent::Stage { what: "ranks".into() }.into()),
        here(ServeEvent::StageDone { what: "ranks".into(), seconds: 1.25 }.into()),
        there(ServeEvent::Started { part: "rank 1".into() }.into()),
        there(
            ServeEvent::Loading { part: "rank 1".into(), stage: "weights".into(), fraction: Some(0.5) }
                .into(),
        ),
        there(ServeEvent::Ended { part: "rank 1".into(), ending: "exit status: 0".into() }.into()),
        there(ServeEvent::Removed { container: "sparktune-lab-serve".into() }.into()),
        here(
            ServeEvent::Ready {
                served_name: "glm".into(),
                base_url: "http://10.0.0.1:30000".into(),
                seconds: 412.5,
            }
            .into(),
        ),
        here(FileEvent::Written { path: "triton_3_5_0/E=8.json".into(), sha256: "00ff".into() }.into()),
    ]
}

/// Programs out there read these lines: what changes here raises `line::VERSION`, unless it only adds.
#[test]
fn every_event_is_the_line_it_always_was() {
    let samples = samples();
    let names: Vec<_> = samples.iter().map(|event| name(&event.what)).collect();
    assert_eq!(names, NAMES, "each event has one sample");
    for (event, golden) in samples.iter().zip(GOLDEN.lines()) {
        assert_eq!(event.to_line(), golden);
        assert_eq!(Event::of_line(golden).as_ref(), Some(event));
    }
    assert_eq!(GOLDEN.lines().count(), samples.len());
}

#[test]
fn what_is_no_event_that_is_known_here_is_none() {
    let note = r#"{"v":1,"at":"2026-01-31T10:20:30Z","host":null,"about":"note","text":"a"}"#;
    assert!(Event::of_line(note).is_some());
    let added = note.replace("}", r#","added":[1]}"#);
    assert!(Event::of_line(&added).is_some(), "readers bear what is added");
    for other in [
        "",
        "{",
        "7",
        &note.replace("\"v\":1", "\"v\":2"),
        &note.replace("\"note\"", "\"of a later version\""),
        &note.replace("null", "7"),
        r#"{"timestamp":"2026-01-31T10:20:30Z","level":"INFO","message":"a","target":"worker"}"#,
    ] {
        assert_eq!(Event::of_line(other), None, "{other}");
    }
}

/// Each kind of event has a section, which names each field of each of its lines.
#[test]
fn every_event_and_field_is_documented() {
    let section = |about: &str| {
        let heading = format!("\n## `{about}`");
        let at = DOCUMENTED.find(&heading).unwrap_or_else(|| panic!("no section `{about}`"));
        let text = &DOCUMENTED[at + heading.len()..];
        text.split("\n## ").next().unwrap_or(text)
    };
    let common = DOCUMENTED.split("\n## ").next().unwrap();
    for line in GOLDEN.lines() {
        let Value::Object(line) = serde_json::from_str(line).unwrap() else { panic!("no object: {line}") };
        let text = section(line["about"].as_str().unwrap());
        let tick = |word: &str| format!("`{word}`");
        for (field, value) in &line {
            let holder = if common.contains(&tick(field)) { common } else { text };
            assert!(holder.contains(&tick(field)), "`{field}` of {line:?}");
            let tag = matches!(field.as_str(), "event" | "how" | "grounds" | "reason");
            if let Some(word) = value.as_str().filter(|_| tag) {
                assert!(text.contains(&tick(word)), "`{word}` of {line:?}");
            }
            for field in value.as_object().into_iter().flat_map(|object| object.keys()) {
                assert!(DOCUMENTED.contains(&tick(field)), "`{field}` of {line:?}");
            }
        }
    }
}

/// A path of another encoding is no reason to end a run.
#[cfg(unix)]
#[test]
fn a_path_that_is_no_unicode_is_told_as_far_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let directory = std::ffi::OsStr::from_bytes(b"results/\xff").into();
    let what = RunEvent::Began { directory, resumed: true }.into();
    let event = Event { at: Timestamp::UNIX_EPOCH, from: EventOrigin::Harness, what };
    assert!(event.to_line().contains("results/\u{fffd}"), "{}", event.to_line());
}
