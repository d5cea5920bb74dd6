//! What a user gives in the place of what would be derived.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::environment::NAMES;
use crate::cluster::inventory::{Address, Node};
use crate::failure::{Failure, Kind};
use crate::host::container_spec::ContainerVariable;
use crate::host_name::HostName;

/// A node's addresses and variables as the user wants them. What is given always wins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// Where the node is reached for orders.
    pub(super) control: Option<IpAddr>,
    /// Where its runtime meets the others'.
    pub(super) data: Option<IpAddr>,
    variables: BTreeMap<String, String>,
}

/// Something given that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadGiven {
    /// A node would be told to meet itself.
    #[error(
        "{plane} address of {node}: {address} is loopback, where every node meets itself; give one of {}",
        listed(.addresses)
    )]
    Loopback {
        /// Which address.
        plane: &'static str,
        /// Of which node.
        node: HostName,
        /// It.
        address: IpAddr,
        /// What the node has.
        addresses: Vec<IpAddr>,
    },
    /// An address that means nothing without the name of an interface.
    #[error(
        "{plane} address of {node}: {address} is link-local, which means nothing to another node; give one of {}",
        listed(.addresses)
    )]
    LinkLocal {
        /// Which address.
        plane: &'static str,
        /// Of which node.
        node: HostName,
        /// It.
        address: IpAddr,
        /// What the node has.
        addresses: Vec<IpAddr>,
    },
    /// An address that the node does not have.
    #[error("{plane} address of {node}: it has no {address}; give one of {}", listed(.addresses))]
    NotThere {
        /// Which address.
        plane: &'static str,
        /// Of which node.
        node: HostName,
        /// It.
        address: IpAddr,
        /// What the node has.
        addresses: Vec<IpAddr>,
    },
    /// A value that would end its line.
    #[error("the value of {0} holds a control character")]
    BadValue(String),
    /// A variable that is not derived here.
    #[error("`{0}` is no variable that is derived; these are: {known}", known = NAMES.join(", "))]
    UnknownVariable(String),
}

impl Failure for BadGiven {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Given {
    /// Addresses where they are not `None`, and no variable.
    pub(crate) fn addresses(control: Option<IpAddr>, data: Option<IpAddr>) -> Self {
        Self { control, data, variables: BTreeMap::new() }
    }

    /// What the inventory says of a node.
    ///
    /// # Errors
    /// A variable that no line can hold.
    pub(crate) fn of_inventory(node: &Node) -> Result<Self, BadGiven> {
        let control = match node.address {
            Some(Address::Ip(address)) => Some(address),
            Some(Address::Name(_)) | None => None,
        };
        let mut given = Self::addresses(control, Self::data_of(node.fabric.iter().copied()));
        for (name, value) in node.settings.environment() {
            if let ContainerVariable::Set(value) = value {
                match given.set(name, value) {
                    // Others than those that are derived are nobody's business here.
                    Ok(()) | Err(BadGiven::UnknownVariable(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(given)
    }

    /// The same with other addresses where they are not `None`.
    #[must_use]
    pub(crate) fn over(mut self, control: Option<IpAddr>, data: Option<IpAddr>) -> Self {
        self.control = control.or(self.control);
        self.data = data.or(self.data);
        self
    }

    /// Which of a node's addresses for data counts, of several that it may have: the first of IPv4, else the first.
    pub(crate) fn data_of(mut several: impl Iterator<Item = IpAddr> + Clone) -> Option<IpAddr> {
        several.clone().find(IpAddr::is_ipv4).or_else(|| several.next())
    }

    /// Give the variable `name`, which is one of those that are derived: a mistyped one would do nothing unseen.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BadGiven> {
        if !NAMES.contains(&name) {
            return Err(BadGiven::UnknownVariable(name.to_owned()));
        }
        if value.chars().any(char::is_control) {
            return Err(BadGiven::BadValue(name.to_owned()));
        }
        self.variables.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The variable `name`, if it is given.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "its addresses, of which it has none yet".to_owned(),
        all => all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
    }
}
