//! The machine around the GPU: memory, disks, engines, guards, limits, the kernel's log.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reading::Captured;
use super::{Doubts, NodeReading};
use crate::host::ask::beginning;

/// Memory, bytes (`/proc/meminfo`, proc(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// All there is.
    pub(crate) total: Option<u64>,
    /// What programs can still have, page cache that can be given up included.
    pub(crate) available: Option<u64>,
    /// What holds nothing at all. It is what torch reports on unified machines.
    pub(crate) free: Option<u64>,
    /// Files' contents kept: on unified machines taken from the GPU until it is given up.
    pub(crate) page_cache: Option<u64>,
    /// Room to swap into.
    pub(crate) swap_total: Option<u64>,
    /// Of that, what is free.
    pub(crate) swap_free: Option<u64>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Disk {
    /// A path on it.
    pub(crate) path: String,
    /// Its size, bytes.
    pub(crate) total: u64,
    /// What the user may still write, bytes.
    pub(crate) free: u64,
}

/// A container engine that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Engine {
    /// `docker` or `podman`: the command.
    pub(crate) command: &'static str,
    /// Its version.
    pub(crate) version: Option<String>,
    /// Why it cannot be used, in its own words.
    pub(crate) problem: Option<String>,
}

/// A limit of the user, bytes; none where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct ResourceLimit {
    /// The one that holds.
    pub(crate) soft: Option<u64>,
    /// The one up to which the user may raise it.
    pub(crate) hard: Option<u64>,
}

/// A line of the kernel's log that tells of exhausted memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MemoryTrace {
    /// Whether it is of the boot before this one: such machines often reset without a word.
    pub(crate) before_this_boot: bool,
    /// The line.
    pub(crate) line: String,
}

/// Lines of the log that are kept, the last ones.
const MOST_TRACES: usize = 10;

pub(super) fn memory(reading: &NodeReading, doubts: &mut Doubts) -> Memory {
    const PATH: &str = "/proc/meminfo";
    let text = reading.text(PATH).unwrap_or_default();
    let mut bytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
        let kib = value.strip_suffix(" kB").and_then(|number| number.trim().parse::<u64>().ok());
        let bytes = kib.and_then(|kib| kib.checked_mul(1024));
        if bytes.is_none() {
            doubts.add(PATH, format!("{name}: `{}` is no number of kB", beginning(value.as_bytes())));
        }
        bytes
    };
    Memory {
        total: bytes("MemTotal"),
        available: bytes("MemAvailable"),
        free: bytes("MemFree"),
        page_cache: bytes("Cached"),
        swap_total: bytes("SwapTotal"),
        swap_free: bytes("SwapFree"),
    }
}

pub(super) fn disks(reading: &NodeReading) -> Vec<Disk> {
    let all = reading.disks.iter();
    all.map(|(path, disk)| Disk { path: path.clone(), total: disk.total, free: disk.free }).collect()
}

/// `PRETTY_NAME` of os-release(5).
pub(super) fn distribution(reading: &NodeReading) -> Option<String> {
    let mut lines = reading.text("/etc/os-release")?.lines();
    let name = lines.find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

pub(super) fn engines(reading: &NodeReading) -> Vec<Engine> {
    ["docker", "podman"].into_iter().filter_map(|command| engine(command, reading)).collect()
}

/// Docker's answer is its daemon's, so that it is there only for a user who may ask it; Podman has no daemon.
fn engine(command: &'static str, reading: &NodeReading) -> Option<Engine> {
    let problem = match reading.command(command) {
        Captured::Missing => return None,
        Captured::Exit { status: 0, stdout, .. } => {
            let version = stdout.trim();
            let version = version.strip_prefix("podman version ").unwrap_or(version);
            return Some(Engine { command, version: Some(version.to_owned()), problem: None });
        }
        Captured::Exit { status, stderr, .. } if stderr.trim().is_empty() => {
            format!("it ended with status {status}")
        }
        Captured::Exit { stderr, .. } => beginning(stderr.trim().as_bytes()),
        Captured::Refused { why } => why.clone(),
        Captured::TimedOut { limit_s } => format!("it did not answer within {limit_s} s"),
    };
    Some(Engine { command, version: None, problem: Some(problem) })
}

/// Files in CDI's folders that are NVIDIA's, by name: `nvidia-ctk cdi generate` calls its own so.
pub(super) fn cdi_specifications(reading: &NodeReading) -> Vec<String> {
    let folders = ["/etc/cdi", "/var/run/cdi"].into_iter();
    let files = folders.flat_map(|folder| reading.names(folder).map(move |name| format!("{folder}/{name}")));
    files.filter(|path| path.contains("nvidia")).collect()
}

pub(super) fn limits(reading: &NodeReading) -> BTreeMap<String, ResourceLimit> {
    let all = reading.limits.iter();
    all.map(|(name, &[soft, hard])| (name.clone(), ResourceLimit { soft, hard })).collect()
}

/// What the logs that the user may read say. One that is not kept, or not for this user, says nothing.
pub(super) fn memory_traces(reading: &NodeReading) -> Vec<MemoryTrace> {
    let mut traces: Vec<MemoryTrace> = Vec::new();
    for (command, before_this_boot) in [("kernel_log_before", true), ("kernel_log", false)] {
        if let Captured::Exit { status: 0, stdout, .. } = reading.command(command) {
            let lines = stdout.lines().map(|line| beginning(line.as_bytes()));
            traces.extend(lines.map(|line| MemoryTrace { before_this_boot, line }));
        }
    }
    let over = traces.len().saturating_sub(MOST_TRACES);
    traces.split_off(over)
}
