//! How the mock server behaves.

use std::str::FromStr;
use std::time::Duration;

/// Everything the mock does, the ordinary and the faults.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The model it says it serves.
    pub model: String,
    /// The longest sequence it takes, tokens.
    pub max_model_len: u32,
    /// From the whole request's arrival to the first token, in a free slot.
    pub ttft: Duration,
    /// Added to that for every prompt token.
    pub ttft_per_input_token: Duration,
    /// From one step to the next. A step is one token, or what `accept` says.
    pub itl: Duration,
    /// Each step is early or late by up to this share of `itl`, at random but the same for every run.
    pub jitter: f64,
    /// Tokens of consecutive steps sent in one event: `--stream-interval` of real servers.
    pub coalesce: u32,
    /// Tokens accepted in each step, over and over: speculative decoding. One event a step.
    pub accept: Vec<u32>,
    /// The first tokens of a chat answer are reasoning.
    pub reasoning: u32,
    /// The field reasoning stands in.
    pub reasoning_field: ReasoningField,
    /// After the reasoning, a chat answer is a tool call.
    pub tool_call: bool,
    /// A chat answer begins with a chunk that holds the role alone, at once.
    pub role_chunk: bool,
    /// A multi-byte character's first token has no text: every third event is empty but counts.
    pub empty_text: bool,
    /// Share of each prompt that is said to come from a cache.
    pub cached: f64,
    /// What usage says.
    pub usage: Usage,
    /// Requests that generate at once; others wait their turn.
    pub max_running: Option<u32>,
    /// Requests beyond this, waiting ones included, are turned away with this status.
    pub turn_away: Option<(u32, u16)>,
    /// For this long after its start it answers 503, as a server that still loads.
    pub slow_start: Duration,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// It goes wrong in every n-th request, the n-th first.
    pub fault_every: u32,
    /// How events are written.
    pub wire: Wire,
    /// The key it wants.
    pub api_key: Option<String>,
    /// Fixes jitter and words.
    pub seed: u64,
}

/// The name under which a chat delta holds reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningField {
    /// SGLang's `reasoning_content`.
    ReasoningContent,
    /// vLLM's `reasoning`.
    Reasoning,
}

/// What a stream says of its token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// What the request asks for: at the end, in every chunk, or not at all.
    AsAsked,
    /// At the end, whatever is asked: servers that do not know `continuous_usage_stats`.
    AtTheEnd,
    /// Never.
    Never,
    /// Off by this many tokens.
    Wrong(i32),
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wire {
    /// CRLF instead of LF.
    pub crlf: bool,
    /// Every write is cut into pieces of so many bytes, one packet each.
    pub split: Option<usize>,
    /// A comment after every event.
    pub comments: bool,
    /// A comment whenever nothing was sent for so long.
    pub keep_alive: Option<Duration>,
}

/// What goes wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error event after so many tokens, then a well-formed end.
    ErrorAfter(u32),
    /// The connection closes after so many tokens.
    CutAfter(u32),
    /// Nothing for so long after so many tokens, then the rest.
    Stall(u32, Duration),
    /// This status instead of a stream.
    Status(u16),
    /// No `[DONE]`.
    NoDone,
    /// No finish reason.
    NoFinish,
    /// Neither finish reason nor `[DONE]`, but a well-formed end of the body.
    NoEnd,
    /// A well-formed stream without a token.
    ZeroTokens,
    /// A web page with status 200.
    Html,
    /// An event of so many bytes in the middle.
    HugeEvent(usize),
    /// Comments without end.
    Endless,
    /// An event that is no JSON.
    Garbage,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            model: "mock".into(),
            max_model_len: 32_768,
            ttft: Duration::from_millis(50),
            ttft_per_input_token: Duration::ZERO,
            itl: Duration::from_millis(20),
            jitter: 0.0,
            coalesce: 1,
            accept: vec![1],
            reasoning: 0,
            reasoning_field: ReasoningField::ReasoningContent,
            tool_call: false,
            role_chunk: true,
            empty_text: false,
            cached: 0.0,
            usage: Usage::AsAsked,
            max_running: None,
            turn_away: None,
            slow_start: Duration::ZERO,
            fault: None,
            fault_every: 1,
            wire: Wire::default(),
            api_key: None,
            seed: 0,
        }
    }
}

/// A usage that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` says nothing of token counts; give as-asked, end, never, or a number such as +3 or -1")]
pub struct BadUsage {
    given: String,
}

impl FromStr for Usage {
    type Err = BadUsage;

    fn from_str(given: &str) -> Result<Self, BadUsage> {
        match given {
            "as-asked" => Ok(Usage::AsAsked),
            "end" => Ok(Usage::AtTheEnd),
            "never" => Ok(Usage::Never),
            number if number.starts_with(['+', '-']) => {
                number.parse().map(Usage::Wrong).map_err(|_| BadUsage { given: given.to_owned() })
            }
            _ => Err(BadUsage { given: given.to_owned() }),
        }
    }
}

/// A fault that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no fault; give one of {FAULTS}")]
pub struct BadFault {
    given: String,
}

/// The faults as they are given on the command line.
pub const FAULTS: &str = "error-after=TOKENS, cut-after=TOKENS, stall=TOKENS:DURATION, status=CODE, no-done, \
                          no-finish, no-end, zero-tokens, html, huge-event=BYTES, endless, garbage";

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(given: &str) -> Result<Self, BadFault> {
        let bad = || BadFault { given: given.to_owned() };
        let (name, value) = given.split_once('=').map_or((given, None), |(name, value)| (name, Some(value)));
        let number = || value.and_then(|value| value.parse().ok()).ok_or_else(bad);
        let fault = match name {
            "error-after" => Fault::ErrorAfter(number()?),
            "cut-after" => Fault::CutAfter(number()?),
            "stall" => {
                let (tokens, span) = value.and_then(|value| value.split_once(':')).ok_or_else(bad)?;
                Fault::Stall(tokens.parse().map_err(|_| bad())?, crate::span::parse(span).ok_or_else(bad)?)
            }
            "status" => {
                let code = u16::try_from(number()?).map_err(|_| bad())?;
                Fault::Status(Some(code).filter(|code| (400..=599).contains(code)).ok_or_else(bad)?)
            }
            "huge-event" => Fault::HugeEvent(number()? as usize),
            "no-done" => Fault::NoDone,
            "no-finish" => Fault::NoFinish,
            "no-end" => Fault::NoEnd,
            "zero-tokens" => Fault::ZeroTokens,
            "html" => Fault::Html,
            "endless" => Fault::Endless,
            "garbage" => Fault::Garbage,
            _ => return Err(bad()),
        };
        let takes_value = matches!(
            fault,
            Fault::ErrorAfter(_)
                | Fault::CutAfter(_)
                | Fault::Stall(..)
                | Fault::Status(_)
                | Fault::HugeEvent(_)
        );
        if value.is_some() == takes_value { Ok(fault) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_reads_as_it_is_documented() {
        let read = ["as-asked", "end", "never", "+3", "-1"].map(|given| given.parse::<Usage>().unwrap());
        let known = [Usage::AsAsked, Usage::AtTheEnd, Usage::Never, Usage::Wrong(3), Usage::Wrong(-1)];
        assert_eq!(read, known);
        assert!("3".parse::<Usage>().unwrap_err().to_string().contains("as-asked"));
    }

    #[test]
    fn faults_read_as_they_are_documented() {
        assert_eq!("error-after=3".parse(), Ok(Fault::ErrorAfter(3)));
        assert_eq!("stall=2:1.5s".parse(), Ok(Fault::Stall(2, Duration::from_millis(1500))));
        assert_eq!("status=503".parse(), Ok(Fault::Status(503)));
        assert_eq!("no-done".parse(), Ok(Fault::NoDone));
        for bad in ["", "stall=2", "status=200", "no-done=1", "cut-after", "cut-after=-1", "eror-after=3"] {
            let error = bad.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("cut-after=TOKENS"), "{error}");
        }
    }
}
