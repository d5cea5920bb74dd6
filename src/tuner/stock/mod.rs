//! A runtime's own tuner, SGLang's `tuning_fused_moe_triton.py` or vLLM's `benchmark_moe.py`, made survivable: one process a
//! batch size and node.
//!
//! Either script tunes batch sizes one after another and writes one file once all are tuned, into the folder it started in:
//! whatever ends it early loses everything. Its choice is not altered here. Every batch size has a process and a folder
//! of its own; what that wrote is on disk, with a line in the journal, before another begins.
//!
//! `own_tuner`, `script`, `model_argument`, `queue` and `outcome` are pure; `run` and `gpu_use` are the I/O around them.

pub(crate) mod asked;
pub(crate) mod files;
mod folder;
pub(crate) mod gpu_use;
pub(crate) mod model_argument;
pub(crate) mod order;
mod outcome;
pub(crate) mod own_tuner;
pub(crate) mod plan;
mod queue;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod script;
