//! What is sent as a request's body, and what the bytes of a streamed answer come to.
//!
//! | module | what lives there |
//! |---|---|
//! | [`sse`] | bytes to events, by the rules for `text/event-stream` |
//! | [`answer`] | events to an [`Answer`](super::record::Answer) and how it ended |
//! | `chat`, `completions`, `generate` | what one event of each protocol says |
//! | `openai`, `wire` | what the protocols share: envelope, usage, errors |
//! | `json` | JSON stepped over where it lies |
//! | `tally` | which event carried how many tokens |
//! | `text` | the answer's text, where it is kept |
//! | `words` | foreign text, made fit for a message |
//! | [`mod@body`] | a request's body |
//!
//! This is the client's hot path. An event costs no allocation: it is read where it lies in the bytes that
//! came, and what nobody asks for is stepped over. What does allocate is an event that arrives in pieces (into a
//! buffer that is used again), a list that grows, kept text with escapes, and whatever ends a stream.

pub(crate) mod answer;
pub(crate) mod body;
mod chat;
mod completions;
mod generate;
mod json;
mod openai;
pub mod sse;
mod tally;
mod text;
mod wire;
pub(super) mod words;

pub use answer::{AnswerReader, Broken};
pub use body::{BadBody, Exchange, body, check_extra_body};
