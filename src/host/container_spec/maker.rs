//! Which process of which machine made something, as a label says it, and what has become of that process.

use std::path::Path;

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
        Self(format!("{}/{number}/{}", machine(), began(number).unwrap_or_default()))
    }

    /// As a label says it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What has become of the maker that a label names. One that makes no sense is somebody's elsewhere.
    pub(in crate::host) fn state_of(label: &str) -> MakerState {
        let Some(own) = label.strip_prefix(&machine()).and_then(|rest| rest.strip_prefix('/')) else {
            return MakerState::Elsewhere;
        };
        match own.split_once('/').map(|(number, since)| (number.parse(), since)) {
            Some((Ok(number), since)) if began(number).as_deref() == Some(since) => MakerState::Lives,
            Some((Ok(_), _)) => MakerState::Ended,
            _ => MakerState::Elsewhere,
        }
    }
}

/// The boot of this machine, which no other shares, and the namespace of process numbers.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), space.display())
}

/// When a process began, in ticks since the boot (proc_pid_stat(5), field 22); none where there is none.
fn began(number: u32) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(number.to_string()).join("stat")).ok()?;
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
        let label = format!("{}/{}/{}", machine(), child.id(), began(child.id()).unwrap());
        child.wait().unwrap();
        assert_eq!(Maker::state_of(&label), MakerState::Ended);
        for other in ["", "/", "boot/pid:[1]/1/1", &machine(), &format!("{}/x/1", machine()), &label[1..]] {
            assert_eq!(Maker::state_of(other), MakerState::Elsewhere, "{other}");
        }
    }
}
