//! What the look-alike knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bollard::models::ContainerCreateBody;
use bytes::Bytes;
use hyper::Method;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;

use super::Misdeed;
use crate::host::remote::chance;

/// What all connections share.
pub(super) type Shared = Arc<Mutex<State>>;

pub(super) struct State {
    pub(super) images: Vec<Image>,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) execs: BTreeMap<String, Exec>,
    pub(super) misdeeds: Vec<(Method, &'static str, Misdeed)>,
}

/// An image, as its archive has it.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) config: Bytes,
    pub(super) layers: Vec<Bytes>,
    pub(super) tags: Vec<String>,
    /// Where programs of its containers find others; where those of this machine do, if it does not say.
    pub(super) path: Option<PathBuf>,
}

/// The variable by which all processes of a container are known, whatever group they are in.
pub(super) const MARK: &str = "LOOK_ALIKE_CONTAINER";

pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) body: ContainerCreateBody,
    pub(super) life: Life,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) log: Vec<Line>,
    /// Counts what has changed, for those that follow.
    pub(super) changed: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Created,
    Running(Group),
    Exited(i64),
}

/// A process group of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group(Pid);

/// A line of a container's log, with its end.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// 1 is its output, 2 its error stream.
    pub(super) stream: u8,
    pub(super) text: Bytes,
}

pub(super) struct Exec {
    pub(super) container: String,
    pub(super) argv: Vec<String>,
    pub(super) status: Option<i64>,
}

impl Group {
    /// The one that a child leads.
    pub(super) fn of(child: &tokio::process::Child) -> Option<Self> {
        child.id().and_then(|id| Pid::from_raw(id.cast_signed())).map(Self)
    }

    pub(super) fn signal(self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = kill_process_group(self.0, signal);
    }
}

impl Container {
    /// End all that runs in it, as the end of a namespace does. What has cleared its variables goes on.
    pub(super) fn kill(&self) {
        let mark = format!("{MARK}={}", self.id);
        let marked = |pid: &Pid| {
            let variables =
                std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let numbers = || {
            let names = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
            names.filter_map(|name| Pid::from_raw(name.to_str()?.parse().ok()?))
        };
        // Until there is none that another one has just started.
        loop {
            let found: Vec<Pid> = numbers().filter(marked).collect();
            if found.is_empty() {
                return;
            }
            for pid in found {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    pub(super) fn change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

impl State {
    /// With the images of the test cluster: one whose programs see no Python, but only what lies in `no_python`.
    pub(super) fn new(no_python: &Path) -> Self {
        let images = vec![
            Image::made_up("docker.io/library/spark-test:python", None),
            Image::made_up("docker.io/library/spark-test:no-python", Some(no_python)),
        ];
        let (containers, execs) = (BTreeMap::new(), BTreeMap::new());
        Self { images, containers, execs, misdeeds: Vec::new() }
    }

    /// An ID that nothing else on this machine has.
    pub(super) fn id(&self) -> String {
        [chance(), chance()].concat()
    }

    /// The container of that name or ID.
    pub(super) fn container(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.values_mut().find(|container| container.id == name || container.name == name)
    }

    /// The misdeed for what is asked, if one is expected.
    pub(super) fn misdeed(&mut self, method: &Method, path: &str) -> Option<Misdeed> {
        let at = self.misdeeds.iter().position(|(asked, ends, _)| asked == method && path.ends_with(ends))?;
        Some(self.misdeeds.remove(at).2)
    }

    pub(super) fn kill_all(&self) {
        self.containers.values().for_each(Container::kill);
    }
}
