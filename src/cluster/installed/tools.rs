//! What CUDA's tools beside an interpreter say: which GPUs its assemblers and its compiled kernels are for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::host::HostPath;

/// What lies beside an interpreter's packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// The CUDA that torch was built for.
    pub cuda: Option<String>,
    /// NCCL's version: the package's that torch loads, else the system's.
    pub nccl: Option<String>,
    /// Every assembler that is there.
    pub ptxas: Vec<Assembler>,
    /// By library the GPUs that the runtime's own kernels are compiled for.
    pub kernels: BTreeMap<String, KernelCode>,
    /// Why they are not all known.
    pub no_kernels: Option<String>,
    /// By folder the config files that are there.
    pub configs: BTreeMap<String, ConfigFiles>,
}

/// A `ptxas`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembler {
    /// What leads to it: a variable of Triton's, `triton`, `triton_blackwell` or `cuda`.
    pub of: String,
    /// Where it is.
    pub path: HostPath,
    /// CUDA's version; none where it does not run.
    pub version: Option<String>,
    /// The GPUs that it knows, such as `sm_121a`.
    pub targets: BTreeSet<String>,
}

/// What a library has kernels for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelCode {
    /// GPUs whose code it has.
    pub code: BTreeSet<String>,
    /// GPUs whose assembly it has, which newer drivers compile for others.
    pub assembly: BTreeSet<String>,
}

/// Config files in a folder that a runtime looks in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFiles {
    /// Whether whoever was asked can write there.
    pub writable: bool,
    /// Their names, from the folder on.
    pub files: Vec<String>,
}

impl Tools {
    /// What Triton assembles for on a GPU of this compute capability, times ten: from 90 on with the `a` of
    /// `sm_arch_from_capability` in triton/backends/nvidia/compiler.py.
    pub fn target(capability: u32) -> String {
        format!("sm_{capability}{}", if capability >= 90 { "a" } else { "" })
    }

    /// The assembler that Triton compiles with for a GPU of this compute capability, times ten.
    ///
    /// By `get_ptxas` of triton/backends/nvidia/compiler.py: 3.7 and later take another one from 100 on. Each has a
    /// variable, which wins.
    pub fn assembler(&self, capability: u32) -> Option<&Assembler> {
        let of = |name: &str| self.ptxas.iter().find(|it| it.of == name && it.version.is_some());
        match of("triton_blackwell").filter(|_| capability >= 100) {
            Some(own) => of("TRITON_PTXAS_BLACKWELL_PATH").or(Some(own)),
            None => of("TRITON_PTXAS_PATH").or_else(|| of("triton")),
        }
    }
}

impl Assembler {
    /// Whether it assembles for `target`, such as `sm_121a`.
    pub fn knows(&self, target: &str) -> bool {
        self.targets.contains(target)
    }
}
