//! A mock inference server that behaves exactly as told: for trying and calibrating load generators.
//!
//! It speaks the protocols of SGLang, vLLM and llama.cpp as far as a benchmark needs them, generates
//! nothing, and keeps the truth: when each token really left. It writes HTTP by hand, since half of what it
//! is for (streams cut off, split inside a character, without an end) no well-behaved library would send.
//!
//! | module | what lives there |
//! |---|---|
//! | [`scenario`] | how it behaves, fault by fault |
//! | [`truth`] | what really left, and when |
//! | [`tokens`] | its toy tokenizer and its words |
//! | `request` | a generation request of any protocol, read |
//! | `events` | the events of a stream, rendered |
//! | `stream` | one stream, written on schedule |
//! | `wire` | HTTP heads in, bytes out |
//! | `endpoints` | everything that is no generation |
//! | `server` | connections, slots, start and stop |

mod endpoints;
mod events;
mod request;
pub mod scenario;
mod server;
mod stream;
pub mod tokens;
pub mod truth;
mod wire;

#[cfg(test)]
mod tests;

pub use self::scenario::{Fault, Scenario};
pub use self::server::{MockError, MockServer, RunningMock, spawn};
pub use self::truth::{Truth, TruthReport};
