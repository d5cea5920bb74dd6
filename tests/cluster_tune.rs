//! `sparktune moe --cluster`: one run over four nodes, with a real compiler in a container on each. Whatever happens to
//! nodes, the files are those that one machine makes.
//!
//! Ignored by default: needs `tests/cluster/up`, and the first run fetches Triton and SGLang from the package registry.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/real.rs"]
mod real;
mod support;
#[path = "support/tuning.rs"]
mod tuning;

use std::collections::BTreeSet;
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

impl Bed {
    async fn new(name: &str) -> Self {
        let cluster = cluster();
        let environment = real::environment(Target::of(Runtime::Sglang054)).await;
        let venv = Path::new(environment.starter.python.as_str()).ancestors().nth(2).unwrap().to_owned();
        let packages = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
        for node in &cluster.nodes {
            let into = node.root.join(&ON_NODES[1..]);
            std::fs::create_dir_all(&into).unwrap();
            for part in PARTS {
                let of_wheel = Path::new(environment.sglang_root.as_str()).join(part);
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

/// Wait until the journal has a line with `what`.
#[track_caller]
fn until_journal_says(run: &Path, what: &str, child: &mut Child) {
    let began = Instant::now();
    while !journal(run).iter().any(|line| line["record"] == what) {
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
