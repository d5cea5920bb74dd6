//! `sparktune moe --cluster`: one run over four nodes, with a real compiler in a container on each. Whatever happens to
//! nodes, the files are those that one machine makes. Where something is raced a replay takes the place of compiler and
//! GPU (`support/replay_worker.py`), in the same containers and over the same links.
//!
//! Ignored by default: needs `tests/cluster/up`, and the first run fetches Triton and SGLang from the package registry.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/real.rs"]
mod real;
#[path = "support/spread.rs"]
mod spread;
mod support;
#[path = "support/tuning.rs"]
mod tuning;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use cluster::{Faults, TestNode, whole};
use spread::{Bed, ON_NODES, SITE, kill_container, until_journal_has, until_journal_says};
use tuning::{SMALL, files, interrupt, journal, left, said, signal};

/// Where the files are brought to.
const DEPLOYED: &str = "/srv/tuned-by-all";
/// A worker that replays a table instead of using a compiler and a GPU, and what has a container's Python load it.
const REPLAY: [(&str, &str); 2] = [
    ("replay_worker.py", include_str!("support/replay_worker.py")),
    ("replay.pth", "import sys; 'spark_worker' in sys.orig_argv and __import__('replay_worker')\n"),
];
/// The clock of each node's replay, over the first one's, and by how much it swings.
const CLOCKS: [(f64, f64); 4] = [(1.0, 0.0), (1.3, 0.05), (0.77, 0.0), (1.15, 0.02)];
/// What is raced. Four batch sizes, and a node that has nothing left to race confirms what another one chose.
const RACED: [&str; 4] = ["--evidence", "confirmed", "--batch-sizes", "1,16,64,256"];

impl Bed {
    /// Have every node's containers replay, and write `race.toml` of all nodes and `one.toml` of the first.
    fn replaying(&self) {
        let inventory = std::fs::read_to_string(self.sandbox.path("lab.toml")).unwrap();
        let mounts = REPLAY.map(|(file, _)| format!("\"{ON_NODES}/{file}:{SITE}/{file}:ro\"")).join(", ");
        let inventory = inventory.replace("volumes = [", &format!("volumes = [{mounts}, "));
        let (common, _) = inventory.split_once("[[nodes]]").unwrap();
        let mut parts = Vec::new();
        for (node, (clock, drift)) in self.cluster.nodes.iter().zip(CLOCKS) {
            for (file, text) in REPLAY {
                std::fs::write(node.root.join(&ON_NODES[1..]).join(file), text).unwrap();
            }
            let role = if parts.is_empty() { "head" } else { "worker" };
            parts.push(format!(
                "[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n\
                 env = {{ REPLAY_CLOCK = \"{clock}\", REPLAY_DRIFT = \"{drift}\" }}\n",
                node.name, node.ssh
            ));
        }
        self.sandbox.write("one.toml", format!("{common}{}", parts[0]));
        self.sandbox.write("race.toml", format!("{common}{}", parts.concat()));
    }

    fn race(&self, inventory: &str, out: &str) -> Command {
        let arguments = [&SMALL[..11], &RACED[..], &["--cluster", inventory, "--out", out]].concat();
        self.command(&self.sandbox.home().join(format!("cache-{out}")), &arguments)
    }

    /// The config files of a run, and by batch size how many nodes confirmed its choice.
    fn raced(&self, out: &str) -> (Vec<(String, String)>, BTreeMap<String, u64>) {
        let (manifests, configs): (Vec<_>, Vec<_>) = files(&self.sandbox.path(out))
            .into_iter()
            .partition(|(name, _)| name.ends_with(".manifest.json"));
        let mut confirmed = BTreeMap::new();
        for (_, text) in manifests {
            // A line is missing from it, that of its date.
            let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
            for (key, entry) in manifest["entries"].as_object().unwrap() {
                assert_eq!(entry["evidence"], "confirmed", "{out}, {key}: {entry}");
                confirmed.insert(key.clone(), entry["measured"]["confirmed_on"].as_u64().unwrap());
            }
        }
        // Nothing was measured twice.
        let mut seen = Vec::new();
        for line in journal(&self.sandbox.path(out)) {
            if line["record"] == "round" {
                let asked = (line["on"].clone(), line["round"].clone());
                assert!(!seen.contains(&asked), "{out}: {asked:?} twice");
                seen.push(asked);
            }
        }
        (configs, confirmed)
    }

    /// What `report` tells of a run, once it is held against the journal.
    fn reported(&self, out: &str) -> serde_json::Value {
        let page = format!("{out}.html");
        let output =
            self.command(&self.shared, &["report", out, "--json", "--html", &page]).output().unwrap();
        said(&output);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let nodes = told["nodes"].as_array().unwrap();
        let rounds = journal(&self.sandbox.path(out)).iter().filter(|line| line["record"] == "round").count();
        let reported: u64 = nodes.iter().map(|node| node["rounds"].as_u64().unwrap()).sum();
        assert_eq!(reported, rounds as u64, "{out}");
        for node in nodes {
            let seconds = |what: &str| node[what].as_f64().unwrap();
            let there = seconds("measuring_s") + seconds("compiling_s") + seconds("idle_s");
            let all = there + seconds("away_s");
            assert!(all > 0.0 && all <= told["seconds"].as_f64().unwrap() + 1e-6, "{out}: {node}");
            let used = seconds("utilisation");
            assert!(used > 0.0 && used <= 1.0, "{out}: {node}");
            let readings = node["readings"].as_array().unwrap();
            assert!(readings.iter().all(|it| it["gpu"]["clock_mhz"].as_f64().unwrap() > 1000.0), "{out}");
        }
        let page = self.sandbox.read(page);
        assert!(!page.contains("NaN") && !page.contains("No data"), "{out}");
        told
    }

    /// How many binaries travelled in a run, in which no kernel was compiled twice: not on any two nodes.
    #[track_caller]
    fn travelled(&self, out: &str) -> usize {
        let (mut compiled, mut travelled) = (BTreeSet::new(), 0);
        for line in journal(&self.sandbox.path(out)) {
            let unit = match line["record"].as_str() {
                Some("proof") => format!("{} {}", line["role"], line["tile"]),
                Some("binary") if line["travelled"] == true => {
                    travelled += 1;
                    continue;
                }
                // Nothing that is launched here is another kernel than those that are proven.
                Some("binary") => panic!("{out}: a proven kernel was compiled again: {line}"),
                _ => continue,
            };
            assert!(compiled.insert(unit), "{out}: twice: {line}");
        }
        travelled
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[expect(clippy::await_holding_lock, reason = "the lock is what keeps other tests from the nodes meanwhile")]
async fn four_nodes_make_the_files_that_one_makes_whatever_happens_to_them() {
    const NAME: &str = "spread";
    let _whole = whole();
    let bed = Bed::new(NAME).await;
    let alone = bed.alone();
    assert_eq!(alone.len(), 5, "two files, each with a manifest, and the results");

    // Where files could not be deployed, nothing begins. A run of this test before may have left the place.
    for node in &bed.cluster.nodes {
        let _ = std::fs::remove_dir_all(node.root.join(&DEPLOYED[1..]));
    }
    let deployed = |out| bed.spread(out).args(["--deploy", "--host-dir", DEPLOYED]).output().unwrap();
    let output = deployed("early");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    for node in &bed.cluster.nodes {
        assert!(told.contains(&format!("{}: `{DEPLOYED}` is no folder there", node.name)), "{told}");
        std::fs::create_dir_all(node.root.join(&DEPLOYED[1..])).unwrap();
    }
    assert!(!bed.sandbox.path("early").exists());
    said(&deployed("four"));
    let (made, on) = bed.came_to("four");
    assert_eq!(made, alone);
    for node in &bed.cluster.nodes {
        let there = node.root.join(&DEPLOYED[1..]).join("configs/triton_3_5_0");
        for (name, text) in
            made.iter().filter(|(name, _)| name.starts_with("E=") && !name.ends_with(".manifest.json"))
        {
            let lies = std::fs::read_to_string(there.join(name)).unwrap();
            assert_eq!(lies.trim_end(), text.trim_end(), "{name} on {}", node.name);
        }
    }
    assert!(on.len() > 1, "all of it was done by {on:?}");
    let joined = journal(&bed.sandbox.path("four")).into_iter().filter(|line| line["record"] == "joined");
    assert_eq!(joined.count(), 4);
    bed.nothing_is_left(NAME);

    // A container that is killed takes its worker along, and is started again for the next.
    let mut run = bed.spread("killed").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("killed"), "joined", &mut run);
    kill_container(&bed.cluster.nodes[1], NAME);
    said(&run.wait_with_output().unwrap());
    assert_eq!(bed.came_to("killed").0, alone);
    bed.nothing_is_left(NAME);

    // The user's word reaches every node.
    let mut run = bed.spread("stopped").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("stopped"), "joined", &mut run);
    let output = interrupt(run);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("--resume 'stopped' --cluster 'lab.toml'"), "{told}");
    bed.nothing_is_left(NAME);
    said(&bed.resume("stopped"));
    assert_eq!(bed.came_to("stopped").0, alone);

    // Killed, a run leaves its containers, and takes them away when it goes on.
    let mut run = bed.spread("dead").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("dead"), "joined", &mut run);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(
        bed.cluster.nodes.iter().all(|node| left(node, NAME).len() == 1),
        "a killed run leaves its containers"
    );
    said(&bed.resume("dead"));
    assert_eq!(bed.came_to("dead").0, alone);
    bed.nothing_is_left(NAME);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn nodes_that_are_out_of_reach_are_named_and_the_others_do_it_all() {
    const NAME: &str = "missing";
    let bed = Bed::new(NAME).await;
    let alone = bed.alone();
    let mut faults = Faults::new(&bed.cluster);
    faults.cause("n2", &["stop-engine"]);
    faults.cause("n3", &["stop-sshd"]);
    let output = bed.spread("two").output().unwrap();
    said(&output);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for node in ["n2", "n3"] {
        assert!(told.contains(&format!("{node} takes no part in this run: ")), "{told}");
    }
    assert_eq!(bed.came_to("two").0, alone);
    // The link of one goes in the middle: what it had goes to the others.
    let mut run = bed.spread("cut").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("cut"), "joined", &mut run);
    faults.cause("n4", &["link-down"]);
    said(&run.wait_with_output().unwrap());
    assert_eq!(bed.came_to("cut").0, alone);
    // Nobody at all.
    faults.cause("n1", &["stop-engine"]);
    let output = bed.spread("none").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!bed.sandbox.path("none").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[expect(clippy::await_holding_lock, reason = "the lock is what keeps other tests from the nodes meanwhile")]
async fn four_nodes_with_clocks_of_their_own_choose_what_one_chooses_whatever_happens_to_them() {
    const NAME: &str = "replay";
    let _whole = whole();
    let bed = Bed::new(NAME).await;
    bed.replaying();

    said(&bed.race("one.toml", "one").output().unwrap());
    let (one, confirmed) = bed.raced("one");
    assert_eq!(one.len(), 2);
    assert_eq!(confirmed.values().collect::<Vec<_>>(), [&1; 4]);
    assert_eq!(bed.travelled("one"), 0);

    said(&bed.race("race.toml", "four").output().unwrap());
    let (four, confirmed) = bed.raced("four");
    assert_eq!(four, one);
    assert_eq!(confirmed.values().collect::<Vec<_>>(), [&2; 4]);
    let rounds = journal(&bed.sandbox.path("four")).into_iter().filter(|line| line["record"] == "round");
    let on: BTreeSet<String> = rounds.map(|line| line["on"].to_string()).collect();
    assert!(on.len() > 1, "all of it was measured on {on:?}");
    // Each batch size was raced on one node and confirmed on another, and no kernel was compiled for that.
    assert!(bed.travelled("four") > 0);
    let told = bed.reported("four");
    for verdict in told["verdicts"].as_array().unwrap() {
        assert_ne!(verdict["second"]["node"], verdict["decided_on"], "{verdict}");
        assert_eq!(verdict["second"]["agrees"], true, "{verdict}");
        assert!(verdict["speedup"]["lower"].as_f64().unwrap() > 1.005, "{verdict}");
    }
    // Only a clock that swings moves a sentinel far, and is held down at times.
    for (node, (_, drift)) in told["nodes"].as_array().unwrap().iter().zip(CLOCKS) {
        let throttled =
            node["readings"].as_array().unwrap().iter().any(|it| it["gpu"].get("throttle").is_some());
        assert!(!throttled || drift > 0.0, "{node}");
        let moved = node["furthest_drift"].as_f64().map_or(0.0, |ratio| (ratio - 1.0).abs());
        assert!(moved < 0.03 || drift > 0.0, "{node}");
    }
    bed.nothing_is_left(NAME);

    // A container with its worker goes in the middle of a race; the second word comes from another node.
    let mut run = bed.race("race.toml", "killed").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("killed"), "round", &mut run);
    // It stands still until the container is gone: else it may be through before. Whoever measured last goes on measuring.
    signal(&run, "-STOP");
    let lines = journal(&bed.sandbox.path("killed"));
    let on = lines.iter().rfind(|line| line["record"] == "round").unwrap()["on"].clone();
    let node = bed.cluster.nodes.iter().find(|node| on == node.name).unwrap();
    kill_container(node, NAME);
    signal(&run, "-CONT");
    said(&run.wait_with_output().unwrap());
    let (killed, confirmed) = bed.raced("killed");
    assert_eq!(killed, one);
    assert_eq!(confirmed.values().collect::<Vec<_>>(), [&2; 4]);
    let told = bed.reported("killed");
    let of_node = told["nodes"].as_array().unwrap().iter().find(|it| it["node"] == on).unwrap();
    // Where nothing was lost, container and worker are started again within the next request, and it was not away.
    let left = of_node["departures"] != serde_json::json!([]);
    assert!(left || of_node["workers_replaced"].as_u64().unwrap() > 0, "its container was killed: {of_node}");
    assert!(!left || of_node["away_s"].as_f64().unwrap() > 0.0, "{of_node}");
    bed.nothing_is_left(NAME);

    let mut run = bed.race("race.toml", "dead").spawn().unwrap();
    // Far enough that every node is at something, and the confirmations are still to come.
    until_journal_has(&bed.sandbox.path("dead"), "round", 8, &mut run);
    run.kill().unwrap();
    run.wait().unwrap();
    let arguments = ["moe", "--cluster", "race.toml", "--resume", "dead"];
    said(&bed.command(&bed.sandbox.home().join("cache-dead"), &arguments).output().unwrap());
    let (dead, confirmed) = bed.raced("dead");
    assert_eq!(dead, one);
    assert_eq!(confirmed.values().collect::<Vec<_>>(), [&2; 4]);
    // Its containers went with all they had, and what they had given came back.
    assert!(bed.travelled("dead") > 0);
    assert_eq!(bed.reported("dead")["sessions"].as_array().unwrap().len(), 2);
    bed.nothing_is_left(NAME);
}

/// Two workers of two nodes die on it alone: it is given up, and everything else is judged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[expect(clippy::await_holding_lock, reason = "the lock is what keeps other tests from the nodes meanwhile")]
async fn a_kernel_that_kills_its_workers_is_given_up_and_tried_again_when_the_run_goes_on() {
    const NAME: &str = "killer";
    const KILLER: &str = "up 64x64x128 w4 s3";
    let _whole = whole();
    let bed = Bed::new(NAME).await;
    bed.replaying();
    said(&bed.race("race.toml", "well").output().unwrap());
    let (well, _) = bed.raced("well");

    let inventory = bed.sandbox.read("race.toml");
    let killing = inventory.replace("REPLAY_CLOCK", &format!("REPLAY_KILLER = \"{KILLER}\", REPLAY_CLOCK"));
    assert_ne!(killing, inventory);
    bed.sandbox.write("race.toml", killing);
    let output = bed.race("race.toml", "killed").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains(&format!("1 kernels could not be judged; first {KILLER}: ")), "{told}");
    assert!(told.contains("workers died on it, last: "), "{told}");
    let run = bed.sandbox.path("killed");
    let (unjudged, judged): (Vec<_>, Vec<_>) = journal(&run)
        .into_iter()
        .filter(|line| line["record"] == "proof")
        .partition(|line| line["result"]["reason"] == "worker_lost");
    assert_eq!(unjudged.len(), 1, "{unjudged:?}");
    assert!(judged.len() > 100, "{} kernels were judged", judged.len());
    // It takes two nodes to convict it.
    let died: BTreeSet<String> = journal(&run)
        .into_iter()
        .filter(|line| line["record"] == "left" && line["how"] == "died")
        .map(|line| line["node"].as_str().unwrap().to_owned())
        .collect();
    assert!(died.len() > 1, "workers died on {died:?}");
    bed.nothing_is_left(NAME);

    bed.sandbox.write("race.toml", inventory);
    let arguments = ["moe", "--cluster", "race.toml", "--resume", "killed"];
    said(&bed.command(&bed.sandbox.home().join("cache-killed"), &arguments).output().unwrap());
    assert_eq!(bed.raced("killed").0, well);
    bed.nothing_is_left(NAME);
}

/// The programs of workers that run on a node.
fn workers(bed: &Bed, node: &TestNode) -> String {
    let found = bed.cluster.ssh(node, "pgrep --full --list-full '[s]park_worker' || true");
    String::from_utf8_lossy(&found.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[expect(clippy::await_holding_lock, reason = "the lock is what keeps other tests from the nodes meanwhile")]
async fn nodes_without_an_engine_compile_with_their_own_python() {
    const NAME: &str = "bare";
    let _whole = whole();
    let bed = Bed::new(NAME).await;
    let alone = bed.alone();
    // Two of the nodes have no engine as far as the inventory says, and a virtual environment that finds the compiler.
    let mut inventory = bed.sandbox.read("lab.toml");
    for node in &bed.cluster.nodes[1..3] {
        let make = format!(
            "rm -rf /srv/venv && python3 -m venv --without-pip --symlinks /srv/venv && \
             echo {ON_NODES} > /srv/venv/lib/$(ls /srv/venv/lib)/site-packages/tuning.pth"
        );
        said(&bed.cluster.ssh(node, &make));
        let (named, own) = (format!("ssh = \"{}\"\n", node.ssh), format!("{ON_NODES}/nvidia/cu13/bin/ptxas"));
        let bare = format!(
            "{named}engine = \"none\"\nbare = {{ virtualenv = \"/srv/venv\" }}\n\
             env = {{ TRITON_PTXAS_PATH = \"{own}\" }}\n"
        );
        inventory = inventory.replace(&named, &bare);
    }
    bed.sandbox.write("lab.toml", inventory);

    let output = bed.spread("bare").output().unwrap();
    said(&output);
    let (made, on) = bed.came_to("bare");
    assert_eq!(made, alone);
    let joined = journal(&bed.sandbox.path("bare")).into_iter().filter(|line| line["record"] == "joined");
    assert_eq!(joined.count(), 4, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(on.len() > 1, "all of it was done by {on:?}");
    // Stopped, it leaves no program behind; killed, what it started ends by itself, as nobody speaks to it any more.
    for (out, signal_name, limit) in [("bare-stopped", "-INT", 1), ("bare-dead", "-KILL", 90)] {
        let mut run = bed.spread(out).spawn().unwrap();
        until_journal_says(&bed.sandbox.path(out), "joined", &mut run);
        match signal_name {
            "-INT" => drop(interrupt(run)),
            other => {
                signal(&run, other);
                run.wait().unwrap();
            }
        }
        let began = Instant::now();
        for node in &bed.cluster.nodes[1..3] {
            while !workers(&bed, node).is_empty() {
                let left = workers(&bed, node);
                assert!(began.elapsed() < Duration::from_secs(limit), "{} still has {left}", node.name);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        said(&bed.resume(out));
        assert_eq!(bed.came_to(out).0, alone);
    }
    bed.nothing_is_left(NAME);
}
