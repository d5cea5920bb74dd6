//! A place where programs run and files lie: this machine, a node over ssh; a container on either has its room beside
//! them.
//!
//! Everything here speaks of *there*: a [`HostPath`] is a path of the host, a [`Program`]'s variables are set on
//! top of what the host gives its programs. What a host cannot do is a [`HostError`], which names it. Hosts are
//! held as `dyn Host`, because the nodes of a cluster need not be reached in the same way.
//!
//! A new way to reach one is a file beside `here.rs` that passes `suite.rs`.

pub(crate) mod ask;
pub mod container_spec;
pub(crate) mod detached;
pub mod engine;
mod error;
pub mod here;
pub mod look_alike;
mod path;
mod program;
mod remote;
mod shell;
pub mod ssh;
#[cfg(test)]
mod suite;
mod tree;

use std::fmt;
use std::pin::Pin;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub use ask::{AskError, AskFailure};
pub use container_spec::{ContainerSpec, EngineKind};
pub use error::{HostError, HostFailure};
pub use here::Here;
pub use path::{HostPath, NotUtf8};
pub(crate) use program::is_variable_name;
pub use program::{BadProgram, Program, Variable};
pub use shell::ShellLine;
pub use ssh::SshFailure;
pub use tree::{BadTreePath, Tree};

use crate::host_name::HostName;

/// What a program writes, byte by byte.
pub type BoxRead = Pin<Box<dyn AsyncRead + Send>>;
/// What a program reads.
pub type BoxWrite = Pin<Box<dyn AsyncWrite + Send>>;

/// A place where programs run and files lie.
pub trait Host: fmt::Debug + Send + Sync {
    /// Its name in messages, journals and logs.
    fn name(&self) -> &HostName;

    /// Start `program` and return as soon as it runs.
    fn start<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Process, HostError>>;

    /// Lay every file of `tree` out below the folder `into`, which is made with its parents if it is not there.
    ///
    /// Each file is written whole or not at all; one that has its bytes already is left alone, and so is
    /// whatever else lies there.
    fn put<'a>(&'a self, tree: &'a Tree, into: &'a HostPath) -> BoxFuture<'a, Result<(), HostError>>;

    /// The bytes of the file at `path`. More than `most` of them are an error, and never held in memory.
    fn get<'a>(&'a self, path: &'a HostPath, most: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>>;

    /// Write `bytes` to `path` so that a reader there sees the old file or the new one, never a part. The folder
    /// must be there. For deploying; nothing outside this folder calls it yet.
    fn replace<'a>(&'a self, path: &'a HostPath, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), HostError>>;

    /// The command a person would type to start `program`. Secrets stand by name only.
    fn as_shell(&self, program: &Program) -> ShellLine;
}

/// A program that runs on a host. Dropping `end` ends it as [`End::kill`] does, without waiting.
pub struct Process {
    /// Its standard input; dropping it closes it.
    pub input: BoxWrite,
    /// Its standard output.
    pub output: BoxRead,
    /// Its standard error.
    pub log: BoxRead,
    /// Its end.
    pub end: Box<dyn End>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

/// How a program's end is waited for and brought about.
pub trait End: Send {
    /// Wait for the end. Can be given up and asked again, and then gives the same answer.
    fn ended(&mut self) -> BoxFuture<'_, Ending>;

    /// End the program and what it started, as far as the host can, without asking it. Where the link is gone
    /// nothing is ended and [`End::ended`] says so.
    fn kill(&mut self);
}

/// How a program came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself, with this status.
    Exit(i32),
    /// It was ended by this signal; SIGKILL where its limit had passed.
    Signal(i32),
    /// The link to the host was lost: nothing is known of the program, which may still run.
    Lost {
        /// What was noticed.
        why: String,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Exit(status) => write!(f, "exit status: {status}"),
            Ending::Signal(signal) => write!(f, "signal: {signal}"),
            Ending::Lost { why } => write!(f, "link lost: {why}"),
        }
    }
}
