//! A model's life on the nodes: what is up there, bringing one up, taking it down.
//!
//! Containers and processes outlive whoever started them, and say by their labels what they are: so that what is up is what
//! the nodes say, whichever machine asks. Nothing here is remembered anywhere else.

mod answer;
mod condition;
mod config_use;
mod down;
mod error;
mod failed_start;
mod found;
mod lines;
mod lock;
mod place;
#[cfg(test)]
mod tests;
mod up;
mod watch;

pub(crate) use answer::Wanted;
pub(crate) use condition::Condition;
pub(crate) use config_use::{ConfigUse, ConfigUses};
pub(crate) use down::{NodeDown, take_down};
pub(crate) use error::UpError;
pub(crate) use found::{FoundModel, Look, Part, PartState, ask_found, look};
pub(crate) use lines::{Heard, Listening};
pub(crate) use lock::Lock;
pub(crate) use up::{Up, UpReport, check_port};
