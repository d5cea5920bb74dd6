//! The Python that runs beside the compiler: its protocol, its process, its environment.

mod cached;
mod embedded;
pub mod environment;
mod process;
pub mod protocol;
mod result_cache;
mod supervisor;
pub mod timing;

pub use cached::{CachedCompiler, CompileError};
pub use process::{Launch, OnUnit, Worker, WorkerError};
pub use result_cache::ResultCache;
pub use supervisor::{CompileJob, Compiler, CompilerIdentity, Supervised};
