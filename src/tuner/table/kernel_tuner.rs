//! Kernel Tuner's cache files: one JSON object, plain or gzipped, with the raw `times` of every config.
//!
//! Format: the cache file of Kernel Tuner (`tune_params_keys`, `tune_params`, `cache` with an object a
//! config whose `times` are milliseconds), as its auto-tuning methodology benchmark hub publishes it.
//! Where a config failed, `time` is a word instead of a number.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::{ArmResult, TableError, TimingTable};
use crate::fs::{read_at_most, read_rest_at_most};
use crate::tuner::strategy::{Arm, ArmFailure, Contest, SearchProblem, Slot};

/// Far above any published cache, far below what would exhaust a machine.
const MAX_BYTES: u64 = 1 << 30;

#[derive(Deserialize)]
struct CacheFile {
    device_name: Option<String>,
    kernel_name: Option<String>,
    tune_params_keys: Vec<String>,
    tune_params: BTreeMap<String, Vec<Value>>,
    cache: serde_json::Map<String, Value>,
}

/// Read the cache file at `path`.
pub(crate) fn read(path: &Path) -> Result<TimingTable, TableError> {
    let unreadable = |source| TableError::Read { path: path.to_owned(), source };
    let mut text = read_at_most(path, MAX_BYTES).map_err(|error| unreadable(error.into()))?;
    if text.starts_with(&[0x1f, 0x8b]) {
        text = read_rest_at_most(GzDecoder::new(&text[..]), MAX_BYTES)
            .map_err(|error| unreadable(error.into()))?;
    }
    parse(&text).map_err(|message| TableError::Bad { path: path.to_owned(), message })
}

/// Parse a cache file's text. The error says what is wrong and where.
pub(crate) fn parse(text: &[u8]) -> Result<TimingTable, String> {
    let file: CacheFile =
        serde_json::from_slice(text).map_err(|error| format!("is no Kernel Tuner cache: {error}"))?;
    let steps: Vec<&[Value]> = file
        .tune_params_keys
        .iter()
        .map(|key| {
            let values = file.tune_params.get(key).map(Vec::as_slice);
            values.ok_or_else(|| format!("tune_params: `{key}` of tune_params_keys is missing"))
        })
        .collect::<Result<_, _>>()?;
    let (mut arms, mut answers, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (key, entry) in &file.cache {
        let place = file
            .tune_params_keys
            .iter()
            .zip(&steps)
            .map(|(name, steps)| {
                let value =
                    entry.get(name).ok_or_else(|| format!("cache[\"{key}\"]: `{name}` is missing"))?;
                let step = steps.iter().position(|step| step == value);
                let step = step.and_then(|step| u16::try_from(step).ok());
                step.ok_or_else(|| format!("cache[\"{key}\"]: `{name}` is {value}, which tune_params lacks"))
            })
            .collect::<Result<Vec<u16>, String>>()?;
        let name = arms.len() as u32;
        arms.push(Arm { name, link: 0, family: name, place, prior: None });
        answers.push(answer(entry).map_err(|what| format!("cache[\"{key}\"]: {what}"))?);
        labels.push(key.clone());
    }
    if !answers.iter().any(|answer| matches!(answer, ArmResult::Times(_))) {
        return Err("cache: no config has times".into());
    }
    let contest = Contest { key: 0, slots: vec![Slot { arms }], default: None, incumbents: Vec::new() };
    let unnamed = |name: Option<String>, what: &str| name.unwrap_or_else(|| what.to_owned());
    Ok(TimingTable {
        title: format!(
            "{} on {}",
            unnamed(file.kernel_name, "an unnamed kernel"),
            unnamed(file.device_name, "an unnamed device")
        ),
        problem: Arc::new(SearchProblem { contests: vec![contest] }),
        answers: vec![vec![answers]],
        labels,
    })
}

fn answer(entry: &Value) -> Result<ArmResult, String> {
    if let Some(Value::String(failure)) = entry.get("time") {
        return Ok(ArmResult::Failed(match failure.as_str() {
            "CompilationFailedConfig" => ArmFailure::CompileFailed,
            "RuntimeFailedConfig" => ArmFailure::OutOfResources,
            "InvalidConfig" => ArmFailure::CompileFailed,
            other => return Err(format!("`time` is \"{other}\", which is neither a number nor a failure")),
        }));
    }
    let times = entry.get("times").and_then(Value::as_array).ok_or("`times` is missing")?;
    if times.is_empty() {
        return Err("`times` is empty".into());
    }
    let microseconds = |(index, time): (usize, &Value)| match time.as_f64() {
        Some(time) if time > 0.0 && time.is_finite() => Ok(time * 1000.0),
        _ => Err(format!("times[{index}] is {time}, a time is a positive number of milliseconds")),
    };
    times.iter().enumerate().map(microseconds).collect::<Result<_, _>>().map(ArmResult::Times)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"device_name": "D", "kernel_name": "k", "tune_params_keys": ["x", "y"],
        "tune_params": {"x": [1, 2], "y": [0, 8]}, "cache": {
            "1,0": {"x": 1, "y": 0, "time": 0.5, "times": [0.5, 0.25]},
            "2,8": {"x": 2, "y": 8, "time": "RuntimeFailedConfig"}}}"#;

    #[test]
    fn times_are_microseconds_and_failures_are_kept() {
        let table = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(table.title, "k on D");
        assert_eq!(table.size(), (1, 1));
        assert_eq!(table.answers[0][0][0], ArmResult::Times(vec![500.0, 250.0]));
        assert_eq!(table.answers[0][0][0].true_us(Statistic::Mean), Some(375.0));
        assert_eq!(table.answers[0][0][1], ArmResult::Failed(ArmFailure::OutOfResources));
        assert_eq!(table.problem.contests[0].slots[0].arms[1].place, [1, 1]);
        assert_eq!(table.total_us(), 750.0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |from: &str, to: &str| parse(GOOD.replace(from, to).as_bytes()).unwrap_err();
        for (from, to, message) in [
            ("[0.5, 0.25]", "[0.5, -1]", "cache[\"1,0\"]: times[1] is -1, a time is a positive"),
            ("[0.5, 0.25]", "[0.5, 0]", "cache[\"1,0\"]: times[1] is 0, a time is a positive"),
            ("[0.5, 0.25]", "[]", "cache[\"1,0\"]: `times` is empty"),
            ("\"times\": [0.5, 0.25]", "\"t\": 1", "cache[\"1,0\"]: `times` is missing"),
            ("\"x\": 1, ", "", "cache[\"1,0\"]: `x` is missing"),
            ("\"x\": 1, ", "\"x\": 3, ", "cache[\"1,0\"]: `x` is 3, which tune_params lacks"),
            ("\"y\": [0, 8]", "\"z\": [0]", "tune_params: `y` of tune_params_keys is missing"),
            ("RuntimeFailedConfig", "Sorry", "`time` is \"Sorry\""),
            ("\"times\": [0.5, 0.25]", "\"time\": \"InvalidConfig\"", "cache: no config has times"),
            ("\"cache\"", "\"trove\"", "is no Kernel Tuner cache: missing field `cache`"),
        ] {
            let said = wrong(from, to);
            assert!(said.contains(message), "{said}");
        }
    }

    use super::super::Statistic;
}
