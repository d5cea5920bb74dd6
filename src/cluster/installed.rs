//! What serves models on a host, asked of the interpreter that would run it, and where that looks for config files.
//!
//! The folder is found on the disk rather than by a release's number: releases move it, images carry releases that
//! nobody has read, and their Triton is not the one their package asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::host::ask::{AskError, ask, beginning};
use crate::host::{Host, HostPath};
use crate::host_name::HostName;
use crate::runtime::{Runtime, TritonVersion};

pub(super) const PROGRAM: &str = include_str!("../../worker/node/runtime.py");
/// Looking for packages waits for disks alone.
const LIMIT: Duration = Duration::from_secs(30);
/// CUDA's tools are run besides, within limits of their own.
const LIMIT_WITH_TOOLS: Duration = Duration::from_secs(200);

/// Each package with the distributions that may have brought it.
const PACKAGES: [(&str, &[&str]); 6] = [
    ("sglang", &["sglang"]),
    ("vllm", &["vllm"]),
    ("triton", &["triton", "pytorch-triton"]),
    ("torch", &["torch"]),
    ("ray", &["ray"]),
    ("sgl_kernel", &["sgl-kernel", "sglang-kernel"]),
];

/// Below the package `sglang`, where releases keep their config files: the newer folder first (since 0.5.11).
const SGLANG_MODULES: [&str; 2] =
    ["srt/layers/moe/moe_runner/triton_utils", "srt/layers/moe/fused_moe_triton"];
const VLLM_MODULE: &str = "model_executor/layers/fused_moe";
/// Where either looks instead.
const SGLANG_VARIABLE: &str = "SGLANG_MOE_CONFIG_DIR";
const VLLM_VARIABLE: &str = "VLLM_TUNED_CONFIG_FOLDER";

/// A family of runtimes, whose file names and folders are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// SGLang.
    Sglang,
    /// vLLM.
    Vllm,
}

/// What an interpreter has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its own version.
    pub python: String,
    packages: BTreeMap<String, Package>,
    folders: Vec<(String, String)>,
    variables: BTreeMap<String, String>,
    /// What CUDA's tools say; none where they were not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Package {
    version: Option<String>,
    folder: HostPath,
}

/// Where a runtime looks for config files, and which runtime that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigPlace {
    /// The runtime's family.
    pub family: Family,
    /// Its version, in its own words.
    pub version: String,
    /// The rules that are known of this version.
    pub runtime: Option<Runtime>,
    /// Its Triton.
    pub triton: TritonVersion,
    /// The folder, `triton_X_Y_Z` included where it has one. It need not be there yet.
    pub folder: HostPath,
    /// The folder above that must be there.
    pub above: HostPath,
    /// Why this folder.
    pub reason: String,
}

/// A host whose runtime is not known, or looks nowhere.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// It could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Its answer is none.
    #[error("{on}: `{python}` answers `{said}`, where one JSON document was expected")]
    Garbled {
        /// The host.
        on: HostName,
        /// Who answered.
        python: HostPath,
        /// How the answer begins.
        said: String,
    },
    /// Neither runtime is there.
    #[error("{on}: `{python}` has neither SGLang nor vLLM")]
    NoRuntime {
        /// The host.
        on: HostName,
        /// Who was asked.
        python: HostPath,
    },
    /// Its folder is not where any known release has it.
    #[error(
        "{on}: {runtime} {version} at `{at}` has its config files where no known release has them: expected {expected}"
    )]
    NoFolder {
        /// The host.
        on: HostName,
        /// Which runtime.
        runtime: &'static str,
        /// Its version.
        version: String,
        /// Where it lies.
        at: HostPath,
        /// Where its files were looked for.
        expected: String,
    },
    /// It has no Triton, or one of no known form.
    #[error("{on}: `{python}` has {what}, by which SGLang names its folder of config files")]
    NoTriton {
        /// The host.
        on: HostName,
        /// Who was asked.
        python: HostPath,
        /// No Triton, or which.
        what: String,
    },
}

impl Failure for NoPlace {
    fn kind(&self) -> Kind {
        match self {
            NoPlace::Ask(error) => error.kind(),
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NoPlace::Ask(error) => error.hint(),
            NoPlace::NoRuntime { .. } => Some(
                "--container names the container it is in, --virtualenv its virtual environment; --host-dir takes any \
                 folder"
                    .into(),
            ),
            _ => Some("--host-dir takes any folder of the node".into()),
        }
    }
}

/// Ask `python` of `host` what it has.
pub(crate) async fn probe(host: &dyn Host, python: &HostPath) -> Result<Installed, NoPlace> {
    probe_with(host, python, false).await
}

/// The same, and what CUDA's tools say there of assemblers and kernels.
pub(super) async fn probe_with_tools(host: &dyn Host, python: &HostPath) -> Result<Installed, NoPlace> {
    probe_with(host, python, true).await
}

async fn probe_with(host: &dyn Host, python: &HostPath, tools: bool) -> Result<Installed, NoPlace> {
    let folders = SGLANG_MODULES.map(|module| ["sglang", module]);
    let order = serde_json::json!({
        "packages": BTreeMap::from(PACKAGES),
        "folders": folders.iter().chain([&["vllm", VLLM_MODULE]]).collect::<Vec<_>>(),
        "variables": [SGLANG_VARIABLE, VLLM_VARIABLE],
        "tools": tools,
    });
    let line = format!("{order}\n");
    let limit = if tools { LIMIT_WITH_TOOLS } else { LIMIT };
    let answer = ask(host, python, PROGRAM, &[line.as_bytes()], limit).await?;
    serde_json::from_slice(&answer).map_err(|_| NoPlace::Garbled {
        on: host.name().clone(),
        python: python.clone(),
        said: beginning(&answer),
    })
}

impl Installed {
    /// The version of the package `name`, where it is there and says it.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.packages.get(name)?.version.as_deref()
    }

    /// The runtime that is there, SGLang before vLLM.
    pub(crate) fn family(&self) -> Option<Family> {
        [Family::Sglang, Family::Vllm].into_iter().find(|family| self.packages.contains_key(family.package()))
    }

    /// Where the package `name` lies, where it is there.
    pub(crate) fn folder(&self, name: &str) -> Option<&HostPath> {
        self.packages.get(name).map(|package| &package.folder)
    }

    /// Where the runtime looks, SGLang before vLLM where both are there and `wanted` says nothing. `variables` are those
    /// that it will be started with, beyond the ones the interpreter has.
    pub(crate) fn place(
        &self,
        on: &HostName,
        python: &HostPath,
        wanted: Option<Family>,
        variables: &BTreeMap<String, String>,
    ) -> Result<ConfigPlace, NoPlace> {
        let there = |family: &Family| self.packages.contains_key(family.package());
        let Some(family) = wanted.filter(there).or_else(|| self.family().filter(|_| wanted.is_none())) else {
            return Err(NoPlace::NoRuntime { on: on.clone(), python: python.clone() });
        };
        let package = &self.packages[family.package()];
        let version = package.version.clone().unwrap_or_else(|| "of unknown version".to_owned());
        let variable = |name: &str| variables.get(name).or_else(|| self.variables.get(name));
        let triton = self.triton(on, python)?;
        let module = |modules: &[&str]| {
            let there = |module: &&&str| {
                self.folders.iter().any(|(of, part)| of == family.package() && part == **module)
            };
            modules.iter().find(there).map(|module| package.folder.join(module)).ok_or_else(|| {
                NoPlace::NoFolder {
                    on: on.clone(),
                    runtime: family.name(),
                    version: version.clone(),
                    at: package.folder.clone(),
                    expected: modules.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" or "),
                }
            })
        };
        let (above, folder, reason) = match family {
            Family::Sglang => {
                let (base, reason) = match variable(SGLANG_VARIABLE) {
                    Some(folder) => (HostPath::new(folder), format!("{SGLANG_VARIABLE} says so")),
                    None => (module(&SGLANG_MODULES)?, format!("SGLang {version} has its own there")),
                };
                let configs = base.join("configs");
                (base, configs.join(&triton.directory()), reason)
            }
            Family::Vllm => match variable(VLLM_VARIABLE) {
                Some(folder) => {
                    (HostPath::new(folder), HostPath::new(folder), format!("{VLLM_VARIABLE} says so"))
                }
                None => {
                    let base = module(&[VLLM_MODULE])?;
                    let folder = base.join("configs");
                    (base, folder, format!("vLLM {version} has its own there"))
                }
            },
        };
        let runtime = match family {
            Family::Sglang => package.version.as_deref().and_then(|it| Runtime::from_sglang_version(it).ok()),
            Family::Vllm => Some(Runtime::Vllm),
        };
        Ok(ConfigPlace { family, version, runtime, triton, folder, above, reason })
    }

    fn triton(&self, on: &HostName, python: &HostPath) -> Result<TritonVersion, NoPlace> {
        let said = self.version("triton");
        // Builds say more than the three numbers: 3.5.0+git1234, 3.6.0.post1.
        let release = said.map(|it| it.split('+').next().unwrap_or_default());
        let release = release.map(|it| it.split('.').take(3).collect::<Vec<_>>().join("."));
        release.and_then(|release| release.parse().ok()).ok_or_else(|| NoPlace::NoTriton {
            on: on.clone(),
            python: python.clone(),
            what: said.map_or_else(|| "no Triton".to_owned(), |said| format!("Triton `{said}`")),
        })
    }
}

impl Family {
    /// That of a runtime.
    pub(crate) fn of(runtime: Runtime) -> Self {
        match runtime {
            Runtime::Sglang054 | Runtime::Sglang0523 => Family::Sglang,
            Runtime::Vllm => Family::Vllm,
        }
    }

    /// The Python package.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Family::Sglang => "sglang",
            Family::Vllm => "vllm",
        }
    }

    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Sglang => "SGLang",
            Family::Vllm => "vLLM",
        }
    }
}

mod tools;

pub use tools::{Assembler, ConfigFiles, KernelCode, Tools};

#[cfg(test)]
mod tests;
