//! The way to every node of an inventory, opened once a command and shared by everything it does there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;

use super::inventory::{EngineAt, Inventory, Login, Node};
use crate::failure::{Failure, Kind};
use crate::host::container_spec::NodePath;
use crate::host::engine::{BadEngineAddress, Certificates, Engine, EngineAddress, EngineError, Tcp};
use crate::host::ssh::{Forward, SshConnection, SshConnections, SshSettings};
use crate::host::{ContainerSpec, EngineKind, Here, Host, HostError, HostFailure, HostPath, Program};
use crate::host_name::HostName;

/// How long a node may take to say one word, and how long that may be, bytes.
const WORD_LIMIT: Duration = Duration::from_secs(20);
const WORD_BYTES: u64 = 4 << 10;

/// A node within reach.
#[derive(Debug)]
pub struct Connected {
    /// What the inventory says of it.
    pub node: Node,
    /// Where programs run on it; none where only its engine is reached.
    host: Option<Arc<dyn Host>>,
    /// The connection behind the host; none on this machine.
    connection: Option<Arc<SshConnection>>,
    engine: OnceCell<ReachedEngine>,
}

/// An engine, and what brings it within reach.
#[derive(Debug)]
struct ReachedEngine {
    engine: Engine,
    _forward: Option<Forward<PathBuf>>,
}

/// A node out of reach, or its engine.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The node.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Its engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What the inventory says of its engine cannot be spoken to.
    #[error("{on}: {error}")]
    EngineAddress {
        /// The node.
        on: HostName,
        /// Why not.
        error: BadEngineAddress,
    },
    /// The config that ssh is to read is not there.
    #[error("{on}: field `ssh_config` of its inventory: `{path}` is no file", path = path.display())]
    NoSshConfig {
        /// The node.
        on: HostName,
        /// The file.
        path: PathBuf,
    },
    /// There is only its engine.
    #[error("{on}: its inventory names an engine and no login, and this needs one: add `ssh = \"...\"`")]
    NoLogin {
        /// The node.
        on: HostName,
    },
    /// Its programs run in no container.
    #[error("{on}: `engine = \"none\"`, and this needs an engine")]
    NoEngine {
        /// The node.
        on: HostName,
    },
}

impl ConnectError {
    /// Why not, where the node is named beside it.
    pub(crate) fn problem(&self) -> String {
        match self {
            ConnectError::Host(error) => error.what.to_string(),
            ConnectError::Engine(error) => error.what.to_string(),
            ConnectError::EngineAddress { error, .. } => error.to_string(),
            ConnectError::NoSshConfig { path, .. } => {
                format!("field `ssh_config` of its inventory: `{}` is no file", path.display())
            }
            ConnectError::NoLogin { .. } => "its inventory names no login".to_owned(),
            ConnectError::NoEngine { .. } => "it has no engine".to_owned(),
        }
    }
}

impl Failure for ConnectError {
    fn kind(&self) -> Kind {
        match self {
            ConnectError::Host(error) => error.kind(),
            ConnectError::Engine(error) => error.kind(),
            ConnectError::EngineAddress { .. }
            | ConnectError::NoSshConfig { .. }
            | ConnectError::NoLogin { .. }
            | ConnectError::NoEngine { .. } => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ConnectError::Host(error) => error.hint(),
            ConnectError::Engine(error) => error.hint(),
            _ => None,
        }
    }
}

/// The connections to nodes of `inventory`, which are opened as nodes are connected to.
pub fn ssh(inventory: &Inventory) -> SshConnections {
    let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
    let config = inventory.ssh_config.as_deref().map(|path| at_home(path, home.as_deref()));
    SshConnections::new(SshSettings { config, ..SshSettings::default() })
}

/// Connect to all `nodes` at once; one outcome a node, in their order. A node that does not answer keeps the others
/// waiting for no longer than the limits of `ssh`, which is [`ssh()`] of their inventory.
pub async fn connect_all(nodes: &[Node], ssh: &SshConnections) -> Vec<Result<Connected, ConnectError>> {
    join_all(nodes.iter().map(|node| connect(node, ssh))).await
}

/// `~/` is the shell's, and ssh takes it for a folder of that name.
fn at_home(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Connect to one node.
pub(crate) async fn connect(node: &Node, ssh: &SshConnections) -> Result<Connected, ConnectError> {
    let (host, connection): (Option<Arc<dyn Host>>, _) = match &node.reach.login {
        None => (None, None),
        Some(Login::Local) => (Some(Arc::new(Here::named(node.name.clone()))), None),
        Some(Login::Ssh(route)) => {
            // ssh would say it too, as one of many things that keep it from connecting.
            if let Some(path) = ssh.settings().config.as_ref().filter(|path| !path.is_file()) {
                return Err(ConnectError::NoSshConfig { on: node.name.clone(), path: path.clone() });
            }
            let connection = ssh.open(&node.name, route).await?;
            (Some(connection.host()), Some(connection))
        }
    };
    Ok(Connected { node: node.clone(), host, connection, engine: OnceCell::new() })
}

impl Connected {
    /// Its name.
    pub fn name(&self) -> &HostName {
        &self.node.name
    }

    /// The node itself as a host.
    pub fn host(&self) -> Result<&Arc<dyn Host>, ConnectError> {
        self.host.as_ref().ok_or_else(|| ConnectError::NoLogin { on: self.name().clone() })
    }

    /// Its engine, connected to at the first call.
    pub async fn engine(&self) -> Result<&Engine, ConnectError> {
        let kind = self.node.settings.engine();
        let kind = kind.ok_or_else(|| ConnectError::NoEngine { on: self.name().clone() })?;
        let reached = self.engine.get_or_try_init(|| self.reach_engine(kind)).await?;
        Ok(&reached.engine)
    }

    async fn reach_engine(&self, kind: EngineKind) -> Result<ReachedEngine, ConnectError> {
        let bad = |error| ConnectError::EngineAddress { on: self.name().clone(), error };
        let socket = match &self.node.reach.engine {
            EngineAt::Usual => self.usual_socket(kind).await?,
            EngineAt::Socket(path) => path.clone(),
            EngineAt::Tcp { host, port, tls } => {
                let at = Tcp { host: host.to_string(), port: *port };
                let certificates =
                    Certificates { ca: tls.ca.clone(), cert: tls.cert.clone(), key: tls.key.clone() };
                let address = EngineAddress::Tls { at, certificates };
                let engine = Engine::connect(address, self.name().clone()).await?;
                return Ok(ReachedEngine { engine, _forward: None });
            }
        };
        let forward = match &self.connection {
            Some(connection) => Some(connection.forward(&socket).await?),
            None => None,
        };
        let local = forward.as_ref().map_or(Path::new(socket.as_str()), |forward| forward.local());
        let address = EngineAddress::unix(local).map_err(bad)?;
        let engine = Engine::connect(address, self.name().clone()).await?;
        Ok(ReachedEngine { engine, _forward: forward })
    }

    /// The socket of its engine as the node itself sees it; none where it is reached by TCP.
    pub(crate) async fn engine_socket(&self) -> Result<Option<HostPath>, ConnectError> {
        let kind = self.node.settings.engine();
        let kind = kind.ok_or_else(|| ConnectError::NoEngine { on: self.name().clone() })?;
        Ok(match &self.node.reach.engine {
            EngineAt::Usual => Some(self.usual_socket(kind).await?),
            EngineAt::Socket(path) => Some(path.clone()),
            EngineAt::Tcp { .. } => None,
        })
    }

    /// Where an engine of this kind listens unless told otherwise. Podman has a socket a user, by systemd's folders.
    async fn usual_socket(&self, kind: EngineKind) -> Result<HostPath, ConnectError> {
        if kind == EngineKind::Docker {
            return Ok(HostPath::new("/var/run/docker.sock"));
        }
        Ok(HostPath::new(match self.word(&Program::new("id", ["-u"])).await?.as_str() {
            "0" => "/run/podman/podman.sock".to_owned(),
            user => format!("/run/user/{user}/podman/podman.sock"),
        }))
    }

    /// The home that volumes of `spec` lie below; none is asked for where none does.
    pub(crate) async fn home_for(&self, spec: &ContainerSpec) -> Result<HostPath, ConnectError> {
        let below_home = spec.volumes.iter().any(|volume| matches!(volume.source, NodePath::Home(_)));
        if below_home { self.home().await } else { Ok(HostPath::new("/")) }
    }

    /// The node's own interpreter: of the virtual environment that the inventory names, or the first `python3`.
    pub(crate) async fn own_python(&self) -> Result<HostPath, ConnectError> {
        Ok(match self.node.settings.virtualenv() {
            None => HostPath::new("python3"),
            Some(NodePath::Absolute(dir)) => dir.join("bin/python"),
            Some(dir @ NodePath::Home(_)) => dir.on(&self.home().await?).join("bin/python"),
        })
    }

    /// The home of whoever logs in there.
    pub async fn home(&self) -> Result<HostPath, ConnectError> {
        Ok(HostPath::new(self.word(&Program::new("sh", ["-c", "echo \"$HOME\""])).await?))
    }

    /// The one line that `program` says there.
    async fn word(&self, program: &Program) -> Result<String, ConnectError> {
        let program = Program { limit: Some(WORD_LIMIT), ..program.clone() };
        let mut process = self.host()?.start(&program).await?;
        let mut word = String::new();
        let read = (&mut process.output).take(WORD_BYTES).read_to_string(&mut word).await;
        match read {
            Ok(_) => Ok(word.trim_end().to_owned()),
            Err(error) => {
                let what = HostFailure::Unreachable { why: error.to_string() };
                Err(HostError { on: self.name().clone(), what }.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_where_a_tilde_stands() {
        let home = Some(Path::new("/home/me"));
        assert_eq!(at_home(Path::new("~/lab/ssh"), home), Path::new("/home/me/lab/ssh"));
        assert_eq!(at_home(Path::new("/etc/ssh/ssh_config"), home), Path::new("/etc/ssh/ssh_config"));
        assert_eq!(at_home(Path::new("lab/~/ssh"), home), Path::new("lab/~/ssh"));
        assert_eq!(at_home(Path::new("~/ssh"), None), Path::new("~/ssh"));
    }

    #[tokio::test]
    async fn a_config_of_ssh_that_is_not_there_is_named_as_the_inventorys() {
        let text = "name = \"lab\"\nengine = \"none\"\nssh_config = \"none/there\"\n\
                    [[nodes]]\nname = \"a\"\nrole = \"head\"\nssh = \"a\"\n";
        let inventory = Inventory::parse(Path::new("/lab/sparks.toml"), text).unwrap();
        let error = connect_all(&inventory.nodes, &ssh(&inventory)).await.remove(0).unwrap_err();
        assert_eq!(error.to_string(), "a: field `ssh_config` of its inventory: `/lab/none/there` is no file");
        assert_eq!(error.kind(), Kind::Input);
    }
}
