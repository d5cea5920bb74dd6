//! What a user should know about a shape that is valid all the same.

use std::fmt;

use crate::runtime::Runtime;
use crate::shape::BlockShape;

/// Something about a geometry that does not stop the work but may make it worthless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeometryWarning {
    /// N is no multiple of the scale block: the server refuses to load such a slice.
    BlockMisaligned {
        /// N on one rank.
        intermediate: u32,
        /// The scale block.
        block: BlockShape,
        /// The ways to split (`tp / ep`) that do work.
        working_splits: Vec<u32>,
    },
    /// The group size of packed weights does not divide the slice; the server halves it at load.
    GroupHalved {
        /// As the checkpoint says.
        declared: u32,
        /// As the kernel sees it.
        effective: u32,
    },
    /// The group size cannot be halved far enough: the server asserts at load.
    GroupTooSmall {
        /// As the checkpoint says.
        declared: u32,
        /// N on one rank.
        intermediate: u32,
        /// K.
        hidden: u32,
    },
    /// The server runs these weights through Marlin by default, which reads no config files.
    Marlin {
        /// The `quant_method`.
        method: String,
        /// What makes the server use the Triton kernel.
        remedy: Option<&'static str>,
    },
    /// The runtime has no fused-MoE path for this quantisation.
    SchemeNotServed {
        /// The runtime.
        runtime: Runtime,
        /// The quantisation, in words.
        scheme: &'static str,
    },
    /// The runtime has no model class of this name.
    ArchitectureNotServed {
        /// The runtime.
        runtime: Runtime,
        /// The name in `architectures`.
        architecture: &'static str,
    },
    /// SGLang's own tuner would write its files under another E, where this server never looks.
    TunerDisagrees {
        /// E as the server looks it up.
        server: u32,
        /// E as the tuner names it.
        tuner: u32,
    },
    /// The user's choice about shared experts differs from what the server does by itself.
    FusionOverridden {
        /// The runtime.
        runtime: Runtime,
        /// Shared experts fused as told.
        chosen: u32,
        /// Shared experts the server fuses by default.
        default: u32,
    },
    /// The routed experts are excluded from quantisation.
    ExpertsUnquantised {
        /// The entry that excludes them.
        pattern: String,
    },
    /// Some layers' experts are excluded from quantisation: those look for another file.
    SomeLayersUnquantised {
        /// The first entry that excludes a layer.
        pattern: String,
    },
    /// What the table of architectures says about this one.
    Architecture {
        /// The name in `architectures`.
        architecture: &'static str,
        /// The note.
        note: &'static str,
    },
}

impl fmt::Display for GeometryWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockMisaligned { intermediate, block, working_splits } => {
                write!(
                    f,
                    "N={intermediate} is no multiple of the weight block {block}: the server refuses to load \
                     this slice (\"is not divisible by weight quantization block\")"
                )?;
                match working_splits.as_slice() {
                    [] => write!(f, "; no split of this model fits the block"),
                    splits => write!(f, "; tp / ep that fits: {}", list(splits)),
                }
            }
            Self::GroupHalved { declared, effective } => write!(
                f,
                "group size {declared} does not divide this slice; the server repeats the scales and runs with \
                 groups of {effective}"
            ),
            Self::GroupTooSmall { declared, intermediate, hidden } => write!(
                f,
                "no group size from {declared} down to 32 divides both N={intermediate} and K={hidden}: the \
                 server refuses to load this slice"
            ),
            Self::Marlin { method, remedy } => {
                write!(f, "`{method}` weights run through Marlin by default, which reads no config files")?;
                match remedy {
                    Some(remedy) => write!(f, "; {remedy} makes the server use the Triton kernel"),
                    None => write!(f, ", and nothing makes this version use the Triton kernel for them"),
                }
            }
            Self::SchemeNotServed { runtime, scheme } => {
                write!(f, "{runtime} has no fused-MoE path for {scheme} and refuses to load it")
            }
            Self::ArchitectureNotServed { runtime, architecture } => write!(
                f,
                "{runtime} has no model class `{architecture}`; its files are written, but that version cannot \
                 serve the model"
            ),
            Self::TunerDisagrees { server, tuner } => write!(
                f,
                "SGLang's own tuner names these files E={tuner}; the server looks for E={server}, which is used \
                 here"
            ),
            Self::FusionOverridden { runtime, chosen, default } => {
                write!(
                    f,
                    "{chosen} fused shared experts as told, where {runtime} fuses {default} by default; "
                )?;
                match (chosen < default, runtime) {
                    (true, _) => write!(f, "start the server with --disable-shared-experts-fusion"),
                    (false, Runtime::Sglang0523) => {
                        write!(f, "start the server with --enforce-shared-experts-fusion")
                    }
                    (false, _) => write!(f, "this version has no flag for that"),
                }
            }
            Self::ExpertsUnquantised { pattern } => write!(
                f,
                "the routed experts are excluded from quantisation by `{pattern}`: taken as plain weights"
            ),
            Self::SomeLayersUnquantised { pattern } => write!(
                f,
                "some layers' experts are excluded from quantisation (`{pattern}`): those layers look for the \
                 file of the plain weights too"
            ),
            Self::Architecture { architecture, note } => write!(f, "`{architecture}`: {note}"),
        }
    }
}

/// `1, 2 or 4`; long lists are cut.
pub(super) fn list(numbers: &[u32]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = numbers.iter().take(SHOWN).map(u32::to_string).collect();
    match shown.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        _ if numbers.len() > SHOWN => format!("{}, ...", shown.join(", ")),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
