//! `sparkbench` as a whole program against servers: what it writes, what it says, how it ends.

#[path = "../support/bench.rs"]
mod bench;
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/recorder.rs"]
mod recorder;
#[path = "../support/mod.rs"]
mod support;

mod comparisons;
mod faults;
mod measured;
mod reports;
mod stopped;
mod sweeps;
mod workloads;
