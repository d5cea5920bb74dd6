//! `sparktune moe --cluster` while everything dies: a link is cut, containers are killed, an engine is restarted, this
//! program is killed. Files and table of results are those of one machine, every time.
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

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Faults, TestNode};
use spread::{Bed, until_journal_has, until_journal_says};
use tuning::{docker, journal, left, said};

/// Enough kernels that every fault comes in the middle.
const SIZES: &str = "1,2,4,8,16,32,64,128,256,512,1024,4096";
/// Between two containers that are killed.
const KILL_EVERY: Duration = Duration::from_secs(3);

/// A run, and whom it belongs to.
struct Run<'a> {
    bed: &'a Bed,
    name: &'a str,
    out: String,
}

impl Run<'_> {
    fn path(&self) -> PathBuf {
        self.bed.sandbox.path(&self.out)
    }

    fn begin(&self) -> Child {
        self.bed.spread(&self.out).spawn().unwrap()
    }

    /// Wait until it is at work everywhere, and has something done.
    fn is_half_way(&self, child: &mut Child) {
        until_journal_has(&self.path(), "proof", 2, child);
    }

    #[track_caller]
    fn ends_well(&self, child: Child, alone: &[(String, String)]) {
        said(&child.wait_with_output().unwrap());
        self.is_right(alone);
    }

    #[track_caller]
    fn is_right(&self, alone: &[(String, String)]) {
        assert_eq!(self.bed.came_to(&self.out).0, alone, "{}", self.out);
    }

    /// Kill the program without a word, and go on.
    #[track_caller]
    fn dies_and_goes_on(&self, mut child: Child, alone: &[(String, String)]) {
        child.kill().unwrap();
        child.wait().unwrap();
        said(&self.bed.resume(&self.out));
        self.is_right(alone);
    }
}

/// Kill the run's container on one of `nodes` after the other, until `done`. How many were killed.
fn kill_in_turn(nodes: &[TestNode], name: &str, done: &AtomicBool) -> usize {
    let mut killed = 0;
    let mut last = Instant::now();
    for node in nodes.iter().cycle() {
        while last.elapsed() < KILL_EVERY {
            if done.load(Ordering::Relaxed) {
                return killed;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        last = Instant::now();
        // One that is not there at the moment, or does not run, is left for the next round.
        for container in left(node, name) {
            killed += usize::from(docker(node, &["kill", &container]).output().unwrap().status.success());
        }
    }
    killed
}

/// Do `what` while containers are killed in turn; how many were.
fn while_containers_die(nodes: &[TestNode], name: &str, what: impl FnOnce()) -> usize {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killing = scope.spawn(|| kill_in_turn(nodes, name, &done));
        let did = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        done.store(true, Ordering::Relaxed);
        let killed = killing.join().unwrap();
        if let Err(panic) = did {
            std::panic::resume_unwind(panic);
        }
        killed
    })
}

/// How often each node joined a run.
fn arrivals(run: &Run<'_>, node: &str) -> usize {
    let joined = |line: &serde_json::Value| line["record"] == "joined" && line["node"] == node;
    journal(&run.path()).iter().filter(|line| joined(line)).count()
}

/// What a compiler makes of a disk without room says nothing of its kernel, and the others do that node's part.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn a_node_whose_disk_is_full_is_named_and_no_kernel_is() {
    const NAME: &str = "full";
    let bed = Bed::of(NAME, SIZES).await;
    let alone = bed.alone();
    let mut faults = Faults::new(&bed.cluster);
    let it = Run { bed: &bed, name: NAME, out: "full".into() };
    let mut child = it.begin();
    until_journal_says(&it.path(), "joined", &mut child);
    faults.cause("n3", &["fill-disk"]);
    let output = child.wait_with_output().unwrap();
    said(&output);
    it.is_right(&alone);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("n3 works no more for this run: the disk of "), "{told}");
    faults.heal();
    said(&bed.resume(&it.out));
    bed.nothing_is_left(it.name);
}

/// Three times each; the third time all at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn whatever_dies_files_and_results_are_those_of_one_machine() {
    const NAME: &str = "faults";
    let bed = Bed::of(NAME, SIZES).await;
    let alone = bed.alone();
    let nodes = &bed.cluster.nodes;
    let run = |out: String| Run { bed: &bed, name: NAME, out };
    let mut faults = Faults::new(&bed.cluster);
    // The last node, and the inventory's head.
    for (time, cut) in [(1, "n4"), (2, "n1")] {
        let it = run(format!("cut-{time}"));
        let mut child = it.begin();
        it.is_half_way(&mut child);
        faults.cause(cut, &["link-down"]);
        it.ends_well(child, &alone);
        faults.heal();

        let it = run(format!("killed-{time}"));
        let mut child = it.begin();
        until_journal_says(&it.path(), "joined", &mut child);
        let killed = while_containers_die(nodes, NAME, || it.ends_well(child, &alone));
        assert!(killed > 0, "no container was killed");

        let it = run(format!("restarted-{time}"));
        let mut child = it.begin();
        it.is_half_way(&mut child);
        faults.cause("n2", &["kill-engine"]);
        faults.cause("n2", &["start-engine"]);
        it.ends_well(child, &alone);
        assert!(arrivals(&it, "n2") > 1, "its node takes part again");

        let it = run(format!("dead-{time}"));
        let mut child = it.begin();
        it.is_half_way(&mut child);
        it.dies_and_goes_on(child, &alone);
    }
    let it = run("all".into());
    let killed = while_containers_die(&nodes[..3], NAME, || {
        let mut child = it.begin();
        until_journal_says(&it.path(), "proof", &mut child);
        faults.cause("n4", &["link-down"]);
        faults.cause("n2", &["kill-engine"]);
        faults.cause("n2", &["start-engine"]);
        it.is_half_way(&mut child);
        it.dies_and_goes_on(child, &alone);
    });
    assert!(killed > 0, "no container was killed");
    faults.heal();
    // What could not be removed goes once the node is back, with the next command of the run.
    said(&bed.resume(&it.out));
    bed.nothing_is_left(it.name);
}
