//! A node over ssh, the user's own: `~/.ssh/config`, agents and jump hosts work as they do at a prompt.
//!
//! A [`SshConnection`] is one openssh master, opened once a node and shared by everything that concerns it: programs,
//! files, forwarded sockets. Nothing here opens a second one while it is open; where it is lost, what uses it fails.
//! [`SshConnections`] has those of a cluster, among them the nodes that are reached through another one's.
//!
//! Nobody is asked anything. What would need an answer (a password, a host key that is new or has changed) is an error
//! that says what to do.

mod behind;
mod connection;
mod connections;
mod destination;
mod failure;
mod forward;
mod master;
mod node;
mod route;

pub use connection::{SshConnection, SshSettings};
pub use connections::SshConnections;
pub use destination::{BadSshDestination, SshDestination};
pub use failure::SshFailure;
pub use forward::{Forward, ForwardFailure};
pub(crate) use route::over_ssh;
pub use route::{SshHop, SshRoute};
#[cfg(test)]
mod bed;
#[cfg(test)]
mod sshd_behind_tests;
#[cfg(test)]
mod sshd_detached_tests;
#[cfg(test)]
mod sshd_forward_tests;
#[cfg(test)]
mod sshd_tests;
