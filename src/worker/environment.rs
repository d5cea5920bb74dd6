//! The managed environment: a virtual environment with one Triton, an unpacked SGLang wheel, and an
//! assembler that knows the target, all below the user's cache folder.
//!
//! Nothing is installed into the user's own Python, and SGLang is only unpacked: the kernel is read
//! from its source file. A part is made in a folder beside its place and moved there once it is whole.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::start::OnHost;
use crate::events::{Observer, SetupEvent};
use crate::failure::{Failure, Kind, forwards};
use crate::fs::write_atomic;
use crate::host::{Here, HostPath, NotUtf8, Variable};
use crate::runtime::{Runtime, Target, TritonVersion};

/// Written last into a part that is whole.
const MARKER: &str = "complete";

/// How often a lock that another run holds is tried again.
const LOCK_POLL: Duration = Duration::from_millis(300);

/// How long a signal that ended an installer may take to be heard by us.
const SIGNAL_GRACE: Duration = Duration::from_millis(50);

/// The oldest Python the worker's code runs on.
const OLDEST_PYTHON: (u32, u32) = (3, 10);

/// Tritons before this one bundle an assembler that does not know sm_121a; measured on 3.5.0 ("Value
/// 'sm_121a' is not defined") and on 3.7.1 and 3.8.0 (which know it).
const FIRST_WITH_OWN_PTXAS: TritonVersion = TritonVersion::new(3, 7, 0);

/// The PyPI package whose `ptxas` knows sm_121a.
const PTXAS_PACKAGE: &str = "nvidia-cuda-nvcc==13.0.*";

/// Wheels carry the same Python sources whatever machine they are for, so any machine's will do. The
/// second is for machines no wheel was built for.
const WHEEL_CHOICES: [&[&str]; 2] = [
    &[],
    &[
        "--implementation=cp",
        "--python-version=3.11",
        "--abi=cp311",
        "--abi=abi3",
        "--abi=none",
        "--platform=manylinux_2_34_x86_64",
        "--platform=manylinux_2_28_x86_64",
        "--platform=manylinux2014_x86_64",
        "--platform=any",
    ],
];

/// Where the parts lie and which interpreter makes them.
#[derive(Debug, Clone)]
pub struct EnvironmentSettings {
    /// The user's cache folder for this project.
    pub cache: PathBuf,
    /// An interpreter of the user's own that has Triton: nothing is made.
    pub python: Option<PathBuf>,
    /// An SGLang installation, checkout or unpacked wheel of the user's own.
    pub sglang_root: Option<PathBuf>,
    /// Download nothing.
    pub offline: bool,
}

/// A whole environment, wherever it is.
#[derive(Debug, Clone)]
pub struct Environment {
    /// What starts workers in it.
    pub starter: OnHost,
    /// The folder that holds the runtime's package: `sglang`, unless it is for another.
    pub package_root: HostPath,
    /// The folder for what workers keep.
    pub cache: HostPath,
    /// Whether what workers keep there outlives the run.
    pub lasting: bool,
}

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The file system refused.
    #[error("cannot prepare `{path}`: {source}", path = path.display())]
    Io {
        /// What was being made.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No interpreter.
    #[error("cannot run `{python}`: {source}", python = python.display())]
    NoPython {
        /// What was tried.
        python: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Too old an interpreter.
    #[error("`{python}` is Python {found}; the worker needs {}.{} or newer", OLDEST_PYTHON.0, OLDEST_PYTHON.1, python = python.display())]
    OldPython {
        /// The interpreter.
        python: PathBuf,
        /// Its version.
        found: String,
    },
    /// A part is missing and may not be downloaded.
    #[error("{part} is not there, and --offline downloads nothing (looked in `{path}`)", path = path.display())]
    Offline {
        /// What is missing.
        part: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A part lies where a worker cannot be told of.
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    /// A step failed.
    #[error("cannot {step}: {detail}")]
    Step {
        /// What was tried.
        step: String,
        /// What the tool said.
        detail: String,
    },
    /// The user stopped it. Nothing half-made is in any part's place.
    #[error("interrupted while preparing the environment")]
    Interrupted,
    /// The runtime's kernels are not published as a package we can unpack.
    #[error("{0} kernels cannot be fetched: only SGLang's are known")]
    NoKernels(Runtime),
}

forwards! {
    impl Failure for EnvironmentError forwarding NotUtf8 {
        Self::Offline { .. } => Kind::Environment, "run `sparktune setup` once with a network";
        Self::NoPython { .. } | Self::OldPython { .. } => Kind::Environment,
            "install Python 3.10 or newer, or name one with --python";
        Self::Step { step, .. } if step.contains("virtual environment") => Kind::Environment,
            "on Debian and Ubuntu: apt-get install python3-venv";
        Self::Io { .. } | Self::Step { .. } | Self::NoKernels(_) => Kind::Environment;
        Self::Interrupted => Kind::Interrupted;
    }
}

/// Take what there is of an environment and make the rest. `cancel` stops downloads.
pub async fn ensure(
    settings: &EnvironmentSettings,
    target: Target,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Environment, EnvironmentError> {
    let made = tokio::select! {
        made = make(settings, target, observer) => made,
        () = cancel.cancelled() => return Err(EnvironmentError::Interrupted),
    };
    if made.is_err() {
        // A Ctrl-C at the terminal ends the installer too, and its error may come first.
        tokio::time::sleep(SIGNAL_GRACE).await;
        if cancel.is_cancelled() {
            return Err(EnvironmentError::Interrupted);
        }
    }
    made
}

async fn make(
    settings: &EnvironmentSettings,
    target: Target,
    observer: &mut dyn Observer,
) -> Result<Environment, EnvironmentError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| EnvironmentError::Io { path, source }
    };
    fs_err::create_dir_all(&settings.cache).map_err(io(&settings.cache))?;
    let _lock = lock(&settings.cache.join("setup.lock"), observer).await?;
    let (python, venv) = match &settings.python {
        Some(python) => (python.clone(), None),
        None => {
            let venv = virtual_environment(settings, target.triton, observer).await?;
            (venv.join("bin/python"), Some(venv))
        }
    };
    let sglang_root = match &settings.sglang_root {
        Some(root) => root.clone(),
        None => unpacked_sglang(settings, target.runtime, &python, observer).await?,
    };
    let there = |path: &Path| HostPath::try_from(path);
    let cache = there(&settings.cache)?;
    let mut starter = OnHost::embedded(Arc::new(Here::new()), there(&python)?, &cache);
    if let Some(ptxas) = venv.as_deref().and_then(own_ptxas) {
        let ptxas = there(&ptxas)?.as_str().to_owned();
        starter = starter.with("TRITON_PTXAS_PATH", Variable::Set(ptxas));
    }
    observer.say(SetupEvent::Ready);
    let package_root = there(&sglang_root)?;
    Ok(Environment { starter, package_root, cache, lasting: true })
}

/// Keep other runs from building over this one: two that both find nothing would.
async fn lock(path: &Path, observer: &mut dyn Observer) -> Result<File, EnvironmentError> {
    let io = |source| EnvironmentError::Io { path: path.to_owned(), source };
    let file = File::create(path).map_err(io)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(io(source)),
            Err(TryLockError::WouldBlock) if told => {}
            Err(TryLockError::WouldBlock) => {
                observer.say(SetupEvent::Waiting);
                told = true;
            }
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

/// The virtual environment with `triton`, made if it is not whole.
async fn virtual_environment(
    settings: &EnvironmentSettings,
    triton: TritonVersion,
    observer: &mut dyn Observer,
) -> Result<PathBuf, EnvironmentError> {
    let venv = settings.cache.join("environments").join(format!("triton-{triton}"));
    if whole(&venv) && venv.join("bin/python").exists() {
        return Ok(venv);
    }
    if settings.offline {
        return Err(EnvironmentError::Offline {
            part: format!("the Triton {triton} environment"),
            path: venv,
        });
    }
    let base = base_python().await?;
    let draft = draft_of(&venv)?;
    observer.say(SetupEvent::VirtualEnvironment { triton: triton.to_string() });
    step("make a virtual environment", Command::new(&base).args(["-m", "venv"]).arg(draft.path())).await?;
    let python = draft.path().join("bin/python");
    observer.say(SetupEvent::InstallTriton { triton: triton.to_string() });
    step("install Triton", pip(&python).args(["install", &format!("triton=={triton}")])).await?;
    if triton < FIRST_WITH_OWN_PTXAS {
        observer.say(SetupEvent::InstallAssembler);
        // Alone: the rest of the CUDA compiler is not needed.
        step("install ptxas", pip(&python).args(["install", "--no-deps", PTXAS_PACKAGE])).await?;
    }
    finish(draft, &venv)?;
    Ok(venv)
}

/// The unpacked wheel of `runtime`, fetched if it is not there.
async fn unpacked_sglang(
    settings: &EnvironmentSettings,
    runtime: Runtime,
    python: &Path,
    observer: &mut dyn Observer,
) -> Result<PathBuf, EnvironmentError> {
    let version = runtime.sglang_version().ok_or(EnvironmentError::NoKernels(runtime))?;
    let root = settings.cache.join("sglang").join(version);
    if whole(&root) {
        return Ok(root);
    }
    if settings.offline {
        return Err(EnvironmentError::Offline {
            part: format!("SGLang {version}'s kernel source"),
            path: root,
        });
    }
    let draft = draft_of(&root)?;
    let download = draft_of(&root)?;
    observer.say(SetupEvent::FetchSglang { version: version.to_owned() });
    let mut refused = None;
    for choice in WHEEL_CHOICES {
        let mut fetch = pip(python);
        fetch.args(["download", "--no-deps", "--only-binary=:all:", "--dest"]).arg(download.path());
        fetch.args(choice).arg(format!("sglang=={version}"));
        match step(&format!("fetch SGLang {version}"), &mut fetch).await {
            Ok(()) => {
                refused = None;
                break;
            }
            Err(error) => refused = Some(error),
        }
    }
    if let Some(error) = refused {
        return Err(error);
    }
    let wheel = fs_err::read_dir(download.path())
        .map_err(|source| EnvironmentError::Io { path: root.clone(), source })?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| EnvironmentError::Step {
            step: format!("fetch SGLang {version}"),
            detail: "pip said yes and left no wheel".into(),
        })?;
    observer.say(SetupEvent::UnpackSglang { version: version.to_owned() });
    let mut unpack = Command::new(python);
    unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(draft.path());
    step("unpack the wheel", &mut unpack).await?;
    finish(draft, &root)?;
    Ok(root)
}

/// The interpreter that makes the virtual environment.
async fn base_python() -> Result<PathBuf, EnvironmentError> {
    let python = PathBuf::from("python3");
    let output = Command::new(&python)
        .args(["-c", "import sys; print(*sys.version_info[:3], sep='.')"])
        .output()
        .await
        .map_err(|source| EnvironmentError::NoPython { python: python.clone(), source })?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = found.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST_PYTHON => Ok(python),
        _ => Err(EnvironmentError::OldPython { python, found }),
    }
}

/// The assembler installed beside Triton, where one was.
fn own_ptxas(venv: &Path) -> Option<PathBuf> {
    let libs = fs_err::read_dir(venv.join("lib")).ok()?;
    libs.filter_map(Result::ok)
        .map(|entry| entry.path().join("site-packages/nvidia/cu13/bin/ptxas"))
        .find(|path| path.exists())
}

fn pip(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]);
    command
}

/// Run a command to its end, or say what it said.
async fn step(what: &str, command: &mut Command) -> Result<(), EnvironmentError> {
    let fail = |detail| EnvironmentError::Step { step: what.to_owned(), detail };
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| fail(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(if stderr.trim_ascii().is_empty() { &stdout } else { &stderr });
    let tail: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
    Err(fail(format!("{status}\n  | {}", tail.into_iter().rev().collect::<Vec<_>>().join("\n  | "))))
}

fn whole(part: &Path) -> bool {
    part.join(MARKER).exists()
}

/// A folder beside `part` in which it is made: whatever a killed run leaves behind, or an installer that
/// outlives it still writes, is in a folder of its own.
fn draft_of(part: &Path) -> Result<TempDir, EnvironmentError> {
    let io = |source| EnvironmentError::Io { path: part.to_owned(), source };
    let parent = part.parent().unwrap_or(part);
    fs_err::create_dir_all(parent).map_err(io)?;
    tempfile::Builder::new().prefix(".making-").tempdir_in(parent).map_err(io)
}

/// Put a whole draft in its place. A virtual environment can be moved: its interpreter finds itself,
/// and nothing here runs the scripts that carry the old path.
fn finish(draft: TempDir, part: &Path) -> Result<(), EnvironmentError> {
    let io = |source| EnvironmentError::Io { path: part.to_owned(), source };
    write_atomic(&draft.path().join(MARKER), b"").map_err(io)?;
    match fs_err::remove_dir_all(part) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    fs_err::rename(draft.path(), part).map_err(io)?;
    // Nothing is left where the draft was.
    let _ = draft.keep();
    Ok(())
}
