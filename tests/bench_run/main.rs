//! `sparkbench` as a whole program against servers: what it writes, what it says, how it ends.

#[path = "../support/bench.rs"]
mod bench;
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/recorder.rs"]
mod recorder;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls_front;

mod comparisons;
mod faults;
mod measured;
mod nodes;
mod reports;
mod stopped;
mod sweeps;
mod tls;
mod workloads;
