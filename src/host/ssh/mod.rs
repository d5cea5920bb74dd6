//! A node over ssh, the user's own: `~/.ssh/config`, agents and jump hosts work as they do at a prompt.
//!
//! A [`SshConnection`] is one openssh master, opened once a node and shared by everything that concerns it: programs,
//! files, forwarded sockets. Nothing here opens a second one, not even where the first is lost: then it fails.
//!
//! Nobody is asked anything. What would need an answer (a password, a host key that is new or has changed) is an error
//! that says what to do.

mod connection;
mod destination;
mod failure;
mod forward;
mod master;
mod node;

pub use connection::{SshConnection, SshSettings};
pub use destination::{BadSshDestination, SshDestination};
pub use failure::SshFailure;
pub use forward::{Forward, ForwardFailure};
pub(crate) use node::over_ssh;
#[cfg(test)]
mod bed;
#[cfg(test)]
mod sshd_detached_tests;
#[cfg(test)]
mod sshd_forward_tests;
#[cfg(test)]
mod sshd_tests;
