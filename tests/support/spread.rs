//! Runs of `sparktune moe` over the four nodes with a real compiler in a container on each, and what one machine makes of
//! the same.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use spark::runtime::{Runtime, Target};

use crate::cluster::{TestCluster, TestNode, cluster};
use crate::real;
use crate::support::Sandbox;
use crate::tuning::{SMALL, docker, files, journal, left, said, sparktune};

/// Where the compiler lies on every node, for its containers to mount.
pub const ON_NODES: &str = "/srv/tuning";
/// Where the images' own `python3` looks for packages.
pub const SITE: &str = "/usr/lib/python3/dist-packages";
/// What is to be compiled unless told: four batch sizes, each with a kernel of its own for either projection.
pub const FOUR: &str = "1,16,64,256";

/// The parts of the compiler, each a folder or a link of that name.
pub const PARTS: [&str; 5] =
    ["triton", "triton-3.5.0.dist-info", "nvidia", "sglang", "sglang-0.5.4.post2.dist-info"];

/// A cluster with the compiler on every node, and what one machine makes of the run.
pub struct Bed {
    pub cluster: TestCluster,
    pub sandbox: Sandbox,
    pub shared: PathBuf,
    sizes: &'static str,
}

impl Bed {
    pub async fn new(name: &str) -> Self {
        Self::of(name, FOUR).await
    }

    /// One for runs of these batch sizes.
    pub async fn of(name: &str, sizes: &'static str) -> Self {
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
        Self { cluster, sandbox, shared: std::path::absolute(real::cache()).unwrap(), sizes }
    }

    pub fn command(&self, cache: &Path, more: &[&str]) -> Command {
        sparktune(&self.sandbox, cache, more)
    }

    fn kernels(&self) -> Vec<&'static str> {
        [&SMALL[..13], &["--policy", "best-predicted", "--batch-sizes", self.sizes]].concat()
    }

    /// The run on all nodes, with nothing compiled before at hand.
    pub fn spread(&self, out: &str) -> Command {
        let arguments = [&self.kernels()[..], &["--cluster", "lab.toml", "--out", out]].concat();
        self.command(&self.sandbox.home().join(format!("cache-{out}")), &arguments)
    }

    pub fn resume(&self, out: &str) -> Output {
        let arguments = ["moe", "--cluster", "lab.toml", "--resume", out];
        self.command(&self.sandbox.home().join(format!("cache-{out}")), &arguments).output().unwrap()
    }

    /// What this machine makes of it by itself.
    pub fn alone(&self) -> Vec<(String, String)> {
        let arguments = [&self.kernels()[..], &["--out", "alone", "--offline"]].concat();
        said(&self.command(&self.shared, &arguments).output().unwrap());
        self.came_to("alone").0
    }

    /// The files of a run with its table of results, and the nodes that proved something for it.
    pub fn came_to(&self, out: &str) -> (Vec<(String, String)>, BTreeSet<String>) {
        let run = self.sandbox.path(out);
        let proofs = journal(&run).into_iter().filter(|line| line["record"] == "proof");
        let on = proofs.map(|line| line["on"].as_str().unwrap().to_owned()).collect();
        let mut made = files(&run);
        made.push(("results".to_owned(), results(&run)));
        (made, on)
    }

    pub fn nothing_is_left(&self, name: &str) {
        for node in &self.cluster.nodes {
            assert_eq!(left(node, name), [""; 0], "{}", node.name);
        }
    }
}

/// What is known of each kernel by the run's journal, but for how long that took. None is there twice.
#[track_caller]
pub fn results(run: &Path) -> String {
    let mut table = BTreeMap::new();
    for mut line in journal(run).into_iter().filter(|line| line["record"] == "proof") {
        line["result"].as_object_mut().unwrap().remove("seconds");
        let kernel = format!("{} {}", line["role"], line["tile"]);
        let known = table.insert(kernel.clone(), line["result"].to_string());
        assert_eq!(known, None, "{kernel} was compiled twice");
    }
    table.into_iter().map(|(kernel, result)| format!("{kernel} {result}\n")).collect()
}

/// Wait until the journal has a line of `what`.
#[track_caller]
pub fn until_journal_says(run: &Path, what: &str, child: &mut Child) {
    until_journal_has(run, what, 1, child);
}

/// Wait until it has so many.
#[track_caller]
pub fn until_journal_has(run: &Path, what: &str, count: usize, child: &mut Child) {
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
pub fn kill_container(node: &TestNode, name: &str) {
    let containers = left(node, name);
    assert_eq!(containers.len(), 1, "{containers:?}");
    said(&docker(node, &["kill", &containers[0]]).output().unwrap());
}
