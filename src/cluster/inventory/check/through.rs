//! Nodes that are reached through other nodes of the same inventory.

use super::Wrong;
use crate::cluster::inventory::{EngineAt, Login, Node};
use crate::host::ssh::SshHop;
use crate::host_name::HostName;
use crate::spelling::nearest;
use crate::toml_text::Field;

/// Give each of `nodes` the way that its key `through`, at the same place of `through`, says.
pub(super) fn resolve(all: &Field, nodes: &mut [Node], through: &[Option<HostName>]) -> Result<(), Wrong> {
    let mut next = Vec::new();
    for (at, name) in through.iter().enumerate() {
        let hop = name.as_ref().map(|name| {
            hop(nodes, at, name).map_err(|message| Wrong::new(all.at(at).key("through"), message))
        });
        next.push(hop.transpose()?);
    }
    for at in 0..nodes.len() {
        let around = |message| Wrong::new(all.at(at).key("through"), message);
        let way = way(nodes, &next, at).map_err(around)?;
        if let Some(Login::Ssh(route)) = &mut nodes[at].reach.login {
            route.through = way;
        }
    }
    Ok(())
}

/// Which node is meant by `name`, through which the node `at` is to be reached.
fn hop(nodes: &[Node], at: usize, name: &HostName) -> Result<usize, String> {
    if !matches!(nodes[at].reach.login, Some(Login::Ssh(_))) {
        return Err("nothing reads it: expected it with `ssh`".to_owned());
    }
    if matches!(nodes[at].reach.engine, EngineAt::Tcp { .. }) {
        let message = "an engine of `tcp://` is connected to from this machine: expected its socket on the node, \
                       `unix:///PATH`, with it";
        return Err(message.to_owned());
    }
    let can =
        |(other, node): &(usize, &Node)| *other != at && matches!(node.reach.login, Some(Login::Ssh(_)));
    let expected = || {
        let names: Vec<&str> =
            nodes.iter().enumerate().filter(can).map(|(_, node)| node.name.as_str()).collect();
        match names.is_empty() {
            true => "expected another node with `ssh`, and there is none".to_owned(),
            false => format!("expected another node with `ssh`: `{}`", names.join("`, `")),
        }
    };
    let Some(hop) = nodes.iter().position(|node| node.name == *name) else {
        let meant = nearest(name.as_str(), nodes.iter().map(|node| node.name.as_str()));
        let meant = meant.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        return Err(format!("no node is called `{name}`{meant}: {}", expected()));
    };
    match nodes[hop].reach.login {
        _ if hop == at => Err(format!("`{name}` is the node itself: {}", expected())),
        Some(Login::Ssh(_)) => Ok(hop),
        Some(Login::Local) => {
            Err(format!("`{name}` is this machine, which ssh starts from without it: {}", expected()))
        }
        None => Err(format!("`{name}` has an engine and no login: {}", expected())),
    }
}

/// The way to the node `at`, where each goes through the one that `next` says.
fn way(nodes: &[Node], next: &[Option<usize>], at: usize) -> Result<Vec<SshHop>, String> {
    let (mut seen, mut hops) = (vec![at], Vec::new());
    let mut here = at;
    while let Some(hop) = next[here] {
        let names = |around: &[usize]| {
            around.iter().map(|at| nodes[*at].name.as_str()).collect::<Vec<_>>().join("` through `")
        };
        if let Some(begin) = seen.iter().position(|it| *it == hop) {
            let around = [&seen[begin..], &[hop]].concat();
            return Err(format!(
                "the way goes round and round (`{}`): expected one that begins at this machine",
                names(&around)
            ));
        }
        if let Some(Login::Ssh(route)) = &nodes[hop].reach.login {
            hops.push(SshHop { node: nodes[hop].name.clone(), at: route.to.clone() });
        }
        seen.push(hop);
        here = hop;
    }
    hops.reverse();
    Ok(hops)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::cluster::inventory::{Inventory, InventoryError, Login};
    use crate::failure::{Failure, Kind};

    /// Four nodes, the last three with these lines besides.
    fn of(lines: [&str; 3]) -> Result<Inventory, InventoryError> {
        let mut text = "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"a\"\nrole = \"head\"\n\
                        ssh = \"me@a\"\n"
            .to_owned();
        for (name, lines) in ["b", "c", "d"].iter().zip(lines) {
            text += &format!("[[nodes]]\nname = \"{name}\"\n{lines}\n");
        }
        Inventory::parse(Path::new("lab/sparks.toml"), &text)
    }

    fn way(inventory: &Inventory, at: usize) -> String {
        match &inventory.nodes[at].reach.login {
            Some(Login::Ssh(route)) => route.to_string(),
            login => panic!("{login:?}"),
        }
    }

    #[test]
    fn a_way_goes_through_as_many_nodes_as_it_is_told() {
        let through = |to: &str, hop: &str| format!("ssh = \"{to}\"\nthrough = \"{hop}\"");
        let (b, c) = (through("169.254.1.2", "c"), through("me@169.254.2.3", "a"));
        let lab = of([&b, &c, "ssh = \"d\""]).unwrap();
        assert_eq!(way(&lab, 0), "me@a");
        assert_eq!(way(&lab, 1), "169.254.1.2 through a and c");
        assert_eq!(way(&lab, 2), "me@169.254.2.3 through a");
        assert_eq!(way(&lab, 3), "d");
        // The same address behind two nodes is two machines; a port of its own and an engine's URL go with it.
        let (b, c) = (through("169.254.1.2", "a"), through("169.254.1.2", "d"));
        let port = format!("{b}\nssh_port = 2222");
        let lab = of([&port, &c, "ssh = \"d\""]).unwrap();
        assert_eq!(way(&lab, 1), "ssh://169.254.1.2:2222 through a");
        assert_eq!(way(&lab, 2), "169.254.1.2 through d");
        let url = "engine_url = \"ssh://me@b/run/podman/podman.sock\"\nthrough = \"a\"";
        assert_eq!(way(&of([url, "ssh = \"c\"", "ssh = \"d\""]).unwrap(), 1), "me@b through a");
    }

    #[test]
    fn who_leads_nowhere_is_refused_with_its_line() {
        let tls = "tls = { ca = \"a\", cert = \"b\", key = \"c\" }";
        let refused = |lines: [&str; 3], words: &[&str]| {
            let error = of(lines).expect_err(lines[0]);
            assert_eq!(error.kind(), Kind::Input);
            let message = error.to_string();
            for word in ["lab/sparks.toml", "through`, line "].iter().chain(words) {
                assert!(message.contains(word), "`{word}` is not in: {message}");
            }
        };
        let (c, d) = ("ssh = \"c\"", "local = true");
        let b = |hop: &str| format!("ssh = \"b\"\nthrough = \"{hop}\"");
        refused([&b("e"), c, d], &["nodes[1].through`, line 10", "no node is called `e`", "`a`, `c`"]);
        refused([&b("aa"), c, d], &["did you mean `a`?"]);
        refused([&b("b"), c, d], &["`b` is the node itself", "`a`, `c`"]);
        refused([&b("d"), c, d], &["`d` is this machine", "`a`, `c`"]);
        refused(["local = true\nthrough = \"a\"", c, "ssh = \"d\""], &["nothing reads it", "with `ssh`"]);
        let tcp = format!("engine_url = \"tcp://b\"\n{tls}");
        refused([&format!("{tcp}\nthrough = \"a\""), c, d], &["nothing reads it", "with `ssh`"]);
        refused([&format!("{tcp}\n{}", b("a")), c, d], &["`tcp://`", "`unix:///PATH`"]);
        refused([&tcp, "ssh = \"c\"\nthrough = \"b\"", d], &["`b` has an engine and no login", "`a`"]);
        let (round, back) = (b("c"), "ssh = \"c\"\nthrough = \"b\"");
        refused([&round, back, d], &["nodes[1]", "round and round (`b` through `c` through `b`)"]);
        let aside = "ssh = \"d\"\nthrough = \"c\"";
        refused([&round, back, aside], &["round and round"]);
        let error = of([&b("-x"), c, d]).unwrap_err().to_string();
        assert!(error.contains("line 10"), "{error}");
        let error = of(["ssh = \"b\"\nthrough = 1", c, d]).unwrap_err().to_string();
        assert!(error.contains("line 10"), "{error}");
    }
}
