//! What goes wrong with an answer, and how a fault is written: `cut-after=3`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What goes wrong with an answer. Token counts are of the answer's tokens sent before.
///
/// A step that carries several tokens is sent whole: the fault comes after the first step that reaches its
/// count. An answer without a stream is one step, so `*-after` faults break it off in the middle of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// An error event after so many tokens, then `[DONE]` and a well-formed end.
    ErrorAfter(u32),
    /// The connection closes after so many tokens, in order (FIN).
    CutAfter(u32),
    /// The connection is reset after so many tokens (RST): what the client has not read may be lost.
    ResetAfter(u32),
    /// Nothing for so long after so many tokens, then the rest. None is for ever.
    Stall(u32, Option<Duration>),
    /// This status instead of an answer.
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
    /// One event of so many bytes, after the first token. It is JSON of the stream's kind without a choice.
    HugeEvent(usize),
    /// Comments without end after the first token.
    Endless,
    /// An event that is no JSON after the first token, then the rest.
    Garbage,
}

impl Fault {
    /// The answer has no finish reason.
    pub(super) fn hides_finish(fault: Option<Self>) -> bool {
        matches!(fault, Some(Fault::NoFinish | Fault::NoEnd))
    }

    /// The answer has no `[DONE]`.
    pub(super) fn hides_done(fault: Option<Self>) -> bool {
        matches!(fault, Some(Fault::NoDone | Fault::NoEnd))
    }
}

/// A fault that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no fault; give one of {FAULTS}")]
pub struct BadFault {
    given: String,
}

/// The faults as they are given on the command line.
pub(crate) const FAULTS: &str = "error-after=TOKENS, cut-after=TOKENS, reset-after=TOKENS, \
                          stall=TOKENS:DURATION, stall=TOKENS:forever, status=CODE, no-done, \
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
            "reset-after" => Fault::ResetAfter(number()?),
            "stall" => {
                let (tokens, span) = value.and_then(|value| value.split_once(':')).ok_or_else(bad)?;
                let span = match span {
                    "forever" => None,
                    span => Some(crate::span::parse(span).ok_or_else(bad)?),
                };
                Fault::Stall(tokens.parse().map_err(|_| bad())?, span)
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
        if value.is_some() == fault.to_string().contains('=') { Ok(fault) } else { Err(bad()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ErrorAfter(tokens) => write!(f, "error-after={tokens}"),
            Fault::CutAfter(tokens) => write!(f, "cut-after={tokens}"),
            Fault::ResetAfter(tokens) => write!(f, "reset-after={tokens}"),
            Fault::Stall(tokens, Some(span)) => {
                write!(f, "stall={tokens}:{}", crate::span::write(*span))
            }
            Fault::Stall(tokens, None) => write!(f, "stall={tokens}:forever"),
            Fault::Status(code) => write!(f, "status={code}"),
            Fault::HugeEvent(bytes) => write!(f, "huge-event={bytes}"),
            Fault::NoDone => f.write_str("no-done"),
            Fault::NoFinish => f.write_str("no-finish"),
            Fault::NoEnd => f.write_str("no-end"),
            Fault::ZeroTokens => f.write_str("zero-tokens"),
            Fault::Html => f.write_str("html"),
            Fault::Endless => f.write_str("endless"),
            Fault::Garbage => f.write_str("garbage"),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = BadFault;

    fn try_from(given: String) -> Result<Self, BadFault> {
        given.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_they_are_documented() {
        assert_eq!("error-after=3".parse(), Ok(Fault::ErrorAfter(3)));
        assert_eq!("stall=2:1.5s".parse(), Ok(Fault::Stall(2, Some(Duration::from_millis(1500)))));
        assert_eq!("stall=0:forever".parse(), Ok(Fault::Stall(0, None)));
        assert_eq!("status=503".parse(), Ok(Fault::Status(503)));
        assert_eq!("no-done".parse(), Ok(Fault::NoDone));
        for bad in ["", "stall=2", "status=200", "no-done=1", "cut-after", "cut-after=-1", "eror-after=3"] {
            let error = bad.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("cut-after=TOKENS"), "{error}");
        }
    }

    #[test]
    fn every_documented_fault_is_read_and_written() {
        for documented in FAULTS.split(", ") {
            let given = documented.replace("TOKENS", "7").replace("DURATION", "30ms").replace("CODE", "429");
            let given = given.replace("BYTES", "100");
            assert_eq!(given.parse::<Fault>().unwrap().to_string(), given);
        }
    }
}
