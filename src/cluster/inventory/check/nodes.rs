//! The nodes, each for itself and beside the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::path::Path;

use super::Wrong;
use super::shared::{self, Keys};
use super::through;
use crate::cluster::inventory::document::{BareKeys, ContainerKeys, NodeKeys};
use crate::cluster::inventory::reach::EngineUrl;
use crate::cluster::inventory::settings::Settings;
use crate::cluster::inventory::{Address, EngineAt, Login, Node, NodeRole, NodeSettings, Reach, TlsFiles};
use crate::host::ssh::{BadSshDestination, SshDestination};
use crate::toml_text::Field;

/// The nodes of `keys` in a cluster with these settings, whose file lies in `folder`.
pub(super) fn nodes(keys: Vec<NodeKeys>, cluster: &Settings, folder: &Path) -> Result<Vec<Node>, Wrong> {
    let all = Field::top("nodes");
    let through: Vec<_> = keys.iter().map(|keys| keys.through.clone()).collect();
    let nodes = keys.into_iter().enumerate().map(|(at, keys)| node(&all.at(at), keys, cluster, folder));
    let mut nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
    if nodes.is_empty() {
        return Err(Wrong::new(all, "there is none: expected at least one table `[[nodes]]`"));
    }
    through::resolve(&all, &mut nodes, &through)?;
    check_unlike(&all, &nodes)?;
    check_heads(&all, &nodes)?;
    if nodes.len() > 1 {
        check_no_loopback(&all, &nodes)?;
    }
    Ok(nodes)
}

fn node(field: &Field, keys: NodeKeys, cluster: &Settings, folder: &Path) -> Result<Node, Wrong> {
    let NodeKeys {
        name,
        role,
        address,
        fabric,
        local,
        ssh,
        ssh_port,
        // Of all nodes at once, by `through::resolve`.
        through: _,
        engine_url,
        tls,
        engine,
        image,
        expect_gpu,
        container,
        bare,
        env,
        env_from,
    } = keys;
    let settings = shared::settings(
        &|key| field.key(key),
        Keys { engine, image, expect_gpu, container, bare, env, env_from },
    )?;
    let merged = NodeSettings::merged(cluster, &settings);
    check_use(field, &settings, &merged)?;
    let fabric = fabric.iter().enumerate().map(|(at, address)| match address {
        Address::Ip(ip) => Ok(*ip),
        Address::Name(name) => {
            let message =
                format!("`{name}` is no IP address, which the fabric's must be: its devices are found by it");
            Err(Wrong::new(field.key("fabric").at(at), message))
        }
    });
    let fabric: Vec<IpAddr> = fabric.collect::<Result<_, _>>()?;
    let own = address.iter().map(|address| (field.key("address"), address.clone()));
    let of_fabric = fabric.iter().enumerate().map(|(at, ip)| (field.key("fabric").at(at), Address::Ip(*ip)));
    if let Some((field, address)) = own.chain(of_fabric).find(|(_, address)| address.is_link_local_v6()) {
        let message = format!(
            "`{address}` is link-local, which means nothing to another node: expected an IPv4 address, or one of IPv6 \
             that is global or unique local (`fd00::1`)"
        );
        return Err(Wrong::new(field, message));
    }
    let connection = Connection { local, ssh, ssh_port, engine_url, tls };
    let has_engine = merged.engine().is_some();
    let reach = connection.reach(field, has_engine, folder)?;
    Ok(Node { name, role: role.unwrap_or(NodeRole::Worker), address, fabric, reach, settings: merged })
}

/// Whether everything the node itself sets has a reader, and every reader what it needs.
fn check_use(field: &Field, own: &Settings, merged: &NodeSettings) -> Result<(), Wrong> {
    let unread = match merged.engine() {
        None => [("image", own.image.is_some()), ("container", own.container != ContainerKeys::default())]
            .into_iter()
            .find(|(_, set)| *set)
            .map(|(key, _)| (key, "the engine of this node is `none`, so that it has no container")),
        Some(_) => (own.bare != BareKeys::default()).then_some((
            "bare",
            "the programs of this node run in containers; expected engine = \"none\" with it",
        )),
    };
    if let Some((key, why)) = unread {
        return Err(Wrong::new(field.key(key), format!("nothing reads it: {why}")));
    }
    match (merged.engine(), merged.image()) {
        (Some(_), None) => {
            let message = "there is no image for it: expected one here or for the cluster, or engine = \"none\" where \
                           programs run in no container";
            Err(Wrong::new(field.key("image"), message))
        }
        _ => Ok(()),
    }
}

/// The keys that say how a node is reached.
struct Connection {
    local: bool,
    ssh: Option<String>,
    ssh_port: Option<u16>,
    engine_url: Option<String>,
    tls: Option<TlsFiles>,
}

impl Connection {
    fn reach(self, field: &Field, has_engine: bool, folder: &Path) -> Result<Reach, Wrong> {
        let Self { local, ssh, ssh_port, engine_url, tls } = self;
        let bad = |key: &str, why: String| Wrong::new(field.key(key), why);
        let login = match (local, ssh) {
            (true, Some(_)) => {
                let message = "`local` says that it is this machine: expected one of the two";
                return Err(Wrong::new(field.key("ssh"), message));
            }
            (true, None) => Some(Login::Local),
            (false, Some(text)) => {
                let destination: SshDestination =
                    text.parse().map_err(|why: BadSshDestination| bad("ssh", why.to_string()))?;
                Some(Login::Ssh(destination.into()))
            }
            (false, None) => None,
        };
        let login = with_port(field, login, ssh_port)?;
        let url = engine_url.as_deref().map(EngineUrl::parse).transpose();
        let url = url.map_err(|why| bad("engine_url", why.to_string()))?;
        if url.is_some() && !has_engine {
            let message = "nothing reads it: the engine of this node is `none`";
            return Err(Wrong::new(field.key("engine_url"), message));
        }
        if tls.is_some() && !matches!(url, Some(EngineUrl::Tcp(..))) {
            let message = "nothing reads it: expected it with an engine_url of `tcp://` alone";
            return Err(Wrong::new(field.key("tls"), message));
        }
        let (login, engine) = match url {
            None => (login, EngineAt::Usual),
            // A socket of this machine, unless the node is another.
            Some(EngineUrl::Unix(socket)) => (login.or(Some(Login::Local)), EngineAt::Socket(socket)),
            Some(EngineUrl::Ssh(..)) if login.is_some() => {
                let message = "it logs in, and `ssh` or `local` does too: expected one of them (with `ssh` or `local`, \
                               `unix:///PATH` is a socket on the node)";
                return Err(Wrong::new(field.key("engine_url"), message));
            }
            Some(EngineUrl::Ssh(destination, socket)) => {
                (Some(Login::Ssh(destination.into())), socket.map_or(EngineAt::Usual, EngineAt::Socket))
            }
            Some(EngineUrl::Tcp(host, port)) => {
                let Some(tls) = tls else {
                    let message = "without TLS everybody who reaches the port is root there: expected \
                                   tls = { ca = \"FILE\", cert = \"FILE\", key = \"FILE\" } with it";
                    return Err(Wrong::new(field.key("engine_url"), message));
                };
                (login, EngineAt::Tcp { host, port, tls: in_folder(field, tls, folder)? })
            }
        };
        if login.is_none() && engine == EngineAt::Usual {
            let message =
                "there is no way to reach it: expected ssh = \"HOST\", local = true or an engine_url";
            return Err(Wrong::new(field.clone(), message));
        }
        Ok(Reach { login, engine })
    }
}

fn with_port(field: &Field, login: Option<Login>, port: Option<u16>) -> Result<Option<Login>, Wrong> {
    let Some(port) = port else { return Ok(login) };
    let wrong = |message| Err(Wrong::new(field.key("ssh_port"), message));
    match login {
        _ if port == 0 => wrong("0 is no port: expected a whole number from 1 to 65535"),
        Some(Login::Ssh(route)) if route.to.port().is_none() => {
            Ok(Some(Login::Ssh(route.to.at_port(port).into())))
        }
        Some(Login::Ssh(_)) => wrong("`ssh` has a port already: expected one of the two"),
        _ => wrong("nothing reads it: expected it with `ssh`"),
    }
}

/// The files as this program opens them.
fn in_folder(field: &Field, tls: TlsFiles, folder: &Path) -> Result<TlsFiles, Wrong> {
    let TlsFiles { ca, cert, key } = tls;
    for (name, path) in [("ca", &ca), ("cert", &cert), ("key", &key)] {
        let text = path.as_os_str().as_encoded_bytes();
        if text.is_empty() || text.starts_with(b"~") || text.contains(&0) {
            let message = "it is no file of this machine: expected an absolute path, or one below the inventory's \
                           folder";
            return Err(Wrong::new(field.key("tls").key(name), message));
        }
    }
    Ok(TlsFiles { ca: folder.join(ca), cert: folder.join(cert), key: folder.join(key) })
}

fn check_heads(all: &Field, nodes: &[Node]) -> Result<(), Wrong> {
    let mut heads = nodes.iter().enumerate().filter(|(_, node)| node.role == NodeRole::Head);
    match (heads.next(), heads.next()) {
        (None, _) => {
            let message = "no node is the head: expected role = \"head\" on exactly one";
            Err(Wrong::new(all.clone(), message))
        }
        (Some((_, first)), Some((at, _))) => {
            let message = format!("`{}` is the head already: expected exactly one", first.name);
            Err(Wrong::new(all.at(at).key("role"), message))
        }
        (Some(_), None) => Ok(()),
    }
}

/// Whether names, addresses and ways to get there are each node's own.
fn check_unlike(all: &Field, nodes: &[Node]) -> Result<(), Wrong> {
    let (mut names, mut addresses, mut ways) = (HashMap::new(), HashMap::new(), HashMap::new());
    for (at, node) in nodes.iter().enumerate() {
        let field = all.at(at);
        let name = node.name.as_str().to_ascii_lowercase();
        if let Some(other) = taken(&mut names, name, at) {
            let message = format!("nodes[{other}] is called `{}` too: expected a name of its own", node.name);
            return Err(Wrong::new(field.key("name"), message));
        }
        for (field, address) in addresses_of(&field, node) {
            if let Some(other) = taken(&mut addresses, address.clone(), at) {
                let message = format!(
                    "`{address}` is an address of `{}` too: expected one of its own",
                    nodes[other].name
                );
                return Err(Wrong::new(field, message));
            }
        }
        for (index, ip) in node.fabric.iter().enumerate() {
            if node.fabric[..index].contains(ip) {
                let message = format!("`{ip}` stands there twice");
                return Err(Wrong::new(field.key("fabric").at(index), message));
            }
        }
        if let Some(other) = taken(&mut ways, &node.reach, at) {
            let message = format!(
                "it is reached as `{}` is: expected another machine, or another engine",
                nodes[other].name
            );
            return Err(Wrong::new(field, message));
        }
    }
    Ok(())
}

/// Every address of a node, with where it stands.
fn addresses_of(field: &Field, node: &Node) -> Vec<(Field, Address)> {
    let own = node.address.iter().cloned().map(|address| (field.key("address"), address));
    let fabric = node.fabric.iter().enumerate();
    own.chain(fabric.map(|(at, ip)| (field.key("fabric").at(at), Address::Ip(*ip)))).collect()
}

/// Whose `value` is already; else it is the node's `at`.
fn taken<T: Hash + Eq>(by: &mut HashMap<T, usize>, value: T, at: usize) -> Option<usize> {
    let owner = *by.entry(value).or_insert(at);
    (owner != at).then_some(owner)
}

/// An address that means another machine to everybody who hears it cannot be told to the others.
fn check_no_loopback(all: &Field, nodes: &[Node]) -> Result<(), Wrong> {
    for (at, node) in nodes.iter().enumerate() {
        let loopback = addresses_of(&all.at(at), node).into_iter().find(|(_, address)| address.is_loopback());
        if let Some((field, address)) = loopback {
            let message = format!(
                "to the other nodes `{address}` is themselves: expected the address they reach it at"
            );
            return Err(Wrong::new(field, message));
        }
    }
    Ok(())
}
