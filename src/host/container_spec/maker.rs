//! Which process of which machine made something, as a label says it, and what has become of that process.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A process: the machine's boot, the namespace that its number is of, its number, and when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker(String);

/// What is known of a maker here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum MakerState {
    /// It may be at work.
    Lives,
    /// It has ended.
    Ended,
    /// It is another machine's, or of an earlier boot: nothing is known.
    Elsewhere,
}

impl Maker {
    /// This process.
    pub(super) fn this() -> Self {
        let number = std::process::id();
        Self(format!("{}/{number}/{}", machine(), began(Path::new(PROC), number).unwrap_or_default()))
    }

    /// As a label says it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What has become of the maker that a label names. One that makes no sense is somebody's elsewhere.
    pub(in crate::host) fn state_of(label: &str) -> MakerState {
        state_by(Path::new(PROC), label)
    }
}

/// Where processes are shown.
const PROC: &str = "/proc";

/// `proc` may hide what is another user's (hidepid): who is not seen there, and is there, may be at work.
fn state_by(proc: &Path, label: &str) -> MakerState {
    let Some(own) = label.strip_prefix(&machine()).and_then(|rest| rest.strip_prefix('/')) else {
        return MakerState::Elsewhere;
    };
    let Some((number, since)) = own.split_once('/') else { return MakerState::Elsewhere };
    let Some(pid) = number.parse::<u32>().ok().and_then(|it| Pid::from_raw(it.try_into().ok()?)) else {
        return MakerState::Elsewhere;
    };
    match began(proc, pid.as_raw_nonzero().get().unsigned_abs()) {
        Some(began) if began == since || since.is_empty() => MakerState::Lives,
        Some(_) => MakerState::Ended,
        // A signal that is none asks only whether anybody has the number; not being allowed to is a yes.
        None if test_kill_process(pid) == Err(Errno::SRCH) => MakerState::Ended,
        None => MakerState::Lives,
    }
}

/// The boot of this machine, which no other shares, and the namespace of process numbers.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), space.display())
}

/// When a process began, in ticks since the boot (proc_pid_stat(5), field 22); none where it is not seen.
fn began(proc: &Path, number: u32) -> Option<String> {
    let stat = std::fs::read_to_string(proc.join(number.to_string()).join("stat")).ok()?;
    // Its name is in brackets and may hold anything. The field behind it is the third.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(22 - 3).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_lives_has_ended_or_is_somebody_elses() {
        let this = Maker::this();
        assert_eq!(Maker::state_of(this.as_str()), MakerState::Lives);
        // Another process has its number by now.
        assert_eq!(Maker::state_of(&format!("{}0", this.as_str())), MakerState::Ended);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let label = format!("{}/{}/{}", machine(), child.id(), began(Path::new(PROC), child.id()).unwrap());
        child.wait().unwrap();
        assert_eq!(Maker::state_of(&label), MakerState::Ended);
        // Where no process is seen.
        let hides = tempfile::tempdir().unwrap();
        assert_eq!(state_by(hides.path(), this.as_str()), MakerState::Lives);
        assert_eq!(state_by(hides.path(), &label), MakerState::Ended);
        for other in [
            "",
            "/",
            "boot/pid:[1]/1/1",
            &machine(),
            &format!("{}/x/1", machine()),
            &format!("{}/0/1", machine()),
            &label[1..],
        ] {
            assert_eq!(Maker::state_of(other), MakerState::Elsewhere, "{other}");
        }
    }
}
