//! Where ssh is to go.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

/// A machine as the user's ssh knows it: `~/.ssh/config` has the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshDestination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// A text or a part that is no [`SshDestination`]. It is not repeated where it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSshDestination {
    /// A password would show in logs and lists of processes.
    #[error("a password stands in the destination of ssh; use keys (`ssh-copy-id`)")]
    Password,
    /// Nothing that ssh could be told.
    #[error("`{0}` is no destination of ssh: expected `HOST`, `USER@HOST` or `ssh://USER@HOST:PORT`")]
    Form(String),
}

impl Failure for BadSshDestination {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl SshDestination {
    /// `host` is a name, an alias of the user's ssh config, or an address. Of a user or port not given, ssh decides.
    pub fn new(user: Option<&str>, host: &str, port: Option<u16>) -> Result<Self, BadSshDestination> {
        if user.is_some_and(|user| user.contains(':')) {
            return Err(BadSshDestination::Password);
        }
        // The user's own config may hand these words to a shell, and what begins with `-` would be an option.
        let plain = |text: &str| {
            let begins = text.bytes().next().is_some_and(|byte| byte != b'-');
            begins && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
        };
        let (address, zone) =
            host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
        let known = match address.parse::<Ipv6Addr>() {
            Ok(_) => zone.is_none_or(plain),
            Err(_) => host.parse::<HostName>().is_ok(),
        };
        if !known || !user.is_none_or(plain) || port == Some(0) {
            let user = user.map(|user| format!("{user}@")).unwrap_or_default();
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            return Err(BadSshDestination::Form(format!("{user}{host}{port}")));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }

    /// A name, an alias of the user's ssh config, or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; ssh's choice where not given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same at another port.
    #[must_use]
    pub fn at_port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// The same where several stand with commas between them, as in `ProxyJump`.
    pub(super) fn in_a_list(&self) -> String {
        let Self { user, host, port } = self;
        let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        // ssh takes what begins with `%` there for something to put in, which a zone would be.
        let host = host.replace('%', "%%");
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{user}{host}{port}")
    }

    /// The words that tell ssh: perhaps an option, and one that is none.
    pub(super) fn words(&self) -> Vec<String> {
        let port = self.port.map(|port| ["-p".to_owned(), port.to_string()]);
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        port.into_iter().flatten().chain([format!("{user}{}", self.host)]).collect()
    }
}

impl FromStr for SshDestination {
    type Err = BadSshDestination;

    fn from_str(text: &str) -> Result<Self, BadSshDestination> {
        let url = text.strip_prefix("ssh://");
        let authority = url.map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
        let (user, rest) =
            authority.rsplit_once('@').map_or((None, authority), |(user, rest)| (Some(user), rest));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(BadSshDestination::Password);
        }
        let bad = || BadSshDestination::Form(text.to_owned());
        let (host, port) = match (url, rest.strip_prefix('[')) {
            // `HOST:PORT` is for URLs alone: ssh itself takes it for a name.
            (None, _) => (rest, None),
            (Some(_), Some(rest)) => {
                let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
                (host, (!rest.is_empty()).then_some(rest.strip_prefix(':').ok_or_else(bad)).transpose()?)
            }
            (Some(_), None) => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(|port| port.parse().map_err(|_| bad())).transpose()?;
        Self::new(user, host, port).map_err(|error| match error {
            BadSshDestination::Form(_) => bad(),
            BadSshDestination::Password => error,
        })
    }
}

/// As a person would type it behind `ssh`: `USER@HOST`, or a URL where there is a port. It reads back as the same.
impl fmt::Display for SshDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match port {
            Some(port) if host.contains(':') => write!(f, "ssh://{user}[{host}]:{port}"),
            Some(port) => write!(f, "ssh://{user}{host}:{port}"),
            None => write!(f, "{user}{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_what_ssh_takes() {
        for (text, words) in [
            ("spark-1", "spark-1"),
            ("flash@192.168.1.116", "flash@192.168.1.116"),
            ("fe80::1%enp1s0f0np0", "fe80::1%enp1s0f0np0"),
            ("ssh://spark-1", "spark-1"),
            ("ssh://me@spark-1:2222/", "-p 2222 me@spark-1"),
            ("ssh://[::1]:22", "-p 22 ::1"),
            ("ssh://me@[fe80::1%eth0]:22", "-p 22 me@fe80::1%eth0"),
            ("ssh://[::1]", "::1"),
        ] {
            let destination: SshDestination = text.parse().unwrap();
            assert_eq!(destination.words().join(" "), words, "{text}");
            assert_eq!(destination.to_string().parse(), Ok(destination), "{text}");
        }
    }

    #[test]
    fn what_would_be_an_option_or_a_password_is_refused() {
        for bad in [
            "",
            "@",
            "@host",
            "me@",
            "-oProxyCommand=x",
            "me@-host",
            "-l@host",
            "ho st",
            "host;x",
            "$(x)",
            "`x`",
            "host/x",
            "me@me@host",
            "host:22",
            "ssh://",
            "ssh://host:",
            "ssh://host:0",
            "ssh://host:65536",
            "ssh://host:x",
            "ssh://[::1",
            "ssh://[::1]22",
            "ssh://host/path",
            "::1%a b",
            "tcp://host",
            "ä",
        ] {
            let error = bad.parse::<SshDestination>().unwrap_err();
            assert_eq!(error, BadSshDestination::Form(bad.into()));
            assert_eq!(error.kind(), Kind::Input);
        }
        for text in ["me:hush@host", "ssh://me:hush@host:22", ":hush@host"] {
            let error = text.parse::<SshDestination>().unwrap_err();
            assert_eq!(error, BadSshDestination::Password);
            assert!(!error.to_string().contains("hush"));
        }
    }
}
