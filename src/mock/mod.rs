//! A mock inference server that behaves exactly as told: for trying and calibrating load generators.
//!
//! It speaks the protocols of SGLang, vLLM and llama.cpp as far as a benchmark needs them, generates
//! nothing, and keeps the truth: when each token really left. It writes HTTP by hand, since half of what it
//! is for (streams cut off, split inside a character, without an end) no well-behaved library would send.
//!
//! | module | what lives there |
//! |---|---|
//! | [`scenario`], [`fault`] | how it behaves, and what goes wrong |
//! | [`mod@file`] | a scenario from a file |
//! | [`truth`] | what really left, and when; `distribution` keeps distributions of it |
//! | [`tokens`] | its toy tokenizer and its words |
//! | `request` | a generation request of any protocol, read |
//! | `schedule`, `clock` | when each event leaves, and waiting for that moment |
//! | `events` | the events of a stream, rendered |
//! | `stream`, `sse` | one stream, written on schedule; its bytes |
//! | `whole` | an answer without a stream |
//! | `endpoints`, `load` | everything that is no generation; the figures of `/metrics` |
//! | `wire` | HTTP by hand: requests in, answers out |
//! | `server`, `running` | connections, slots, start and stop; a server on a thread of its own |
//!
//! Times are exact to what the machine gives: on Linux a timer of its own wakes within tens of microseconds on
//! an idle core, elsewhere tokio's within two milliseconds. The truth says how late each event really was.

mod clock;
mod distribution;
mod endpoints;
mod events;
pub(crate) mod fault;
pub(crate) mod file;
mod load;
mod request;
mod running;
pub(crate) mod scenario;
mod schedule;
mod server;
mod sse;
mod stream;
pub mod tokens;
pub(crate) mod truth;
mod whole;
mod wire;

#[cfg(test)]
mod tests;

pub use self::fault::Fault;
pub use self::running::{RunningMock, spawn};
pub use self::scenario::Scenario;
pub use self::server::{MockError, MockServer};
pub use self::truth::{ServedTruth, TruthReport};
