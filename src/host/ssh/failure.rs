//! Why ssh did not get there, out of what it says.

use std::time::Duration;

use super::SshRoute;
use crate::host_name::HostName;

/// Why a node cannot be reached by ssh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshFailure {
    /// There is no client.
    #[error("there is no `ssh` on this machine")]
    NoClient,
    /// Something on this machine is not as it must be.
    #[error("ssh cannot work on this machine: {why}")]
    Local {
        /// What.
        why: String,
    },
    /// The name is nobody's.
    #[error("cannot be reached by ssh: no address is known for `{host}`")]
    Name {
        /// The name.
        host: String,
    },
    /// Nothing listens there.
    #[error("cannot be reached by ssh: {at} refuses the connection")]
    Refused {
        /// Where.
        at: String,
    },
    /// No way leads there.
    #[error("cannot be reached by ssh: {at}: {why}")]
    NoRoute {
        /// Where.
        at: String,
        /// What the system says.
        why: String,
    },
    /// The node that the way goes through is not reached itself.
    #[error("its way goes through {through}: {failure}")]
    Through {
        /// That node.
        through: HostName,
        /// Why not.
        failure: Box<SshFailure>,
    },
    /// The node that the way goes through does not get there.
    #[error("cannot be reached by ssh: {through} gets no connection to {place}: {why}")]
    Beyond {
        /// That node.
        through: HostName,
        /// Where it was to go, as it sees it.
        place: String,
        /// What it noticed.
        why: String,
    },
    /// The node that the way goes through gets there, and lets nobody else.
    #[error(
        "cannot be reached by ssh: sshd on {through} lets nobody through to {place} (AllowTcpForwarding, PermitOpen in \
         its sshd_config)"
    )]
    Forbidden {
        /// That node.
        through: HostName,
        /// Where it was to go.
        place: String,
    },
    /// The connection of the node that the way goes through does not carry it, and does not say why.
    #[error("cannot be reached by ssh: the way through another node does not open")]
    NotForwarded,
    /// Nothing came back in time.
    #[error("cannot be reached by ssh: {step} took longer than {} s", limit.as_secs_f64())]
    TimedOut {
        /// What took so long.
        step: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It does not have the key that it had.
    #[error("cannot be reached by ssh: its host key is not the one in {known}")]
    HostKeyChanged {
        /// File and line of the key it had.
        known: String,
        /// The command that forgets that key, as ssh gives it.
        forget: Option<String>,
    },
    /// It was never met before.
    #[error("cannot be reached by ssh: its host key is not known yet")]
    HostKeyUnknown {
        /// Where ssh was to go.
        destination: String,
    },
    /// No key let us in.
    #[error("cannot be reached by ssh: {}", refused_login(.account, .methods, .key.as_deref()))]
    Login {
        /// Where ssh was to go.
        destination: String,
        /// `user@host`, as ssh found them.
        account: String,
        /// The ways to log in that it offers, with commas between.
        methods: String,
        /// What is wrong with a key of ours, where ssh says so.
        key: Option<String>,
    },
    /// Something answers that does not speak ssh to us.
    #[error("cannot be reached by ssh: what answers there breaks off: {why}")]
    BrokenOff {
        /// What ssh says.
        why: String,
    },
    /// The account's shell runs nothing.
    #[error("cannot be used by ssh: the account has no shell that runs commands: {words}")]
    NoShell {
        /// What it says instead.
        words: String,
    },
    /// sshd lets nobody run anything.
    #[error("cannot be used by ssh: sshd there opens no session; is `MaxSessions` 0 in its sshd_config?")]
    NoSession,
    /// It was reached, and is no more.
    #[error("the connection by ssh was lost: {why}")]
    Lost {
        /// What was noticed.
        why: String,
    },
    /// As much runs there as one connection carries.
    #[error("{running} programs run there by one connection of ssh, which carries no more at a time")]
    Busy {
        /// How many.
        running: usize,
    },
    /// Something else.
    #[error("cannot be reached by ssh: {words}")]
    Other {
        /// What ssh says.
        words: String,
    },
}

fn refused_login(account: &str, methods: &str, key: Option<&str>) -> String {
    let asks = methods.split(',').any(|method| matches!(method, "password" | "keyboard-interactive"));
    let what = match asks {
        true => format!("{account} takes none of our keys and asks for a password"),
        false => format!("{account} takes none of our keys ({methods})"),
    };
    key.map(|key| format!("{what}; {key}")).unwrap_or(what)
}

impl SshFailure {
    /// What its user can do.
    pub(in crate::host) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoClient => "install it: apt-get install openssh-client".into(),
            Self::Name { host } => {
                format!("give an address, or `HostName` for `{host}` in ~/.ssh/config")
            }
            Self::Refused { .. } => {
                "start sshd there (apt-get install openssh-server), or give the port it listens at".into()
            }
            Self::NoRoute { .. } | Self::TimedOut { step: CONNECTING, .. } => {
                "is the node on, and on a network of this machine? `ProxyJump` in ~/.ssh/config goes by another".into()
            }
            Self::Through { failure, .. } => return failure.hint(),
            Self::Beyond { through, .. } => {
                format!("is the node on, with sshd, and on a network of {through}?")
            }
            Self::HostKeyChanged { forget, .. } => match forget {
                Some(command) => format!("if the node was set up anew, forget the old key: {command}"),
                None => "if the node was set up anew, delete that line".into(),
            },
            Self::HostKeyUnknown { destination } => {
                format!("compare the key and accept it once: ssh {destination}")
            }
            Self::Login { destination, .. } => {
                format!("let a key in, once: ssh-copy-id {destination}")
            }
            Self::NoShell { .. } => "use another account, or give it a shell: chsh -s /bin/bash USER".into(),
            Self::Busy { .. } => "do less there at a time".into(),
            Self::Local { .. }
            | Self::TimedOut { .. }
            | Self::BrokenOff { .. }
            | Self::NoSession
            | Self::NotForwarded
            | Self::Forbidden { .. }
            | Self::Lost { .. }
            | Self::Other { .. } => return None,
        })
    }

    /// The same of a node whose way goes through `hop`, which failed so.
    pub(super) fn through(self, hop: HostName) -> Self {
        match self {
            // The first of a chain is the one to look at.
            Self::Through { .. } => self,
            failure => Self::Through { through: hop, failure: Box::new(failure) },
        }
    }

    /// What openssh's error output `words` come to, before the login was done.
    pub(super) fn of(words: &str, route: &SshRoute, limit: Duration) -> Self {
        let line = |needle: &str| words.lines().map(str::trim).find(|line| line.contains(needle));
        let timed_out = Self::TimedOut { step: CONNECTING, limit };
        // From the most telling to the least: one thing brings on another, and what came last says the least.
        if line("HOST IDENTIFICATION HAS CHANGED").is_some() {
            let known = line("Offending ").and_then(|line| line.split_once(" key in "));
            let known = known.map_or("known_hosts", |(_, known)| known).to_owned();
            let forget = line("ssh-keygen -f").map(str::to_owned);
            return Self::HostKeyChanged { known, forget };
        }
        if line("Host key verification failed").is_some() && line("REVOKED").is_none() {
            return Self::HostKeyUnknown { destination: route.typed() };
        }
        if let Some((account, methods)) =
            line("Permission denied (").and_then(|line| line.split_once(": Permission denied ("))
        {
            let key = line("Load key ").map(str::to_owned);
            let methods = methods.trim_end_matches(['.', ')']).to_owned();
            return Self::Login { destination: route.typed(), account: account.to_owned(), methods, key };
        }
        if line("Stdio forwarding request failed").is_some() {
            return Self::NotForwarded;
        }
        if let Some(rest) = line("Could not resolve hostname ").and_then(|line| line.split_once("hostname "))
        {
            let host = rest.1.split(": ").next().unwrap_or(rest.1).to_owned();
            return Self::Name { host };
        }
        if let Some((_, rest)) = line("connect to host ").and_then(|line| line.split_once("connect to ")) {
            let (at, why) = rest.split_once(": ").unwrap_or((rest, "no connection"));
            return match why {
                "Connection refused" => Self::Refused { at: at.to_owned() },
                "Connection timed out" | "Operation timed out" => timed_out,
                why => Self::NoRoute { at: at.to_owned(), why: why.to_owned() },
            };
        }
        if line("timed out during banner exchange").is_some() {
            return timed_out;
        }
        // Somebody answered, and said nothing more. Behind another node it is `Connection to UNKNOWN port 65535 timed out`.
        if line("Connection to ").is_some_and(|line| line.ends_with(" timed out")) {
            return Self::TimedOut { step: LOGGING_IN, limit };
        }
        if line("ssh: not found").is_some() {
            return Self::NoClient;
        }
        let settings =
            ["Bad configuration option", "Can't open user config file", "Bad owner or permissions"];
        if let Some(why) = settings.iter().find_map(|needle| line(needle)) {
            return Self::Local { why: why.to_owned() };
        }
        let broken = [
            "kex_exchange_identification: ",
            "banner exchange: ",
            "Connection closed by",
            "Connection reset by",
        ];
        if let Some(why) = broken.iter().find_map(|needle| line(needle)) {
            return Self::BrokenOff { why: why.to_owned() };
        }
        let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
        Self::Other { words: last.unwrap_or("ssh ended without a word").to_owned() }
    }

    /// What openssh's error output `words` come to, where the connection had been made.
    pub(super) fn lost(words: &str, silence: Duration) -> String {
        let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
        match last {
            Some(line) if line.starts_with("Timeout, server ") => {
                format!("nothing was heard from there for {} s", silence.as_secs_f64())
            }
            Some(line) => line.to_owned(),
            None => "ssh was ended".to_owned(),
        }
    }
}

/// The step that ssh's own limit is for.
pub(super) const CONNECTING: &str = "connecting";
/// What is left when somebody has answered.
pub(super) const LOGGING_IN: &str = "logging in";
#[cfg(test)]
mod tests;
