//! How a node is reached, and the engine on it.

use std::path::PathBuf;

use serde::Deserialize;

use super::Address;
use crate::host::HostPath;
use crate::host::ssh::{SshDestination, SshRoute};

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
    Ssh(SshRoute),
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
    /// No URL of an engine.
    #[error(
        "it is no URL of an engine: expected `unix:///PATH`, `ssh://USER@HOST:PORT/PATH` (all but HOST may be \
         left out) or `tcp://HOST:PORT`"
    )]
    EngineUrl,
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
            "ssh" => Ok(Self::Ssh(format!("ssh://{authority}").parse().map_err(|_| bad)?, socket(path))),
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
