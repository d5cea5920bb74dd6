//! The requests of a run, made before it starts. An ordinary request is a conversation of one turn.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Turns that follow one another: each is sent when the one before has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversation {
    /// Its place in the run, from 0.
    pub index: u32,
    /// At least one.
    pub turns: Vec<Turn>,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What is asked anew; what was said before goes with it.
    pub prompt: Prompt,
    /// Tokens the prompt should have as the server counts them, history included; unknown for later turns
    /// and for prompts from a file.
    pub input_tokens: Option<u32>,
    /// Tokens asked for.
    pub output_tokens: u32,
    /// Pause after the turn before has ended.
    pub pause: Duration,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// A text: the user's message in a chat.
    Text(String),
    /// Chat messages as they are. Only `Protocol::Chat` takes them.
    Messages(Vec<ChatMessage>),
    /// Token ids. `Protocol::Chat` does not take them.
    Tokens(Vec<u32>),
}

/// One chat message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
}
