//! Nodes by their names.

use super::{Inventory, Node};
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;

/// A name that no node of the inventory has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--node: the inventory has no node `{name}`; it has {}", .known.join(", "))]
pub struct NoSuchNode {
    name: HostName,
    known: Vec<String>,
}

impl Failure for NoSuchNode {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Inventory {
    /// The nodes of these names, in the file's order; all of them where none is named.
    pub fn named(&self, names: &[HostName]) -> Result<Vec<Node>, NoSuchNode> {
        let is_known = |name: &HostName| self.nodes.iter().any(|node| node.name == *name);
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            let known = self.nodes.iter().map(|node| node.name.to_string()).collect();
            return Err(NoSuchNode { name: name.clone(), known });
        }
        let wanted = |node: &&Node| names.is_empty() || names.contains(&node.name);
        Ok(self.nodes.iter().filter(wanted).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_nodes_come_in_the_files_order_and_an_unknown_one_is_told_of() {
        let text = "name = \"lab\"\nengine = \"none\"\n[[nodes]]\nname = \"a\"\nrole = \"head\"\nlocal = true\n\
                    [[nodes]]\nname = \"b\"\nssh = \"b\"\n";
        let inventory = Inventory::parse("lab.toml".as_ref(), text).unwrap();
        let named = |names: &[&str]| {
            let names: Vec<HostName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let nodes = inventory.named(&names)?;
            Ok::<_, NoSuchNode>(nodes.iter().map(|node| node.name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(named(&[]).unwrap(), ["a", "b"]);
        assert_eq!(named(&["b", "a", "b"]).unwrap(), ["a", "b"]);
        let error = named(&["a", "c"]).unwrap_err();
        assert_eq!(error.to_string(), "--node: the inventory has no node `c`; it has a, b");
        assert_eq!(error.kind(), Kind::Input);
    }
}
