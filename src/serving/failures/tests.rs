use std::path::Path;

use super::*;

fn known() -> KnownFailures {
    KnownFailures::load(None).unwrap()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// The log that is kept for an entry: the words of the source that it names.
fn log_of(id: &str) -> Vec<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/serving/failures/{id}.txt"));
    lines(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn engines(entry: &KnownFailure) -> Vec<ServingEngine> {
    let both = [ServingEngine::Sglang, ServingEngine::Vllm];
    both.into_iter().filter(|engine| entry.is_of(*engine)).collect()
}

fn ids(explanations: &[Explanation]) -> Vec<&str> {
    explanations.iter().map(|explanation| explanation.id.as_str()).collect()
}

#[test]
fn every_entry_explains_a_log_of_its_own() {
    let known = known();
    for entry in &known.entries {
        let log = log_of(&entry.id);
        for engine in engines(entry) {
            let of = format!("{} with {}: {log:#?}", entry.id, engine.name());
            match entry.kind {
                FailureKind::Fatal => {
                    assert_eq!(known.explain(engine, &log).expect(&of).id, entry.id, "{of}")
                }
                FailureKind::Hang => {
                    assert_eq!(known.explain(engine, &log).expect(&of).id, entry.id, "{of}");
                    assert_eq!(known.hang(engine, log.last().unwrap()).expect(&of).id, entry.id, "{of}");
                }
                FailureKind::Warning => {
                    assert_eq!(ids(&known.warnings(engine, &log)), [entry.id.as_str()], "{of}");
                    assert_eq!(known.explain(engine, &log), None, "{of}");
                }
            }
        }
    }
}

#[test]
fn every_log_is_an_entrys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/serving/failures");
    let known = known();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let id = path.file_stem().unwrap().to_str().unwrap();
        assert!(known.entries.iter().any(|entry| entry.id == id), "{}", path.display());
    }
}

#[test]
fn an_engines_entries_are_not_the_other_ones() {
    let known = known();
    assert_eq!(known.explain(ServingEngine::Vllm, &log_of("sglang-no-memory-for-cache")), None);
    assert_eq!(known.explain(ServingEngine::Sglang, &log_of("vllm-no-memory-for-cache")), None);
    assert!(known.explain(ServingEngine::Sglang, &log_of("ray-token")).is_some());
}

#[test]
fn a_healthy_log_is_not_explained() {
    let known = known();
    let ray = include_str!("../../../tests/fixtures/serving/healthy/ray.txt");
    for (engine, log) in [
        (ServingEngine::Sglang, include_str!("../../../tests/fixtures/serving/healthy/sglang.txt")),
        (ServingEngine::Vllm, include_str!("../../../tests/fixtures/serving/healthy/vllm.txt")),
        (ServingEngine::Sglang, ray),
        (ServingEngine::Vllm, ray),
    ] {
        let log = lines(log);
        assert_eq!(known.explain(engine, &log), None);
        assert_eq!(known.warnings(engine, &log), []);
    }
}

#[test]
fn the_cause_is_told_before_what_fell_over_it() {
    let known = known();
    let explain = |log: &str| known.explain(ServingEngine::Vllm, &lines(log)).map(|it| it.id);
    let oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.";
    let dead = "RuntimeError: Engine core initialization failed. See root cause above.";
    let port = "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use";
    let refused = "[W1 socket.cpp:759] [c10d] The client socket has failed to connect to [a]:1 (errno: 111 - Connection refused).";
    // A symptom is one wherever it stands; of causes the earlier counts; what kept it waiting ended nothing.
    assert_eq!(explain(&format!("{dead}\n{oom}")).as_deref(), Some("cuda-memory"));
    assert_eq!(explain(&format!("{port}\n{oom}")).as_deref(), Some("port-taken"));
    assert_eq!(explain(&format!("{oom}\n{port}")).as_deref(), Some("cuda-memory"));
    assert_eq!(explain(&format!("{refused}\n{oom}")).as_deref(), Some("cuda-memory"));
    assert_eq!(explain(dead).as_deref(), Some("vllm-engine-dead"));
    assert_eq!(explain("nothing\nknown"), None);
    assert_eq!(explain(""), None);
}

#[test]
fn what_one_line_does_not_prove_takes_the_others() {
    let known = known();
    let explain =
        |log: &str| known.explain(ServingEngine::Vllm, &lines(log)).map(|it| it.id).unwrap_or_default();
    let oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.";
    let shards = "Loading safetensors checkpoint shards:  97% Completed | 199/206 [10:12<00:35,  5.01s/it]";
    let whole = "Loading safetensors checkpoint shards: 100% Completed | 206/206 [10:42<00:00,  5.01s/it]";
    let graphs = "Capturing CUDA graphs (decode, FULL):  45%|████▌     | 30/67 [00:02<00:02, 14.50it/s]";
    let captured =
        "INFO 07-30 06:54:50 [gpu_model_runner.py:2485] Graph capturing finished in 6 secs, took 0.62 GiB";
    assert_eq!(explain(oom), "cuda-memory");
    assert_eq!(explain(&format!("{shards}\n{oom}")), "page-cache-while-loading");
    assert_eq!(explain(&format!("{shards}\n{whole}\n{oom}")), "cuda-memory");
    assert_eq!(explain(&format!("{shards}\n{whole}\n{graphs}\n{oom}")), "cuda-memory-in-graph-capture");
    assert_eq!(explain(&format!("{shards}\n{whole}\n{graphs}\n{captured}\n{oom}")), "cuda-memory");
    // NCCL on sockets because somebody wants it.
    let sockets = "a:1:1 [0] NCCL INFO Using network Socket";
    let told = "a:1:1 [0] NCCL INFO NCCL_IB_DISABLE set by environment to 1.";
    assert_eq!(ids(&known.warnings(ServingEngine::Vllm, &lines(sockets))), ["nccl-on-sockets"]);
    assert!(known.warnings(ServingEngine::Vllm, &lines(&format!("{told}\n{sockets}"))).is_empty());
}

#[test]
fn a_start_hangs_only_where_it_has_not_gone_on() {
    let known = known();
    let begun = "[2025-11-05 10:00:07 TP1] Init torch distributed begin.";
    let explain = |log: &str| known.explain(ServingEngine::Sglang, &lines(log)).map(|it| it.id);
    assert_eq!(explain(&format!("{begun}\nwaiting")).as_deref(), Some("sglang-distributed-init"));
    let loading = "[2025-11-05 10:00:10 TP1] Load weight begin. avail mem=115.61 GB";
    assert_eq!(explain(&format!("{begun}\n{loading}\nsilence")), None);
    assert_eq!(known.hang(ServingEngine::Sglang, loading), None);
    // From 0.5.21 on.
    let hang = known.hang(ServingEngine::Sglang, "[2026-11-01 09:00:00 TP0] Init parallel begin.").unwrap();
    assert_eq!((hang.id.as_str(), hang.kind), ("sglang-distributed-init", FailureKind::Hang));
}

#[test]
fn the_line_is_fit_to_be_shown() {
    let known = known();
    let shown = |line: &str| known.explain(ServingEngine::Vllm, &[line.to_owned()]).unwrap().line;
    assert_eq!(
        shown("\u{1b}[31mOSError: [Errno 28] No space left on device\u{1b}[0m\r"),
        "OSError: [Errno 28] No space left on device"
    );
    let token = format!("HF_TOKEN=hf_{} hf_hub_download: No space left on device", "aB3".repeat(12));
    assert_eq!(shown(&token), "HF_TOKEN=hf_(hidden) hf_hub_download: No space left on device");
    // Not its beginning either, where the rest is cut off.
    let cut = format!("No space left on device {}hf_{}", "x".repeat(265), "aB3".repeat(12));
    assert!(shown(&cut).ends_with("xhf_(hidden)"), "{}", shown(&cut));
    let long = format!("{} No space left on device {}", "é".repeat(1000), "x".repeat(1000));
    let shown = shown(&long);
    assert_eq!(shown.chars().count(), 300);
    assert!(shown.starts_with('é') && shown.contains(" No space left on device x"), "{shown}");
}

fn load(text: &str) -> Result<KnownFailures, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("failures")).unwrap();
    std::fs::write(folder.path().join("failures/own.toml"), text).unwrap();
    KnownFailures::load(Some(folder.path())).map_err(|error| error.to_string())
}

const OWN: &str = "[[failure]]\nid = \"mine\"\nengine = \"vllm\"\npattern = 'CUDA .*memory'\nalso = 'begin'\n\
                   cause = \"c\"\nfix = \"f\"\nsource = \"s\"\n";

#[test]
fn entries_of_ones_own_win() {
    let log = lines("begin\ntorch.OutOfMemoryError: CUDA out of memory.");
    let mine = load(OWN).unwrap().explain(ServingEngine::Vllm, &log).unwrap();
    assert_eq!((mine.id.as_str(), mine.cause.as_str(), mine.source.as_str()), ("mine", "c", "s"));
    // In the place of the embedded one.
    let own = load(&OWN.replace("mine", "cuda-memory").replace("CUDA .*memory", "other")).unwrap();
    assert_eq!(own.entries.iter().filter(|entry| entry.id == "cuda-memory").count(), 1);
    assert_eq!(own.explain(ServingEngine::Vllm, &log), None);
    assert!(load("").unwrap().entries.len() > 50);
}

#[test]
fn what_is_wrong_with_entries_is_named() {
    for (from, to, says) in [
        (
            "'CUDA .*memory'",
            "'CUDA (memory'",
            "failure `mine`: `pattern`: `CUDA (memory` is no regular expression: unclosed group",
        ),
        (
            "'begin'",
            "'[z-a]'",
            "failure `mine`: `also`: `[z-a]` is no regular expression: invalid character class range",
        ),
        ("'begin'", "'(?=x)'", "`(?=x)` is no regular expression: look-around"),
        ("'begin'", "'(\\w{500}){500}'", "is no regular expression: Compiled regex exceeds size limit"),
        ("'CUDA .*memory'", "''", "failure `mine`: `pattern`: `` stands in every line"),
        ("'CUDA .*memory'", "'.*'", "failure `mine`: `pattern`: `.*` stands in every line"),
        ("also = 'begin'", "unless = 'a*'", "failure `mine`: `unless`: `a*` stands in every line"),
        ("id = \"mine\"", "id = \" \"", "`id`: it is empty"),
        ("fix = \"f\"", "fix = \"\"", "failure `mine`: `fix`: it is empty"),
        ("fix = \"f\"\n", "", "missing field `fix`"),
        (
            "vllm",
            "ollama",
            "unknown variant `ollama` (did you mean `vllm`?), expected one of `sglang`, `vllm`, `ray`",
        ),
        ("also", "kind", "unknown variant `begin`, expected one of `fatal`, `hang`, `warning`"),
        ("also", "and", "unknown field `and`"),
        ("also", "symptom", "expected a boolean"),
    ] {
        let error = load(&OWN.replace(from, to)).unwrap_err();
        assert!(error.starts_with("failures `") && error.contains("failures/own.toml`: "), "{error}");
        assert!(error.contains(says), "{to}: {error}");
    }
    let error = load(&format!("{OWN}{OWN}")).unwrap_err();
    assert!(error.contains("field `id`: `mine` is another failure's too"), "{error}");
    assert!(KnownFailures::load(Some(Path::new("/none/there"))).is_err());
}
