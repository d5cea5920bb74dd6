//! `sparktune moe --cluster`: one run over four nodes, with a real compiler in a container on each. Whatever happens to
//! nodes, the files are those that one machine makes. Where something is raced a replay takes the place of compiler and
//! GPU (`support/replay_worker.py`), in the same containers and over the same links.
//!
//! Ignored by default: needs `tests/cluster/up`, and the first run fetches Triton and SGLang from the package registry.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/real.rs"]
mod real;
mod support;
#[path = "support/tuning.rs"]
mod tuning;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use spark::runtime::{Runtime, Target};

use cluster::{Faults, TestCluster, TestNode, cluster, whole};
use support::Sandbox;
use tuning::{SMALL, docker, files, journal, left, said, signal, sparktune};

/// Where the compiler lies on every node, for its containers to mount.
const ON_NODES: &str = "/srv/tuning";
/// Where the images' own `python3` looks for packages.
const SITE: &str = "/usr/lib/python3/dist-packages";
/// Where the files are brought to.
const DEPLOYED: &str = "/srv/tuned-by-all";
/// What is to be compiled: four batch sizes, each with a kernel of its own for either projection.
const MANY: [&str; 4] = ["--policy", "best-predicted", "--batch-sizes", "1,16,64,256"];

/// The parts of the compiler, each a folder or a link of that name.
const PARTS: [&str; 5] =
    ["triton", "triton-3.5.0.dist-info", "nvidia", "sglang", "sglang-0.5.4.post2.dist-info"];

/// A cluster with the compiler on every node, and what one machine makes of the run.
struct Bed {
    cluster: TestCluster,
    sandbox: Sandbox,
    shared: PathBuf,
}

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

    async fn new(name: &str) -> Self {
        let cluster = cluster();
        let environment = real::environment(Target::of(Runtime::Sglang054)).await;
        let venv = Path::new(environment.starter.python.as_str()).ancestors().nth(2).unwrap().to_owned();
        let packages = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
        for node in &cluster.nodes {
            let into = node.root.join(&ON_NODES[1..]);
            std::fs::create_dir_all(&into).unwrap();
            for part in PARTS {
                let of_wheel = Path::new(environment.package_root.as_str()).join(part);
                let from =
                    if of_wheel.exists() { of_wheel } else { packages.join("site-packages").join(part) };
                if !into.join(part).exists() {
                    said(
                        &Command::new("cp")
                            .arg("--archive")
                            .args([&from, &into.join(part)])
                            .output()
                            .unwrap(),
                    );
                }
            }
        }
        let sandbox = Sandbox::new();
        let mounts = PARTS.map(|part| format!("\"{ON_NODES}/{part}:{SITE}/{part}:ro\"")).join(", ");
        let mut inventory = format!(
            "name = \"{name}\"\nimage = \"spark-test:python\"\nssh_config = \"{}\"\n\
             [container]\ngpus = \"none\"\nvolumes = [{mounts}]\n\
             [env]\nTRITON_PTXAS_PATH = \"{SITE}/nvidia/cu13/bin/ptxas\"\n",
            cluster.ssh_config.display()
        );
        for (place, node) in cluster.nodes.iter().enumerate() {
            let role = if place == 0 { "head" } else { "worker" };
            inventory +=
                &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
        }
        sandbox.write("lab.toml", inventory);
        Self { cluster, sandbox, shared: std::path::absolute(real::cache()).unwrap() }
    }

    fn command(&self, cache: &Path, more: &[&str]) -> Command {
        sparktune(&self.sandbox, cache, more)
    }

    /// The run on all nodes, with nothing compiled before at hand.
    fn spread(&self, out: &str) -> Command {
        let arguments = [&SMALL[..13], &MANY[..], &["--cluster", "lab.toml", "--out", out]].concat();
        self.command(&self.sandbox.home().join(format!("cache-{out}")), &arguments)
    }

    fn resume(&self, out: &str) -> Output {
        let arguments = ["moe", "--cluster", "lab.toml", "--resume", out];
        self.command(&self.sandbox.home().join(format!("cache-{out}")), &arguments).output().unwrap()
    }

    /// What this machine makes of it by itself.
    fn alone(&self) -> Vec<(String, String)> {
        let arguments = [&SMALL[..13], &MANY[..], &["--out", "alone", "--offline"]].concat();
        said(&self.command(&self.shared, &arguments).output().unwrap());
        files(&self.sandbox.path("alone"))
    }

    /// The files of a run, and the nodes that proved something for it.
    fn came_to(&self, out: &str) -> (Vec<(String, String)>, BTreeSet<String>) {
        let run = self.sandbox.path(out);
        let proofs = journal(&run).into_iter().filter(|line| line["record"] == "proof");
        let on = proofs.map(|line| line["on"].as_str().unwrap().to_owned()).collect();
        (files(&run), on)
    }

    fn nothing_is_left(&self, name: &str) {
        for node in &self.cluster.nodes {
            assert_eq!(left(node, name), [""; 0], "{}", node.name);
        }
    }
}

/// Wait until the journal has a line of `what`.
#[track_caller]
fn until_journal_says(run: &Path, what: &str, child: &mut Child) {
    until_journal_has(run, what, 1, child);
}

/// Wait until it has so many.
#[track_caller]
fn until_journal_has(run: &Path, what: &str, count: usize, child: &mut Child) {
    let began = Instant::now();
    while journal(run).iter().filter(|line| line["record"] == what).count() < count {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("ended before its journal had a line of {what}: {status}");
        }
        assert!(began.elapsed() < Duration::from_secs(120), "no line of {what} in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn kill_container(node: &TestNode, name: &str) {
    let containers = left(node, name);
    assert_eq!(containers.len(), 1, "{containers:?}");
    said(&docker(node, &["kill", &containers[0]]).output().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[expect(clippy::await_holding_lock, reason = "the lock is what keeps other tests from the nodes meanwhile")]
async fn four_nodes_make_the_files_that_one_makes_whatever_happens_to_them() {
    const NAME: &str = "spread";
    let _whole = whole();
    let bed = Bed::new(NAME).await;
    let alone = bed.alone();
    assert_eq!(alone.len(), 4);

    // Where files could not be deployed, nothing begins.
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
        for (name, text) in made.iter().filter(|(name, _)| !name.ends_with(".manifest.json")) {
            let lies = std::fs::read_to_string(there.join(name)).unwrap();
            assert_eq!(lies.trim_end(), text.trim_end(), "{name} on {}", node.name);
        }
    }
    assert!(on.len() > 1, "all of it was done by {on:?}");
    let joined = journal(&bed.sandbox.path("four")).into_iter().filter(|line| line["record"] == "joined");
    assert_eq!(joined.count(), 4);
    bed.nothing_is_left(NAME);

    // A container that is killed takes its worker along, and nothing starts in it again.
    let mut run = bed.spread("killed").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("killed"), "joined", &mut run);
    kill_container(&bed.cluster.nodes[1], NAME);
    said(&run.wait_with_output().unwrap());
    assert_eq!(bed.came_to("killed").0, alone);
    bed.nothing_is_left(NAME);

    // The user's word reaches every node.
    let mut run = bed.spread("stopped").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("stopped"), "joined", &mut run);
    signal(&run, "-INT");
    let output = run.wait_with_output().unwrap();
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

    said(&bed.race("race.toml", "four").output().unwrap());
    let (four, confirmed) = bed.raced("four");
    assert_eq!(four, one);
    assert_eq!(confirmed.values().collect::<Vec<_>>(), [&2; 4]);
    let rounds = journal(&bed.sandbox.path("four")).into_iter().filter(|line| line["record"] == "round");
    let on: BTreeSet<String> = rounds.map(|line| line["on"].to_string()).collect();
    assert!(on.len() > 1, "all of it was measured on {on:?}");
    bed.nothing_is_left(NAME);

    // A container with its worker goes in the middle of a race; the second word comes from another node.
    let mut run = bed.race("race.toml", "killed").spawn().unwrap();
    until_journal_says(&bed.sandbox.path("killed"), "round", &mut run);
    kill_container(&bed.cluster.nodes[1], NAME);
    said(&run.wait_with_output().unwrap());
    let (killed, confirmed) = bed.raced("killed");
    assert_eq!(killed, one);
    assert_eq!(confirmed.values().collect::<Vec<_>>(), [&2; 4]);
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
        signal(&run, signal_name);
        run.wait().unwrap();
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
