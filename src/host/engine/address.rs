//! Where an engine listens.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};

/// Where an engine's API is spoken. A socket of another machine is one here once somebody has forwarded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A unix socket of this machine.
    Unix(PathBuf),
    /// TCP with TLS, both ends with a certificate.
    Tls {
        /// The host and its port.
        at: Tcp,
        /// Who says who the engine is, and who we are.
        certificates: Certificates,
    },
    /// TCP that anybody on the way can read and change.
    Plain(Tcp),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// A name or an address; without brackets where it is IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Files in PEM, as `docker --tlsverify` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The authority that signed the engine's certificate; no other is trusted.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Whether TCP without TLS is good enough for a host other than this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainTcp {
    /// No: whoever reaches the port owns the node.
    OnLoopback,
    /// Somebody said so.
    Anywhere,
}

/// A text that is no address of an engine. A password in it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEngineAddress {
    /// It begins like no address that we speak.
    #[error("`{0}` is no engine's address: unix:///PATH or tcp://HOST:PORT")]
    Form(String),
    /// Somebody's name or password stands in it.
    #[error(
        "the address of the engine at `{0}` names a user or holds a password, which engines do not know: use keys"
    )]
    User(String),
    /// A socket's path that the system cannot take.
    #[error("the socket `{path}` {what}")]
    Socket {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing keeps others out.
    #[error("`{0}` is plain TCP to another machine: whoever reaches that port owns it")]
    Plain(String),
    /// Certificates for a socket, which has no use for them.
    #[error("`{0}` is a socket of this machine, which takes no certificates")]
    Certificates(String),
}

impl Failure for BadEngineAddress {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Plain(_) => "name the files of ca, cert and key, or reach the engine over ssh",
            Self::Socket { .. } => "name the whole path of a socket, like unix:///var/run/docker.sock",
            Self::Form(_) | Self::User(_) | Self::Certificates(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl Tcp {
    fn is_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl EngineAddress {
    /// The longest path of a socket, bytes: `sockaddr_un` less its final zero.
    const SOCKET_BYTES: usize = 107;
    const TLS_PORT: u16 = 2376;
    const PLAIN_PORT: u16 = 2375;

    /// The address that `url` is, spoken to with `certificates` where there are any.
    ///
    /// # Errors
    /// What is no address, and plain TCP to another machine unless `plain` allows it.
    pub fn parse(
        url: &str,
        certificates: Option<Certificates>,
        plain: PlainTcp,
    ) -> Result<Self, BadEngineAddress> {
        if let Some(path) = url.strip_prefix("unix://") {
            return match certificates {
                None => Self::unix(Path::new(path)),
                Some(_) => Err(BadEngineAddress::Certificates(url.to_owned())),
            };
        }
        // A text with an `@` may hold a password, wherever that stands.
        let shown = || url.rsplit('@').next().unwrap_or_default().to_owned();
        let form = || BadEngineAddress::Form(shown());
        let parsed = reqwest::Url::parse(url).map_err(|_| form())?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(BadEngineAddress::User(shown()));
        }
        let bare =
            matches!(parsed.path(), "" | "/") && parsed.query().is_none() && parsed.fragment().is_none();
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(form)?;
        if parsed.scheme() != "tcp" || !bare {
            return Err(form());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = |default| parsed.port().unwrap_or(default);
        match certificates {
            Some(certificates) => {
                Ok(Self::Tls { at: Tcp { host, port: port(Self::TLS_PORT) }, certificates })
            }
            None => {
                let at = Tcp { host, port: port(Self::PLAIN_PORT) };
                match plain == PlainTcp::Anywhere || at.is_this_machine() {
                    true => Ok(Self::Plain(at)),
                    false => Err(BadEngineAddress::Plain(url.to_owned())),
                }
            }
        }
    }

    /// The socket at `path`.
    ///
    /// # Errors
    /// A path that is relative, or longer than the system can take.
    pub fn unix(path: &Path) -> Result<Self, BadEngineAddress> {
        let bad = |what| BadEngineAddress::Socket { path: path.to_owned(), what };
        if !path.is_absolute() {
            return Err(bad("is no absolute path"));
        }
        if path.as_os_str().len() > Self::SOCKET_BYTES {
            return Err(bad("has a path longer than the 107 bytes that a socket's may have"));
        }
        Ok(Self::Unix(path.to_owned()))
    }
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tls { at, .. } | Self::Plain(at) => write!(f, "{at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificates() -> Certificates {
        Certificates { ca: "/ca".into(), cert: "/cert".into(), key: "/key".into() }
    }

    fn plain(url: &str) -> Result<EngineAddress, BadEngineAddress> {
        EngineAddress::parse(url, None, PlainTcp::OnLoopback)
    }

    #[test]
    fn sockets_and_ports_are_addresses() {
        for (url, shown) in [
            ("unix:///var/run/docker.sock", "/var/run/docker.sock"),
            ("unix:///a b%20c", "/a b%20c"),
            ("tcp://localhost", "localhost:2375"),
            ("tcp://127.0.0.1:1234/", "127.0.0.1:1234"),
            ("tcp://[::1]:1234", "[::1]:1234"),
        ] {
            assert_eq!(plain(url).unwrap().to_string(), shown, "{url}");
        }
        let tls = EngineAddress::parse("tcp://spark-2", Some(certificates()), PlainTcp::OnLoopback).unwrap();
        assert_eq!(tls.to_string(), "spark-2:2376");
        assert!(matches!(tls, EngineAddress::Tls { certificates: with, .. } if with == certificates()));
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for (url, words) in [
            ("", "no engine's address"),
            ("docker.sock", "no engine's address"),
            ("http://spark-1", "no engine's address"),
            ("ssh://spark-1", "no engine's address"),
            ("tcp://", "no engine's address"),
            ("tcp://spark-1:99999", "no engine's address"),
            ("tcp://127.0.0.1/path", "no engine's address"),
            ("tcp://127.0.0.1?x=1", "no engine's address"),
            ("unix://docker.sock", "no absolute path"),
            ("unix://", "no absolute path"),
            ("tcp://10.0.0.1:2375", "whoever reaches that port"),
            ("tcp://spark-1", "whoever reaches that port"),
            // Not this machine, whatever it begins with.
            ("tcp://localhost.example.org", "whoever reaches that port"),
        ] {
            let error = plain(url).unwrap_err();
            assert!(error.to_string().contains(words), "{url}: {error}");
            assert_eq!(error.kind(), Kind::Input);
        }
        let long = format!("unix:///{}", "x".repeat(107));
        assert!(plain(&long).unwrap_err().to_string().contains("107 bytes"));
        assert!(plain(&long[..long.len() - 1]).is_ok());
        assert!(EngineAddress::parse("unix:///a", Some(certificates()), PlainTcp::OnLoopback).is_err());
    }

    #[test]
    fn plain_tcp_elsewhere_must_be_said() {
        let address = EngineAddress::parse("tcp://spark-1:2375", None, PlainTcp::Anywhere).unwrap();
        assert_eq!(address, EngineAddress::Plain(Tcp { host: "spark-1".into(), port: 2375 }));
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in ["tcp://me:hush@spark-1", "tcp://hush@spark-1", "tcp:/hush@/", "hush@spark-1"] {
            let error = plain(url).unwrap_err();
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        assert!(plain("tcp://me:hush@spark-1").unwrap_err().to_string().contains("use keys"));
    }
}
