//! `sparkbench up`, `status`, `logs`, `switch` and `down` on four nodes, whatever befalls them. What serves are
//! look-alikes of SGLang and vLLM (`tests/look_alike/`); what is left on the nodes is asked of their engines and their
//! processes.
//!
//! Ignored by default: needs `tests/cluster/up`.

#[path = "support/bench.rs"]
mod bench;
#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/serving.rs"]
mod serving;
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use bench::{Ended, signal, until};
use cluster::{Faults, cluster, whole};
use serving::{ENGINES, Place, ServingBed, on_node};

const ALL: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// Wait for something to be seen on the nodes.
#[track_caller]
fn soon(what: &str, is: impl Fn() -> bool) {
    until(what, || is().then_some(()));
}

/// `model` comes up; what `up --json` says.
#[track_caller]
fn comes_up(bed: &ServingBed<'_>, model: &str) -> Value {
    let up = bed.run(&["up", model, "--json"]).with(0).json();
    assert_eq!((&up["version"], &up["model"]), (&json!(1), &json!(format!("test/{model}"))), "{up}");
    let (code, status) = bed.status();
    assert_eq!((code, &status["served"][0]["state"]), (Some(0), &json!("ready")), "{status}");
    up
}

/// It all goes, and nothing is left.
#[track_caller]
fn goes_down(bed: &ServingBed<'_>) -> Value {
    let down = bed.run(&["down", "--json"]).with(0).json();
    bed.nothing_is_left();
    down
}

/// `up` of `model` fails so, and nothing is left.
#[track_caller]
fn does_not_come_up(bed: &ServingBed<'_>, arguments: &[&str], words: &[&str]) -> Ended {
    let ended = bed.run(&[&["up"], arguments].concat()).with(3).saying(words);
    assert_eq!(ended.out, "");
    bed.nothing_is_left();
    ended
}

/// Of every process that is said to be there: node, role, rank, state.
fn parts(status: &Value) -> Vec<(String, String, Value, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let part =
        |part: &Value| (word(&part["node"]), word(&part["role"]), part["rank"].clone(), word(&part["state"]));
    status["served"][0]["parts"].as_array().unwrap().iter().map(part).collect()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn four_ranks_in_docker_come_up_are_left_alone_refuse_another_and_go_down() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-four", &ALL, Place::Docker, &[]);
    let text = bed.run(&["up", "four"]).with(0).out;
    let url = format!("http://{}:30000", cluster.nodes[0].fabric.address);
    for words in [format!("curl {url}/v1/"), format!("sparkbench run --base-url {url}")] {
        assert!(text.contains(&words), "`{words}` is not in: {text}");
    }
    assert_eq!(bed.ask("/v1/models", None)["data"][0]["id"], "test/four");
    let asked = r#"{"model": "test/four", "messages": [{"role": "user", "content": "a"}]}"#;
    assert_eq!(bed.ask("/v1/chat/completions", Some(asked))["choices"].as_array().unwrap().len(), 1);
    let before = bed.known();
    for known in &before {
        assert_eq!((known.containers.len(), known.engines.len()), (1, 1), "{before:?}");
    }
    let (code, status) = bed.status();
    let running = |node: &str, role: &str, rank: Value| (node.into(), role.into(), rank, "running".into());
    assert_eq!(
        (code, parts(&status)),
        (
            Some(0),
            vec![
                running("n1", "server", Value::Null),
                running("n2", "rank", json!(1)),
                running("n3", "rank", json!(2)),
                running("n4", "rank", json!(3)),
            ]
        ),
        "{status}"
    );

    // Of a model that is there in part the other nodes are asked too.
    let of_one = bed.run(&["status", "--node", "n3", "--json"]).with(0).json();
    assert_eq!((parts(&of_one).len(), &of_one["served"][0]["state"]), (4, &json!("ready")), "{of_one}");
    let again = bed.run(&["up", "four", "--json"]).with(0).json();
    assert_eq!((&again["already_up"], &again["base_url"]), (&json!(true), &json!(url)));
    bed.run(&["up", "one"]).with(2).saying(&["test/four", "sparkbench switch test/one"]);
    assert_eq!(bed.known(), before);

    let logs = bed.run(&["logs", "--node", "n1", "--node", "n3"]).with(0).out;
    for words in ["n1 server | ", "n3 rank 2 | ", "TP2] Load weight begin.", "ready to roll!"] {
        assert!(logs.contains(words), "`{words}` is not in: {logs}");
    }
    assert!(!logs.contains("n2 "), "{logs}");
    let few = bed.run(&["logs", "--lines", "1"]).with(0).out;
    assert_eq!(few.lines().count(), 4, "{few}");

    let down = goes_down(&bed);
    for node in down["nodes"].as_array().unwrap() {
        assert_eq!(node["removed"].as_array().unwrap().len(), 1, "{down}");
        // Rank 0 tells the others, so that nobody has to be killed.
        assert_eq!(
            (&node["ended"][0]["how"], &node["ended"][0]["killed"]),
            (&json!("exit status: 0"), &json!(0))
        );
    }
    let nothing = bed.run(&["down"]).with(0).out;
    assert!(nothing.contains("nothing of ours"), "{nothing}");
    let (code, status) = bed.status();
    assert_eq!((code, &status["served"]), (Some(0), &json!([])));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn vllm_by_ranks_comes_up_on_two_nodes() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-vllm", &["n1", "n2"], Place::Docker, &[]);
    let up = comes_up(&bed, "two-vllm");
    assert_eq!(up["nodes"], json!(["n1", "n2"]));
    let stages: Vec<&str> =
        up["stages"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert_eq!(stages, ["containers", "ranks", "server", "ready"]);
    assert_eq!(bed.status().1["served"][0]["engine"], "vllm");
    goes_down(&bed);
}

/// The mock of `sparkbench` answers there, so that it can be measured.
#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn one_node_is_brought_up_and_measured() {
    let (cluster, _whole) = (cluster(), whole());
    let program = format!("{ENGINES}/sparkbench");
    let bed =
        ServingBed::new(&cluster, "serve-one", &["n3"], Place::Docker, &[("LOOK_ALIKE_SERVER", &program)]);
    // Without what it has for debuggers, which is most of it.
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(on_node(bed.nodes[0], &program)).arg(env!("CARGO_BIN_EXE_sparkbench"));
    assert!(strip.status().unwrap().success());
    let up = comes_up(&bed, "one");
    let url = up["base_url"].as_str().unwrap();
    let profile =
        ["--base-url", url, "--model", "test/one", "--input", "16", "--output", "4", "--requests", "4"];
    bed.run(&[&["run", "--json"], &profile[..]].concat()).with(0);
    goes_down(&bed);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn podman_serves_as_docker_does() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-podman", &["n4"], Place::Podman, &[]);
    comes_up(&bed, "one");
    let [known] = &bed.known()[..] else { panic!("one node") };
    assert_eq!((known.containers.len(), known.engines.len()), (1, 1), "{known:?}");
    assert!(bed.run(&["logs"]).with(0).out.contains("ready to roll!"));
    goes_down(&bed);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn nodes_without_an_engine_serve_by_themselves() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-bare", &["n1", "n2"], Place::Bare, &[]);
    for model in ["two", "two-vllm"] {
        comes_up(&bed, model);
        assert!(bed.known().iter().all(|known| known.engines.len() == 1), "{:?}", bed.known());
        goes_down(&bed);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn another_model_takes_the_place_of_one() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-switch", &["n3", "n4"], Place::Docker, &[]);
    comes_up(&bed, "two");
    let before = bed.known();
    bed.run(&["switch", "nowhere"]).with(2).saying(&["nowhere"]);
    // More nodes than there are.
    bed.run(&["switch", "four"]).with(2);
    assert_eq!(bed.known(), before);
    // It leaves a node of the old one alone.
    bed.run(&["switch", "one"]).with(0);
    assert_eq!(bed.ask("/v1/models", None)["data"][0]["id"], "test/one");
    let known = bed.known();
    assert_eq!((known[0].engines.len(), &known[1]), (1, &serving::KnownState::default()), "{known:?}");
    bed.run(&["switch", "other"]).with(0);
    assert_eq!(bed.ask("/v1/models", None)["data"][0]["id"], "test/other");
    goes_down(&bed);
    // Without anything to take down.
    bed.run(&["switch", "one"]).with(0);
    goes_down(&bed);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn whoever_dies_while_loading_is_named_with_its_last_words() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-dies", &ALL, Place::Docker, &[]);
    for (fault, node, part) in [("die-loading@2", "n3", "rank 2"), ("die-loading@0", "n1", "server")] {
        bed.tell(&[("LOOK_ALIKE_FAULT", fault)]);
        let began = Instant::now();
        let ended = does_not_come_up(
            &bed,
            &["four"],
            &[&format!("{part} on {node}"), "exit status: 1", "torch.OutOfMemoryError: CUDA out of memory."],
        );
        // At once, though the others wait for it.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}: {ended:?}", began.elapsed());
    }
    bed.tell(&[]);
    does_not_come_up(
        &bed,
        &["misspelled"],
        &["n1", "exit status: 2", "unrecognized arguments: --no-such-option"],
    );
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_hangs_is_told_when_its_time_is_over() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-hangs", &["n1", "n2"], Place::Docker, &[]);
    for (fault, words) in
        [("hang-distributed@1", "TP1] Init parallel begin."), ("hang-weights@1", "TP1] Load weight begin.")]
    {
        bed.tell(&[("LOOK_ALIKE_FAULT", fault)]);
        does_not_come_up(&bed, &["two", "--startup-timeout", "10s"], &["not up within 10s", words]);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_server_that_answers_otherwise_is_not_up() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-unwell", &["n3"], Place::Docker, &[]);
    for (fault, words) in
        [("unhealthy", "/health says 503"), ("no-answer", "it has not answered a completion yet")]
    {
        bed.tell(&[("LOOK_ALIKE_FAULT", fault), ("LOOK_ALIKE_LOAD_S", "0.2")]);
        does_not_come_up(&bed, &["one", "--startup-timeout", "15s"], &["not up within 15s", words]);
    }
    bed.tell(&[("LOOK_ALIKE_FAULT", "other-model")]);
    does_not_come_up(&bed, &["one"], &["another model", "another-model"]);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_missing_image_is_told_before_anything_runs() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-image", &["n1", "n2"], Place::Docker, &[]);
    bed.write("spark-test:nowhere", &[]);
    does_not_come_up(&bed, &["two"], &["spark-test:nowhere"]);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_port_that_is_taken_is_told_before_anything_runs() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = ServingBed::new(&cluster, "serve-port", &["n1", "n2"], Place::Docker, &[]);
    faults.cause("n1", &["take-port", "30000"]);
    let began = Instant::now();
    let ended = bed.run(&["up", "two"]).with(3).saying(&["30000", "n1"]);
    // Though whoever listens there answers nothing.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}: {ended:?}", began.elapsed());
    assert_eq!(ended.out, "");
    faults.heal();
    bed.nothing_is_left();
    // Where ranks meet: rank 0 says so itself.
    faults.cause("n1", &["take-port", "50000"]);
    does_not_come_up(&bed, &["two"], &["server on n1", "EADDRINUSE"]);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_that_is_cut_off_while_it_serves_is_told_and_the_others_go_down() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = ServingBed::new(&cluster, "serve-cut", &["n1", "n2", "n3", "n4"], Place::Docker, &[]);
    comes_up(&bed, "four");
    faults.cause("n2", &["link-down"]);
    let began = Instant::now();
    let (code, status) = bed.status();
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert_eq!((code, &status["served"][0]["state"]), (Some(1), &json!("broken")), "{status}");
    assert!(status["served"][0]["why"].as_str().unwrap().contains("n2"), "{status}");
    let problems = status["nodes"].as_array().unwrap();
    assert!(problems.iter().all(|node| node["problem"].is_null() == (node["node"] != "n2")), "{status}");

    // What nobody knows to be over is nobody's to take down.
    bed.run(&["up", "one"]).with(3).saying(&["n2"]);
    assert_eq!(bed.known()[0].engines.len(), 1);
    let down = bed.run(&["down", "--json"]).with(3).saying(&["n2"]);
    let known = bed.known();
    for (at, state) in known.iter().enumerate() {
        assert_eq!(*state == serving::KnownState::default(), at != 1, "{known:?}: {down:?}");
    }
    faults.heal();
    goes_down(&bed);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_dies_while_it_serves_is_told_and_made_good_by_up() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-later", &["n1", "n2"], Place::Docker, &[]);
    bed.tell(&[("LOOK_ALIKE_FAULT", "die-later@1"), ("LOOK_ALIKE_DIE_S", "6")]);
    bed.run(&["up", "two"]).with(0);
    soon("the rank's death", || bed.known()[1].engines.is_empty());
    let (code, status) = bed.status();
    assert_eq!((code, &status["served"][0]["state"]), (Some(1), &json!("broken")), "{status}");
    assert!(status["served"][0]["why"].as_str().unwrap().contains("rank 1 on n2"), "{status}");
    assert!(parts(&status).iter().any(|part| part.0 == "n2" && part.3 == "ended"), "{status}");

    bed.tell(&[]);
    assert_eq!(comes_up(&bed, "two")["already_up"], false);
    assert!(bed.known().iter().all(|known| known.containers.len() == 1 && known.engines.len() == 1));

    bed.kill_container(bed.nodes[1]);
    let (code, status) = bed.status();
    assert_eq!((code, &status["served"][0]["state"]), (Some(1), &json!("broken")), "{status}");
    goes_down(&bed);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn killed_at_any_moment_it_leaves_what_status_knows_and_down_takes_away() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-killed", &ALL, Place::Docker, &[("LOOK_ALIKE_LOAD_S", "2")]);
    let containers = || bed.known().iter().map(|known| known.containers.len()).sum::<usize>();
    let engines = || bed.known().iter().map(|known| known.engines.len()).sum::<usize>();
    let moments: [(&str, &dyn Fn() -> bool); 5] = [
        ("the first container", &|| containers() > 0),
        ("all containers", &|| containers() == 4),
        ("the first rank", &|| engines() > 0),
        ("all ranks", &|| engines() == 4),
        ("somebody listening", &|| bed.listens()),
    ];
    for (at, (what, came)) in moments.into_iter().enumerate() {
        let mut up = bed.start(&["up", "four"]);
        soon(what, came);
        up.kill().unwrap();
        up.wait().unwrap();
        let (code, status) = bed.status();
        let state = status["served"][0]["state"].as_str().map(str::to_owned);
        eprintln!("killed at {what}: {state:?}, {} containers, {} engines", containers(), engines());
        match state.as_deref() {
            Some("broken") => assert_eq!(code, Some(1), "{what}: {status}"),
            Some("starting" | "ready") => assert_eq!((code, engines()), (Some(0), 4), "{what}: {status}"),
            // Its container was not there yet.
            None => assert_eq!((code, at), (Some(0), 0), "{what}: {status}"),
            Some(other) => panic!("{what}: {other}"),
        }
        // Every second time another start makes it good.
        if at % 2 == 1 {
            comes_up(&bed, "four");
            assert_eq!((containers(), engines()), (4, 4), "{what}");
        }
        goes_down(&bed);
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn an_interrupted_start_leaves_nothing() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(
        &cluster,
        "serve-stopped",
        &["n3", "n4"],
        Place::Docker,
        &[("LOOK_ALIKE_LOAD_S", "30")],
    );
    for engines in [0, 2] {
        let up = bed.start(&["up", "two"]);
        soon("its beginning", || {
            let known = bed.known();
            known.iter().any(|known| !known.containers.is_empty())
                && known.iter().map(|known| known.engines.len()).sum::<usize>() >= engines
        });
        signal(&up, "INT");
        Ended::of(up.wait_with_output().unwrap()).with(130);
        bed.nothing_is_left();
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn one_of_two_users_is_told_of_the_other() {
    let (cluster, _whole) = (cluster(), whole());
    let bed =
        ServingBed::new(&cluster, "serve-users", &["n1", "n2"], Place::Docker, &[("LOOK_ALIKE_LOAD_S", "8")]);
    let first = bed.start(&["up", "two"]);
    soon("its beginning", || bed.known().iter().any(|known| !known.containers.is_empty()));
    let who = format!(":{}, `sparkbench up test/two`", first.id());
    for command in [&["up", "two"][..], &["switch", "one"], &["down"]] {
        bed.run(command).with(3).saying(&[&who, "is starting or stopping a model"]);
    }
    let (code, status) = bed.status();
    assert_eq!((code, &status["served"][0]["state"]), (Some(0), &json!("starting")), "{status}");
    Ended::of(first.wait_with_output().unwrap()).with(0);
    assert_eq!(bed.run(&["up", "two", "--json"]).with(0).json()["already_up"], true);
    goes_down(&bed);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_ignores_sigterm_is_killed() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = ServingBed::new(&cluster, "serve-stays", &["n3", "n4"], Place::Docker, &[]);
    bed.tell(&[("LOOK_ALIKE_FAULT", "ignore-term@1"), ("LOOK_ALIKE_LOAD_S", "60")]);
    let mut up = bed.start(&["up", "two"]);
    soon("its beginning", || bed.known().iter().all(|known| known.engines.len() == 1));
    up.kill().unwrap();
    up.wait().unwrap();
    let down = goes_down(&bed);
    let killed: Vec<&Value> = [0, 1].map(|at| &down["nodes"][at]["ended"][0]["killed"]).into();
    assert_eq!(killed, [&json!(0), &json!(1)], "{down}");
    // Ranks of the old release end by SIGTERM.
    bed.tell(&[("LOOK_ALIKE_RELEASE", "0.5.4.post2")]);
    comes_up(&bed, "two-old");
    goes_down(&bed);
}
