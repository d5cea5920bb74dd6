//! An sshd of a test's own: its config, its keys, its port on the loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{SshConnection, SshDestination, SshSettings};
use crate::host::{Host, HostError, HostPath, suite};

/// Ends with the test, and with it all connections.
pub(super) struct Sshd {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Sshd {
    /// With these lines before those every test shares: of two that say the same, sshd takes the first.
    pub(super) fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "host-other", "user", "user-other"] {
            let path = folder.path().join(name);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path)
                .status()
                .expect("tests of ssh need it: apt-get install openssh-server openssh-client");
            assert!(made.success());
        }
        // Where it runs as root it wants this folder, which Debian makes as a service starts.
        let _ = fs::create_dir_all("/run/sshd");
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            if let Some(child) = run(folder.path(), port, settings) {
                let sshd = Self { folder, child, port };
                sshd.write_client_config();
                return sshd;
            }
        }
        panic!("sshd does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
    }

    fn write_client_config(&self) {
        let key = fs::read_to_string(self.path("host.pub")).unwrap();
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        self.know(&key.join(" "));
        let folder = self.folder.path().display();
        let config = format!(
            "Host node\n  HostName 127.0.0.1\n  Port {}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  \
             IdentityAgent none\n  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n",
            self.port
        );
        fs::write(self.path("config"), config).unwrap();
    }

    /// Let `key` be the one that is known.
    pub(super) fn know(&self, key: &str) {
        fs::write(self.path("known"), format!("[127.0.0.1]:{} {key}\n", self.port)).unwrap();
    }

    /// Add to what the client is told of the node.
    pub(super) fn configure(&self, lines: &str) {
        let config = fs::read_to_string(self.path("config")).unwrap();
        fs::write(self.path("config"), format!("{lines}\n{config}")).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn settings(&self) -> SshSettings {
        let silence = Duration::from_secs(3);
        SshSettings { config: Some(self.path("config")), silence, ..SshSettings::default() }
    }

    pub(super) async fn connect(&self) -> Result<Arc<SshConnection>, HostError> {
        self.connect_to("node").await
    }

    pub(super) async fn connect_to(&self, destination: &str) -> Result<Arc<SshConnection>, HostError> {
        let destination: SshDestination = destination.parse().unwrap();
        SshConnection::open("spark-2".parse().unwrap(), destination, self.settings()).await
    }

    /// How often the log holds `words`.
    pub(super) fn logged(&self, words: &str) -> usize {
        fs::read_to_string(self.path("log")).unwrap().matches(words).count()
    }

    /// Connections that sshd has taken.
    pub(super) fn connections(&self) -> usize {
        self.logged("Connection from ")
    }

    /// The processes that serve connections.
    pub(super) fn serving(&self) -> Vec<i32> {
        children(self.child.id().cast_signed())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// sshd, once it listens.
fn run(folder: &Path, port: u16, settings: &str) -> Option<Child> {
    let path = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "{settings}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxStartups 100\nLogLevel VERBOSE\nUseDNS no\n",
        path("host"),
        path("user.pub")
    );
    fs::write(path("sshd_config"), config).unwrap();
    // sshd starts itself anew, which takes its whole path.
    let mut child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-f", &path("sshd_config"), "-E", &path("log")])
        .stdin(Stdio::null())
        .spawn()
        .expect("tests of ssh need it: apt-get install openssh-server");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if fs::read_to_string(path("log")).is_ok_and(|log| log.contains("Server listening")) {
            return Some(child);
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The children of the process `parent`.
pub(super) fn children(parent: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `pid (name) state parent`, where the name may hold anything.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        if after.split_whitespace().nth(1) == Some(&parent.to_string()) {
            found.push(pid);
        }
    }
    found
}

/// The ssh that holds `connection`.
pub(super) fn master(connection: &SshConnection) -> i32 {
    let folder = connection.master().folder().display().to_string();
    let mut found = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let words = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (words.starts_with("ssh\0") && words.contains("\0-M\0") && words.contains(&folder)).then_some(pid)
    });
    found.next().unwrap()
}

/// A node for the suite.
pub(super) struct SshdBed {
    host: Arc<dyn Host>,
    sshd: Sshd,
    _open: oneshot::Sender<()>,
}

impl suite::Bed for SshdBed {
    /// The connection lives in a runtime of its own: a bed is made before the test can wait for anything.
    fn new() -> Self {
        let sshd = Sshd::start("");
        let settings = sshd.settings();
        let (open, close) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let destination = "node".parse().unwrap();
                let opened = SshConnection::open("spark-2".parse().unwrap(), destination, settings).await;
                tell.send(opened).unwrap();
                let _ = close.await;
            });
        });
        let connection = told.recv().unwrap().unwrap_or_else(|error| panic!("{error}"));
        Self { host: connection.host(), sshd, _open: open }
    }

    fn host(&self) -> &dyn Host {
        &*self.host
    }

    fn folder(&self) -> HostPath {
        let folder = self.sshd.path("bed");
        fs::create_dir_all(&folder).unwrap();
        HostPath::try_from(&*folder).unwrap()
    }
}
