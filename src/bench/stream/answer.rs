//! Events to an answer and how it ended.

use super::sse::{EventTooLarge, SseEvent, SseParser};
use super::tally::{Sighting, Tally};
use super::text::KeptText;
use super::wire::{BadEvent, Speculation, Update, UsageFigures, error_words, finish_reason};
use super::words::{EXCERPT, harmless};
use super::{chat, completions, generate};
use crate::bench::plan::Protocol;
use crate::bench::record::{Answer, FailureClass, Outcome};

/// Bytes an event may have. SGLang's `/generate` repeats all ids and text in each: about 12 bytes a token,
/// so this is above a million tokens.
const EVENT_LIMIT: usize = 16 << 20;

/// Bytes of a body kept until its first event, to show of one that is no event stream.
const HEAD: usize = EXCERPT * 4 + 1;

/// Reads one streamed answer.
///
/// Only the first of several answers to a request is read (`index` 0); a server's totals are of all of them,
/// which is why [`check_extra_body`](super::check_extra_body) refuses `n`.
///
/// - `[DONE]` or a finish reason makes an answer whole, either is enough. A finish reason of `abort` or
///   `error` is the server's failure.
/// - Bytes after `[DONE]` are ignored.
/// - A last event without its blank line counts where it is `[DONE]` or whole JSON: some servers leave the
///   line out. Anything else unfinished means the answer was cut off, a finish reason before it or not.
/// - The text kept is `content` alone: it is what goes into the next turn of a conversation. Reasoning and
///   tool calls are output all the same.
#[derive(Debug)]
pub struct AnswerReader {
    sse: SseParser,
    state: State,
}

/// What makes an answer useless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Broken {
    /// Which way it failed.
    pub class: FailureClass,
    /// In words, with the server's own where it said something. Of bounded length, on one line.
    pub message: String,
}

/// Why a feed ends early.
enum Stop {
    Done,
    Broken(Broken),
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    head: Vec<u8>,
    events: bool,
    last_us: u64,
    tally: Tally,
    text: Option<KeptText>,
    figures: UsageFigures,
    finish_reason: Option<String>,
    done: bool,
    broken: Option<Broken>,
}

impl AnswerReader {
    /// A reader for one answer; with `keep_text` its text is kept.
    pub fn new(protocol: Protocol, keep_text: bool) -> Self {
        let state = State {
            protocol,
            head: Vec::new(),
            events: false,
            last_us: 0,
            tally: Tally::default(),
            text: keep_text.then(|| KeptText::new(protocol)),
            figures: UsageFigures::default(),
            finish_reason: None,
            done: false,
            broken: None,
        };
        Self { sse: SseParser::new(EVENT_LIMIT), state }
    }

    /// Takes in bytes of the body, read `at_us` microseconds after the request was sent.
    ///
    /// # Errors
    /// What broke the answer, now or in an earlier feed. [`finish`](Self::finish) still gives what came.
    pub fn feed(&mut self, bytes: &[u8], at_us: u64) -> Result<(), Broken> {
        let state = &mut self.state;
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        if state.done {
            return Ok(());
        }
        state.last_us = at_us;
        if !state.events {
            let room = HEAD.saturating_sub(state.head.len()).min(bytes.len());
            state.head.extend(bytes.iter().take(room));
        }
        match self.sse.feed(bytes, |event| state.take(event, at_us)) {
            Ok(()) | Err(Stop::Done) => Ok(()),
            Err(Stop::Broken(broken)) => {
                state.broken = Some(broken.clone());
                Err(broken)
            }
        }
    }

    /// Whether any output has come.
    pub fn has_output(&self) -> bool {
        self.state.tally.has_output()
    }

    /// Tokens so far: what the server counted, and one for each event it has not counted yet.
    pub fn tokens_so_far(&self) -> u32 {
        self.state.tally.tokens()
    }

    /// Whether `[DONE]` came: nothing more of this answer will.
    pub fn is_finished(&self) -> bool {
        self.state.done
    }

    /// The end of the body, or of the client's patience: what came, and how it ended.
    pub fn finish(mut self) -> (Answer, Outcome) {
        let mut torn = false;
        if !self.state.done
            && self.state.broken.is_none()
            && let Some(event) = self.sse.finish()
        {
            torn = !is_whole(event.data);
            if !torn && let Err(Stop::Broken(broken)) = self.state.take(event, self.state.last_us) {
                self.state.broken = Some(broken);
            }
        }
        let looks_like_a_stream = self.sse.looks_like_a_stream();
        self.state.finish(torn, looks_like_a_stream)
    }
}

impl State {
    fn take(&mut self, event: SseEvent<'_>, at_us: u64) -> Result<(), Stop> {
        if !self.events {
            self.events = true;
            self.head = Vec::new();
        }
        let data = event.data.trim_ascii();
        if event.name == b"error" {
            return Err(server_error(&error_words(data)));
        }
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            return Err(Stop::Done);
        }
        if data.first() != Some(&b'{') {
            return Err(malformed("no JSON object", data));
        }
        let update = match self.protocol {
            Protocol::Chat => chat::read(data),
            Protocol::Completions => completions::read(data),
            Protocol::Generate => generate::read(data),
        };
        match update {
            Ok(update) => self.apply(&update, at_us),
            Err(BadEvent::Error(words)) => Err(server_error(&words)),
            Err(BadEvent::Json(error)) => Err(malformed(&error.to_string(), data)),
            Err(BadEvent::Utf8) => Err(malformed("it is no UTF-8", data)),
        }
    }

    fn apply(&mut self, update: &Update<'_>, at_us: u64) -> Result<(), Stop> {
        let total = update.figures.output_tokens;
        self.tally.add(at_us, Sighting { spoken: update.spoken, output: update.output, total });
        self.figures.update(&update.figures);
        if let (Some(kept), Some(text)) = (&mut self.text, update.text) {
            kept.add(text);
        }
        let Some((reason, words)) = update.finish.and_then(finish_reason) else { return Ok(()) };
        let failed = matches!(reason.as_str(), "abort" | "error");
        self.finish_reason = Some(reason);
        match (failed, words) {
            (false, _) => Ok(()),
            (true, Some(words)) => Err(server_error(&format!("gave the request up: {words}"))),
            (true, None) => Err(server_error("gave the request up")),
        }
    }

    fn finish(self, torn: bool, looks_like_a_stream: bool) -> (Answer, Outcome) {
        let counted = self.tally.finish();
        let outcome = match self.broken {
            Some(broken) => Err(broken),
            None if self.done => Ok(()),
            None if !self.events && !torn && !looks_like_a_stream && !self.head.is_empty() => Err(Broken {
                class: FailureClass::NotAStream,
                message: format!("the body is no event stream: {}", harmless(&self.head, EXCERPT)),
            }),
            None if torn => Err(cut_off("within an event")),
            None if self.finish_reason.is_some() => Ok(()),
            None if !self.events => Err(cut_off("before the first event")),
            None => Err(cut_off("without a finish reason or [DONE]")),
        };
        let outcome = outcome.and_then(|()| match counted.output_tokens {
            0 => Err(Broken { class: FailureClass::NoTokens, message: "the answer has no token".into() }),
            _ => Ok(()),
        });
        let answer = Answer {
            input_tokens: self.figures.input_tokens,
            cached_tokens: self.figures.cached_tokens,
            output_tokens: counted.output_tokens,
            reasoning_tokens: self.figures.reasoning_tokens,
            token_source: counted.source,
            accept_length: self.figures.speculation.map(|speculation| match speculation {
                Speculation::Steps(steps) => f64::from(counted.output_tokens) / f64::from(steps),
                Speculation::Length(length) => length,
            }),
            chunk_us: counted.chunk_us,
            chunk_tokens: counted.chunk_tokens,
            finish_reason: self.finish_reason,
            text: self.text.map(KeptText::finish),
        };
        let outcome = match outcome {
            Ok(()) => Outcome::Done,
            Err(Broken { class, message }) => Outcome::Failed { class, message },
        };
        (answer, outcome)
    }
}

impl From<EventTooLarge> for Stop {
    fn from(error: EventTooLarge) -> Self {
        Stop::Broken(Broken { class: FailureClass::TooLarge, message: error.to_string() })
    }
}

/// Whether an event without its blank line is one that lacks nothing else.
fn is_whole(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    data == b"[DONE]"
        || (data.first() == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok())
}

fn server_error(words: &str) -> Stop {
    Stop::Broken(Broken { class: FailureClass::ServerError, message: format!("the server: {words}") })
}

fn malformed(why: &str, data: &[u8]) -> Stop {
    let message = format!("an event is not as the protocol has it ({why}): {}", harmless(data, EXCERPT));
    Stop::Broken(Broken { class: FailureClass::Malformed, message })
}

fn cut_off(place: &str) -> Broken {
    Broken { class: FailureClass::CutOff, message: format!("the stream ended {place}") }
}

#[cfg(test)]
mod tests;
