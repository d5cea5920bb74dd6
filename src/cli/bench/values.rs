//! The forms a flag's value may have. What it may be is checked with the plan, for profiles and flags alike.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

/// `N` or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// So many.
    At(u32),
    /// No limit.
    Without,
}

/// `R` or `inf`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RateArg {
    /// So many a second.
    PerSecond(f64),
    /// All at once.
    Unlimited,
}

/// How often, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScrapeInterval {
    /// So often.
    Every(Duration),
    /// Never.
    Never,
}

/// `sharegpt:FILE` or `jsonl:FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dataset {
    /// ShareGPT's format.
    Sharegpt(PathBuf),
    /// An object a line.
    Jsonl(PathBuf),
}

/// One SLO: what was said of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Objective {
    /// Nothing.
    #[default]
    Unsaid,
    /// At most so many milliseconds.
    Ms(f64),
    /// None.
    Without,
}

/// `--slo`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SloArg {
    /// Time to first token.
    pub ttft: Objective,
    /// Time per output token.
    pub tpot: Objective,
    /// End to end.
    pub e2e: Objective,
}

type Parsed<T> = Result<T, String>;

/// A whole number.
pub(super) fn whole(text: &str) -> Parsed<u32> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u32::MAX))
}

/// A whole number, a large one too.
pub(super) fn large(text: &str) -> Parsed<u64> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// Any number; `nan` and `inf` are numbers here, and refused with the plan.
pub(super) fn number(text: &str) -> Parsed<f64> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

/// A number or `none`.
pub(super) fn limit(text: &str) -> Parsed<Limit> {
    match text {
        "none" => Ok(Limit::Without),
        _ => whole(text).map(Limit::At).map_err(|error| format!("{error}, or none")),
    }
}

/// A rate or `inf`.
pub(super) fn rate(text: &str) -> Parsed<RateArg> {
    match number(text).map_err(|_| "expected a number of requests per second, or inf".to_owned())? {
        rate if rate == f64::INFINITY => Ok(RateArg::Unlimited),
        rate => Ok(RateArg::PerSecond(rate)),
    }
}

/// `1:10`.
pub(super) fn ramp(text: &str) -> Parsed<(f64, f64)> {
    let two = text.split_once(':').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    two.ok_or_else(|| "expected two rates per second as FROM:TO, such as 1:10".to_owned())
}

/// `8x1024`.
pub(super) fn shared_prefix(text: &str) -> Parsed<(u32, u32)> {
    let two =
        text.split_once('x').and_then(|(groups, tokens)| Some((groups.parse().ok()?, tokens.parse().ok()?)));
    two.ok_or_else(|| "expected GROUPSxTOKENS, such as 8x1024".to_owned())
}

/// `sharegpt:FILE` or `jsonl:FILE`.
pub(super) fn dataset(text: &str) -> Parsed<Dataset> {
    match text.split_once(':') {
        Some(("sharegpt", file)) if !file.is_empty() => Ok(Dataset::Sharegpt(file.into())),
        Some(("jsonl", file)) if !file.is_empty() => Ok(Dataset::Jsonl(file.into())),
        _ => Err("expected sharegpt:FILE or jsonl:FILE".to_owned()),
    }
}

/// A JSON object.
pub(super) fn object(text: &str) -> Parsed<Map<String, Value>> {
    // A value that is no JSON may be anything, a key among it; the message does not repeat it.
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("expected a JSON object, such as '{\"top_k\": 1}'".to_owned()),
        Err(error) => Err(format!("expected a JSON object, such as '{{\"top_k\": 1}}': {error}")),
    }
}

/// `5%`, or `0.05`.
pub(super) fn share(text: &str) -> Parsed<f64> {
    let bad = || "expected a share from 0% to 100%, such as 5% or 0.05".to_owned();
    let (digits, whole) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim(), 100.0),
        None => (text, 1.0),
    };
    let share = digits.parse::<f64>().map_err(|_| bad())? / whole;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(bad()) }
}

/// `500ms`, `90s`, `1h30m`. Without a unit a number could mean seconds or milliseconds, so it needs one.
pub(super) fn pause(text: &str) -> Parsed<Duration> {
    const FORM: &str = "expected a time with its unit, such as 500ms, 30s or 10m";
    let bad = || match text.trim_start().starts_with('-') {
        true => format!("no time is negative; {FORM}"),
        false => FORM.to_owned(),
    };
    crate::span::parse(text).ok_or_else(bad)
}

/// The same as seconds.
pub(super) fn seconds(text: &str) -> Parsed<f64> {
    pause(text).map(|time| time.as_secs_f64())
}

/// A time above zero, or `none`.
pub(super) fn interval(text: &str) -> Parsed<ScrapeInterval> {
    if text == "none" {
        return Ok(ScrapeInterval::Never);
    }
    match pause(text) {
        Ok(time) if time >= Duration::from_millis(100) => Ok(ScrapeInterval::Every(time)),
        _ => Err("expected a time of at least 100ms with its unit, such as 5s, or none".to_owned()),
    }
}

/// `ttft=500ms,tpot=50ms`, or `none`.
pub(super) fn slo(text: &str) -> Parsed<SloArg> {
    const FORM: &str =
        "expected ttft, tpot or e2e, each once, with a time or none, such as ttft=500ms,tpot=50ms";
    if text == "none" {
        let none = Objective::Without;
        return Ok(SloArg { ttft: none, tpot: none, e2e: none });
    }
    let mut slo = SloArg::default();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| FORM.to_owned())?;
        let place = match name.trim() {
            "ttft" => &mut slo.ttft,
            "tpot" => &mut slo.tpot,
            "e2e" => &mut slo.e2e,
            _ => return Err(format!("`{name}`: {FORM}")),
        };
        if *place != Objective::Unsaid {
            return Err(format!("`{name}` twice: {FORM}"));
        }
        *place = match value.trim() {
            "none" => Objective::Without,
            time => {
                Objective::Ms(pause(time).map_err(|error| format!("`{name}`: {error}"))?.as_secs_f64() * 1e3)
            }
        };
    }
    Ok(slo)
}

/// `1,2,4`: what `one` reads, each once.
pub(super) fn list<T: PartialEq>(text: &str, one: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut found: Vec<T> = Vec::new();
    for part in text.split(',') {
        let value = one(part.trim())?;
        if found.contains(&value) {
            return None;
        }
        found.push(value);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit_and_go_forward() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("1h30m", 5_400_000), ("0.5s", 500), ("0s", 0)] {
            assert_eq!(pause(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "-5s", "fast", "5 apples", "nan", "inf"] {
            assert!(pause(text).is_err_and(|error| error.contains("500ms")), "{text}");
        }
        assert!(pause("-5s").is_err_and(|error| error.contains("negative")));
        assert_eq!(interval("none"), Ok(ScrapeInterval::Never));
        assert_eq!(interval("1s"), Ok(ScrapeInterval::Every(Duration::from_secs(1))));
        assert!(interval("0s").is_err() && interval("1ms").is_err() && interval("5").is_err());
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.05"), Ok(0.05));
        assert_eq!(share("100%"), Ok(1.0));
        for text in ["5", "-1%", "101%", "nan", "%", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_prefixes_ramps_and_files() {
        assert_eq!(rate("inf"), Ok(RateArg::Unlimited));
        assert_eq!(rate("2"), Ok(RateArg::PerSecond(2.0)));
        // Refused with the plan, by value.
        assert!(matches!(rate("-inf"), Ok(RateArg::PerSecond(rate)) if rate < 0.0));
        assert!(rate("fast").is_err());
        assert_eq!(ramp("1:10"), Ok((1.0, 10.0)));
        assert!(ramp("1").is_err() && ramp("1:").is_err() && ramp("1-10").is_err());
        assert_eq!(shared_prefix("8x1024"), Ok((8, 1024)));
        assert!(
            shared_prefix("8").is_err() && shared_prefix("-8x1").is_err() && shared_prefix("8xx1").is_err()
        );
        assert_eq!(dataset("jsonl:a:b"), Ok(Dataset::Jsonl("a:b".into())));
        assert!(dataset("jsonl:").is_err() && dataset("csv:x").is_err() && dataset("x.json").is_err());
        assert_eq!(limit("none"), Ok(Limit::Without));
        assert!(limit("-1").is_err() && limit("4294967296").is_err());
    }

    #[test]
    fn objectives_are_said_once_each() {
        let found = slo("ttft=500ms, e2e=10s").unwrap();
        assert_eq!(
            (found.ttft, found.tpot, found.e2e),
            (Objective::Ms(500.0), Objective::Unsaid, Objective::Ms(1e4))
        );
        assert_eq!(slo("ttft=none").unwrap().ttft, Objective::Without);
        assert_eq!(slo("none").unwrap().e2e, Objective::Without);
        for text in ["", "ttft", "ttft=5", "itl=5ms", "ttft=1s,ttft=2s", "ttft=1s,"] {
            assert!(slo(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_hold_each_value_once() {
        let numbers = |text| list(text, |part| part.parse::<u32>().ok());
        assert_eq!(numbers("1, 2,4"), Some(vec![1, 2, 4]));
        for text in ["", "1,,2", "1,1", "a"] {
            assert_eq!(numbers(text), None, "{text}");
        }
    }
}
