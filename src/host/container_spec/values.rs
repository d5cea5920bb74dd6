//! The values of a container's settings, written as on the engines' command lines.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::mounts::{Device, NodePath, Volume};

/// A text that is no such value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {what}: {accepted}")]
pub struct BadContainerValue {
    value: String,
    what: &'static str,
    accepted: &'static str,
}

impl BadContainerValue {
    pub(super) fn new(value: &str, what: &'static str, accepted: &'static str) -> Self {
        // A message stays a line, whatever somebody pasted.
        const SHOWN: usize = 100;
        Self { value: value.chars().take(SHOWN).collect(), what, accepted }
    }
}

/// Strings in TOML and JSON are read as they are from the command line.
macro_rules! read_from_text {
    ($($value:ident)+) => {$(
        impl TryFrom<Cow<'_, str>> for $value {
            type Error = BadContainerValue;

            fn try_from(text: Cow<'_, str>) -> Result<Self, BadContainerValue> {
                text.parse()
            }
        }
    )+};
}
read_from_text! { ByteSize Capability Device NodePath Restart Volume }

/// A namespace for System V IPC and POSIX shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipc {
    /// The node's.
    Host,
    /// The container's own.
    Private,
    /// The container's own, which others may join.
    Shareable,
    /// The container's own, without `/dev/shm`.
    None,
}

impl fmt::Display for Ipc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ipc::Host => "host",
            Ipc::Private => "private",
            Ipc::Shareable => "shareable",
            Ipc::None => "none",
        })
    }
}

/// A limit of a process, in the unit its name has with the engines: bytes for `memlock` and `stack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// What holds at first; -1 for no limit.
    pub soft: i64,
    /// How far the process may raise it itself; -1 for no limit.
    pub hard: i64,
}

impl Ulimit {
    /// The names that the engines know.
    pub const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    /// No limit.
    pub const UNLIMITED: i64 = -1;
    const ACCEPTED: &str =
        "a whole number from 0, -1 or `unlimited`, or two of these as `SOFT:HARD`, the soft one no larger";

    fn checked(soft: i64, hard: i64) -> Option<Self> {
        let known = soft >= Self::UNLIMITED && hard >= Self::UNLIMITED;
        let ordered = hard == Self::UNLIMITED || (soft != Self::UNLIMITED && soft <= hard);
        (known && ordered).then_some(Self { soft, hard })
    }
}

impl FromStr for Ulimit {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        let number = |text: &str| match text {
            "unlimited" => Some(Self::UNLIMITED),
            text => text.parse::<i64>().ok(),
        };
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let both = number(soft).zip(number(hard));
        let limit = both.and_then(|(soft, hard)| Self::checked(soft, hard));
        limit.ok_or_else(|| BadContainerValue::new(text, "limit", Self::ACCEPTED))
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.soft == self.hard {
            true => write!(f, "{}", self.soft),
            false => write!(f, "{}:{}", self.soft, self.hard),
        }
    }
}

/// A number stands for itself: `memlock = -1`.
impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Ulimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Ulimit::ACCEPTED)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Ulimit, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ulimit, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A number of bytes, written with the engines' units of 1024: `16g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Largest first.
    const UNITS: [(char, u64); 5] =
        [('t', 1 << 40), ('g', 1 << 30), ('m', 1 << 20), ('k', 1 << 10), ('b', 1)];
}

impl FromStr for ByteSize {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        let lower = text.to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &lower[digits.len()..] {
            "" => Some(1),
            unit => {
                let named = Self::UNITS.iter().find(|(name, _)| unit.starts_with(*name));
                let plain = matches!(&unit[1..], "" | "b" | "ib") && unit != "bb" && unit != "bib";
                named.filter(|_| plain).map(|(_, bytes)| *bytes)
            }
        };
        // `+1` would be a number to Rust and to no engine.
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok());
        let bytes = number.flatten().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
        // The engines take 0 for their own default.
        bytes.filter(|bytes| (1..=i64::MAX as u64).contains(bytes)).map(Self).ok_or_else(|| {
            let accepted = "a whole number from 1 with the unit b, k, m, g or t (1024 each), as in `16g`";
            BadContainerValue::new(text, "size", accepted)
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = Self::UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (name, bytes) = unit.copied().unwrap_or(('b', 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

/// A capability by its name without `CAP_`: `IPC_LOCK`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub struct Capability(String);

impl FromStr for Capability {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        match !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            true => Ok(Self(name.to_owned())),
            false => {
                Err(BadContainerValue::new(text, "capability", "a name of letters and `_`, as in `IPC_LOCK`"))
            }
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When an engine starts a container again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub enum Restart {
    /// Never.
    No,
    /// Whenever it ended or the engine itself was started.
    Always,
    /// Likewise, unless somebody stopped it.
    UnlessStopped,
    /// When it failed, so many times at most.
    OnFailure(Option<u32>),
}

impl FromStr for Restart {
    type Err = BadContainerValue;

    fn from_str(text: &str) -> Result<Self, BadContainerValue> {
        let times = |text: &str| text.parse().ok().filter(|times| *times > 0);
        let policy = match text {
            "no" => Some(Self::No),
            "always" => Some(Self::Always),
            "unless-stopped" => Some(Self::UnlessStopped),
            "on-failure" => Some(Self::OnFailure(None)),
            _ => text.strip_prefix("on-failure:").and_then(times).map(|times| Self::OnFailure(Some(times))),
        };
        policy.ok_or_else(|| {
            let accepted = "`no`, `always`, `unless-stopped`, `on-failure` or `on-failure:TIMES`";
            BadContainerValue::new(text, "restart policy", accepted)
        })
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Restart::No => f.write_str("no"),
            Restart::Always => f.write_str("always"),
            Restart::UnlessStopped => f.write_str("unless-stopped"),
            Restart::OnFailure(None) => f.write_str("on-failure"),
            Restart::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
        }
    }
}
