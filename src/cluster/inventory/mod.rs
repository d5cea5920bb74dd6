//! The machines of a cluster, and what it knows of each before it has spoken to any: `sparks.toml`.
//!
//! Text goes in, an [`Inventory`] or an error that names file, field, line, value and what is accepted comes out.
//! `docs/clusters.md` has every key.

mod address;
mod check;
mod document;
mod draft;
mod error;
mod file;
mod named;
mod reach;
mod secrets;
mod settings;

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use address::{Address, BadAddress};
pub use document::EngineChoice;
pub use draft::{Draft, DraftNode};
pub use error::InventoryError;
pub use file::{FILE_NAME, Found, find};
pub use named::NoSuchNode;
pub use reach::{BadReach, EngineAt, Login, Reach, TlsFiles};
pub use settings::NodeSettings;

use crate::host_name::HostName;

/// The machines that work together. At least one, exactly one of them the head, no two alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// What labels and messages call it.
    pub name: String,
    /// The config that ssh reads; the user's own where not given. It may begin with `~/`.
    pub ssh_config: Option<PathBuf>,
    /// As the file has them.
    pub nodes: Vec<Node>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What messages, journals and logs call it.
    pub name: HostName,
    /// What it is to the others.
    pub role: NodeRole,
    /// Where others reach it for what is no data: logins, control. Where not given, the node is asked.
    pub address: Option<Address>,
    /// Its addresses on the network that the GPUs' data goes over, which may be the same. Where none is given, the
    /// node is asked.
    pub fabric: Vec<IpAddr>,
    /// How it is reached.
    pub reach: Reach,
    /// What its programs run in.
    pub settings: NodeSettings,
}

/// What a node is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Rank 0: the others meet at its address, and clients ask it.
    Head,
    /// Any other rank.
    Worker,
}

impl Inventory {
    /// This machine alone, its programs in no container.
    pub fn this_machine() -> Self {
        Self::this_machine_with(EngineChoice::None)
    }

    /// This machine alone, its programs in containers of the engine that is chosen.
    pub fn this_machine_with(engine: EngineChoice) -> Self {
        let bare = settings::Settings { engine: Some(engine), ..Default::default() };
        let node = Node {
            name: HostName::local(),
            role: NodeRole::Head,
            address: None,
            fabric: Vec::new(),
            reach: Reach { login: Some(Login::Local), engine: EngineAt::Usual },
            settings: NodeSettings::merged(&bare, &settings::Settings::default()),
        };
        Self { name: HostName::local().as_str().to_owned(), ssh_config: None, nodes: vec![node] }
    }
}

#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod tests;
