//! What of the node a container sees: devices, folders and files.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::BadContainerValue;
use crate::host::HostPath;

/// A device of the node in a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub struct Device {
    /// The device, or a folder of them, on the node.
    pub host: HostPath,
    /// Where it is in the container.
    pub container: HostPath,
    /// What the container may do with it: some of `r`ead, `w`rite, `m`ake.
    pub permissions: String,
}

impl Device {
    const ALL: &str = "rwm";
}

impl FromStr for Device {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, permissions) = match parts[..] {
            [host] => (host, host, Self::ALL),
            [host, container] if container.starts_with('/') => (host, container, Self::ALL),
            [host, permissions] => (host, host, permissions),
            [host, container, permissions] => (host, container, permissions),
            _ => ("", "", ""),
        };
        let allowed = !permissions.is_empty()
            && permissions.chars().all(|c| Self::ALL.contains(c) && permissions.matches(c).count() == 1);
        if !(is_absolute(host) && is_absolute(container) && allowed) {
            let accepted = "an absolute path, as in `/dev/infiniband`; another in the container and any of `rwm` \
                            may follow, each behind `:`";
            return Err(BadContainerValue::new(text, "device", accepted));
        }
        let (host, container) = (HostPath::new(host), HostPath::new(container));
        Ok(Self { host, container, permissions: permissions.to_owned() })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host.as_str())?;
        if self.container != self.host {
            write!(f, ":{}", self.container.as_str())?;
        }
        if self.permissions != Self::ALL {
            write!(f, ":{}", self.permissions)?;
        }
        Ok(())
    }
}

/// A path as somebody writes it who does not know the node's users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub enum NodePath {
    /// An absolute path.
    Absolute(HostPath),
    /// A path below the home of whoever logs in there, which each node knows for itself.
    Home(HostPath),
}

impl NodePath {
    /// Where it is on a node on which the user's home is `home`.
    pub fn on(&self, home: &HostPath) -> HostPath {
        match self {
            NodePath::Absolute(path) => path.clone(),
            NodePath::Home(rest) => home.join(rest.as_str()),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.strip_prefix("~/") {
            Some(rest) => is_absolute(&text[1..]).then(|| Self::Home(HostPath::new(rest))),
            None => is_absolute(text).then(|| Self::Absolute(HostPath::new(text))),
        }
    }
}

impl FromStr for NodePath {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        Self::read(text).ok_or_else(|| {
            BadContainerValue::new(text, "path of a node", "an absolute path, or one that begins with `~/`")
        })
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodePath::Absolute(path) => f.write_str(path.as_str()),
            NodePath::Home(rest) => write!(f, "~/{}", rest.as_str()),
        }
    }
}

/// A folder or file of the node in a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub struct Volume {
    /// Where it is on the node.
    pub source: NodePath,
    /// Where it is in the container.
    pub target: HostPath,
    /// Whether the container may only read it.
    pub read_only: bool,
}

impl FromStr for Volume {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        let bad = || {
            let accepted = "`SOURCE:TARGET` or `SOURCE:TARGET:ro`, SOURCE an absolute path or one that begins with \
                            `~/`, TARGET an absolute path";
            BadContainerValue::new(text, "volume", accepted)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => return Err(bad()),
        };
        let source = NodePath::read(source).ok_or_else(bad)?;
        match is_absolute(target) {
            true => Ok(Self { source, target: HostPath::new(target), read_only }),
            false => Err(bad()),
        }
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, target, read_only } = self;
        write!(f, "{source}:{}{}", target.as_str(), if *read_only { ":ro" } else { "" })
    }
}

/// From the root, without parts that lead elsewhere.
fn is_absolute(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && !path.contains('\0')
        && !path.split('/').any(|part| part == "..")
}
