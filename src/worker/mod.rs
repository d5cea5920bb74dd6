//! The Python that runs beside the compiler: the protocol with it, the link to it, ways to start it, its environment.
//!
//! A [`Starter`] starts a worker and hands over its [`Link`]. A [`CompileWorker`] compiles one batch on one worker and
//! says how the batch ended; [`timing`] does the same for measurements. No process is started here: that is
//! [`host`](crate::host)'s, but for the installers of [`environment`], which make the environment of this machine.

pub mod bare;
mod binary_store;
mod compile_worker;
mod embedded;
pub mod environment;
mod error;
mod filed;
pub mod image;
mod lines;
mod link;
mod log;
#[cfg(test)]
pub(crate) mod look_alike;
mod no_compiler;
pub mod protocol;
mod requests;
mod result_cache;
pub mod script;
mod start;
mod target_of;
pub mod timing;

pub use binary_store::BinaryStore;
pub use compile_worker::{BatchEnd, CompileJob, CompileWorker, CompilerIdentity};
pub use error::WorkerError;
pub use link::{Keepalive, Link};
pub use log::Log;
pub use no_compiler::NoCompiler;
pub use result_cache::ResultCache;
pub use start::{OnHost, Starter};
pub(crate) use target_of::target_of;
