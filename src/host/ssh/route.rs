//! The way to a machine: from this one, or through others.

use std::fmt;

use super::{SshDestination, SshSettings};
use crate::host::ShellLine;
use crate::host_name::HostName;

/// How ssh gets to a machine: from this one, through each of some others in turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshRoute {
    /// Whose connections it goes through, the first of them from this machine. None where it goes straight there.
    pub through: Vec<SshHop>,
    /// Where it ends.
    pub to: SshDestination,
}

/// A node that the way to another goes through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshHop {
    /// The node.
    pub node: HostName,
    /// Where ssh is to go for it.
    pub at: SshDestination,
}

impl From<SshDestination> for SshRoute {
    fn from(to: SshDestination) -> Self {
        Self { through: Vec::new(), to }
    }
}

impl SshRoute {
    /// The node whose connection leads there, and the way to that one; none where it goes straight there.
    pub(super) fn last_hop(&self) -> Option<(&HostName, SshRoute)> {
        let (last, before) = self.through.split_last()?;
        Some((&last.node, SshRoute { through: before.to_vec(), to: last.at.clone() }))
    }

    /// The words that tell ssh: perhaps options, and one that is none.
    fn words(&self) -> Vec<String> {
        let through = self.hops().map(|hops| ["-J".to_owned(), hops]);
        through.into_iter().flatten().chain(self.to.words()).collect()
    }

    /// The same for a person to type behind `ssh`, and behind `ssh-copy-id` too, which has no `-J`.
    pub(super) fn typed(&self) -> String {
        match self.hops() {
            Some(hops) => format!("-o ProxyJump={hops} {}", self.to),
            None => self.to.to_string(),
        }
    }

    /// As ssh's `ProxyJump` takes them; none where there is none.
    fn hops(&self) -> Option<String> {
        let hops: Vec<String> = self.through.iter().map(|hop| hop.at.in_a_list()).collect();
        (!hops.is_empty()).then(|| hops.join(","))
    }
}

/// As people say it: the destination, and through whom.
impl fmt::Display for SshRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to.fmt(f)?;
        let names: Vec<&str> = self.through.iter().map(|hop| hop.node.as_str()).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " through {}", names.join(" and ")) }
    }
}

/// The line that has `inner` run at the end of `route`, connected or not.
pub(crate) fn over_ssh(route: &SshRoute, settings: &SshSettings, inner: &ShellLine) -> ShellLine {
    let mut words = vec!["ssh".to_owned()];
    words.extend(settings.config_words());
    words.extend(route.words());
    ShellLine::handed_to(&words, inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Program;

    fn route(through: &[&str], to: &str) -> SshRoute {
        let hop = |(at, to): (usize, &&str)| SshHop {
            node: format!("n{}", at + 1).parse().unwrap(),
            at: to.parse().unwrap(),
        };
        SshRoute { through: through.iter().enumerate().map(hop).collect(), to: to.parse().unwrap() }
    }

    #[test]
    fn the_line_names_every_node_on_the_way() {
        let line = |route: &SshRoute| {
            let inner = ShellLine::of(&Program::new("true", [""; 0]));
            over_ssh(route, &SshSettings::default(), &inner).to_string()
        };
        assert_eq!(line(&route(&[], "me@b")), "ssh me@b 'true'");
        assert_eq!(line(&route(&["me@a"], "169.254.1.2")), "ssh -J me@a 169.254.1.2 'true'");
        let long = route(&["ssh://me@a:2222", "fe80::1%eth0"], "ssh://c:22");
        assert_eq!(line(&long), "ssh -J 'me@a:2222,[fe80::1%%eth0]' -p 22 c 'true'");
    }

    #[test]
    fn people_are_told_through_whom_and_what_to_type() {
        let two = route(&["me@a", "ssh://b:1"], "me@c");
        assert_eq!(two.to_string(), "me@c through n1 and n2");
        assert_eq!(two.typed(), "-o ProxyJump=me@a,b:1 me@c");
        let (last, before) = two.last_hop().unwrap();
        assert_eq!((last.as_str(), before.to_string()), ("n2", "ssh://b:1 through n1".to_owned()));
        let straight = route(&[], "me@c");
        assert_eq!((straight.to_string(), straight.typed()), ("me@c".to_owned(), "me@c".to_owned()));
        assert_eq!(straight.last_hop(), None);
    }
}
