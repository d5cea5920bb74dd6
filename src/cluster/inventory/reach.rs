//! How a node is reached, and the engine on it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::Address;
use crate::host::HostPath;
use crate::host_name::HostName;

/// How a node is reached. At least one of the two is there: a login, or an engine that is reached without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reach {
    /// Where its programs are started; nothing but its engine is reached without one.
    pub login: Option<Login>,
    /// Where its engine listens.
    pub engine: EngineAt,
}

/// How programs are started on a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// It is this machine.
    Local,
    /// By the user's own ssh.
    Ssh(SshDestination),
}

/// A machine as the user's ssh knows it: `~/.ssh/config` has the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshDestination {
    /// Who logs in; ssh's choice where not given.
    pub user: Option<String>,
    /// A name, an alias of the user's ssh config, or an address.
    pub host: String,
    /// The port; ssh's choice where not given.
    pub port: Option<u16>,
}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EngineAt {
    /// Where engines of its kind do.
    Usual,
    /// At this socket of the node.
    Socket(HostPath),
    /// At a port, behind TLS.
    Tcp {
        /// The machine.
        host: Address,
        /// The port.
        port: u16,
        /// Who may come in.
        tls: TlsFiles,
    },
}

/// Files of this machine that let it in to an engine, PEM. Relative to the inventory's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Who vouches for the engine.
    pub ca: PathBuf,
    /// Who we are.
    pub cert: PathBuf,
    /// The proof of it.
    pub key: PathBuf,
}

/// An engine's URL, whose certificates stand beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EngineUrl {
    Unix(HostPath),
    Ssh(SshDestination, Option<HostPath>),
    Tcp(Address, u16),
}

/// A text that reaches nothing. What it says is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReach {
    /// A password would show in logs and lists of processes.
    #[error("a password stands in it; use keys: it would show in logs and lists of processes")]
    Password,
    /// No destination of ssh.
    #[error("it is no destination of ssh: expected `HOST`, `USER@HOST` or `ssh://USER@HOST:PORT`")]
    Destination,
    /// No URL of an engine.
    #[error(
        "it is no URL of an engine: expected `unix:///PATH`, `ssh://USER@HOST:PORT/PATH` (all but HOST may be \
         left out) or `tcp://HOST:PORT`"
    )]
    EngineUrl,
}

/// `HOST`, `USER@HOST` or ssh's own `ssh://USER@HOST:PORT`.
impl FromStr for SshDestination {
    type Err = BadReach;

    fn from_str(text: &str) -> Result<Self, BadReach> {
        match text.strip_prefix("ssh://") {
            None => Self::of_authority(text, false, BadReach::Destination),
            Some(rest) => {
                Self::of_authority(rest.strip_suffix('/').unwrap_or(rest), true, BadReach::Destination)
            }
        }
    }
}

impl SshDestination {
    /// `USER@HOST:PORT`, without the port where there may be none.
    fn of_authority(text: &str, ports: bool, bad: BadReach) -> Result<Self, BadReach> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(BadReach::Password);
        }
        let (host, port) = match ports {
            true => host_and_port(rest).ok_or(bad.clone())?,
            false => (rest, None),
        };
        // What begins with `-` would be an option of ssh.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        let named = |user: &str| !user.is_empty() && !user.starts_with('-') && user.bytes().all(plain);
        let known = host.parse::<std::net::Ipv6Addr>().is_ok() || host.parse::<HostName>().is_ok();
        match known && user.is_none_or(named) {
            true => Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port }),
            false => Err(bad),
        }
    }
}

/// As a person would say it: `user@host`, with the port of a URL where there is one.
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

impl EngineUrl {
    /// Docker's port behind TLS, as IANA has it.
    const TLS_PORT: u16 = 2376;

    pub(super) fn parse(text: &str) -> Result<Self, BadReach> {
        let bad = BadReach::EngineUrl;
        let (scheme, rest) = text.split_once("://").ok_or(bad.clone())?;
        if rest.contains(['?', '#', '\0']) || rest.contains(char::is_whitespace) {
            return Err(bad);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let socket = |path: &str| match path.strip_prefix('/') {
            Some("") | None => None,
            Some(_) => Some(HostPath::new(path)),
        };
        // In any scheme: the message must not be about something else.
        if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err(BadReach::Password);
        }
        match scheme {
            "unix" if authority.is_empty() => Ok(Self::Unix(socket(path).ok_or(bad)?)),
            "ssh" => Ok(Self::Ssh(SshDestination::of_authority(authority, true, bad)?, socket(path))),
            "tcp" if matches!(path, "" | "/") => {
                let (host, port) = host_and_port(authority).ok_or(bad.clone())?;
                Ok(Self::Tcp(host.parse().map_err(|_| bad)?, port.unwrap_or(Self::TLS_PORT)))
            }
            _ => Err(bad),
        }
    }
}

/// `HOST:PORT`, an IPv6 address in brackets.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    match port {
        None => Some((host, None)),
        Some(port) => port.parse().ok().filter(|port| *port != 0).map(|port| (host, Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_those_of_ssh() {
        let of = |text: &str| text.parse::<SshDestination>().map(|it| (it.user, it.host, it.port));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("spark-1"), Ok((None, "spark-1".into(), None)));
        assert_eq!(of("flash@192.168.1.116"), Ok((some("flash"), "192.168.1.116".into(), None)));
        assert_eq!(of("me@fe80::1"), Ok((some("me"), "fe80::1".into(), None)));
        assert_eq!(of("ssh://me@spark:2222"), Ok((some("me"), "spark".into(), Some(2222))));
        assert_eq!(of("ssh://[::2]:22/"), Ok((None, "::2".into(), Some(22))));
        for good in ["spark-1", "me@spark", "ssh://me@spark:2222", "ssh://[::2]:22"] {
            assert_eq!(good.parse::<SshDestination>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "-l@a",
            "@a",
            "a b",
            "a;b",
            "me@",
            "a:22",
            "ssh://a:0",
            "ssh://a:x",
            "ssh://a/b",
        ] {
            assert_eq!(of(bad), Err(BadReach::Destination), "{bad:?}");
        }
        for password in ["me:hush@spark", "ssh://me:hush@spark:22"] {
            assert_eq!(of(password), Err(BadReach::Password));
        }
    }

    #[test]
    fn engines_are_at_a_socket_behind_ssh_or_behind_tls() {
        let of = EngineUrl::parse;
        assert_eq!(of("unix:///run/docker.sock"), Ok(EngineUrl::Unix(HostPath::new("/run/docker.sock"))));
        let spark = || "ssh://me@spark:2222".parse::<SshDestination>().unwrap();
        assert_eq!(of("ssh://me@spark:2222"), Ok(EngineUrl::Ssh(spark(), None)));
        let socket = HostPath::new("/run/podman/podman.sock");
        assert_eq!(
            of("ssh://me@spark:2222/run/podman/podman.sock"),
            Ok(EngineUrl::Ssh(spark(), Some(socket)))
        );
        assert_eq!(of("tcp://10.0.0.1"), Ok(EngineUrl::Tcp("10.0.0.1".parse().unwrap(), 2376)));
        assert_eq!(of("tcp://spark:1/"), Ok(EngineUrl::Tcp("spark".parse().unwrap(), 1)));
        let bad = [
            "",
            "spark",
            "http://a",
            "unix://",
            "unix:///",
            "unix://a/b",
            "ssh://",
            "tcp://",
            "tcp://a:0",
            "tcp://a/b",
            "tcp://me@a",
            "unix:///a b",
            "unix:///a?b",
            "tcp://[::1",
            "tcp://[::1]x",
        ];
        for bad in bad {
            assert_eq!(of(bad), Err(BadReach::EngineUrl), "{bad:?}");
        }
        for password in ["ssh://me:hush@a", "tcp://me:hush@a", "http://me:hush@a"] {
            let error = of(password).unwrap_err();
            assert_eq!(error, BadReach::Password);
            assert!(!error.to_string().contains("hush"));
        }
    }
}
