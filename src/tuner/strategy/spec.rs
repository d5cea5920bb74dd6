//! Which strategy, at which version, with which seed and options: all that a plan holds of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exhaustive::{self, Exhaustive};
use super::race::{self, Race};
use super::random::{self, Random};
use super::recording::{self, Recording};
use super::{SearchProblem, Strategy};

/// A strategy, written down: `{"name", "version", "seed", "options"}`. The problem comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct StrategySpec {
    /// How to search.
    pub method: Method,
    /// Where its dice begin.
    pub seed: u64,
}

/// A way to search, with its options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// [`Race`].
    Race(race::Options),
    /// [`Exhaustive`].
    Exhaustive(exhaustive::Options),
    /// [`Random`].
    Random(random::Options),
    /// [`Recording`].
    Recording(recording::Options),
}

impl Method {
    /// The name in plans and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Race(_) => race::NAME,
            Method::Exhaustive(_) => exhaustive::NAME,
            Method::Random(_) => random::NAME,
            Method::Recording(_) => recording::NAME,
        }
    }

    /// Goes up where equal options, seeds and answers lead to other questions than before.
    pub fn version(&self) -> u32 {
        match self {
            Method::Race(_) => race::VERSION,
            Method::Exhaustive(_) => exhaustive::VERSION,
            Method::Random(_) => random::VERSION,
            Method::Recording(_) => recording::VERSION,
        }
    }
}

impl StrategySpec {
    /// The strategy, at work on `problem`.
    pub fn strategy(&self, problem: Arc<SearchProblem>) -> Box<dyn Strategy> {
        match self.method {
            Method::Race(options) => Box::new(Race::new(problem, options, self.seed)),
            Method::Exhaustive(options) => Box::new(Exhaustive::new(problem, options)),
            Method::Random(options) => Box::new(Random::new(problem, options, self.seed)),
            Method::Recording(options) => Box::new(Recording::new(problem, options, self.seed)),
        }
    }
}

/// A spec as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    version: u32,
    seed: u64,
    options: Value,
}

/// Why a written spec means nothing to this version of the program.
#[derive(Debug, thiserror::Error)]
enum NoSpec {
    #[error("strategy.name is `{0}`; known are race, exhaustive, random and recording")]
    Name(String),
    #[error("strategy.version of `{name}` is {version}; this version of the program has {known}")]
    Version { name: String, version: u32, known: u32 },
    #[error("strategy.options of `{name}`: {source}")]
    Options { name: String, source: serde_json::Error },
}

impl TryFrom<Written> for StrategySpec {
    type Error = NoSpec;

    fn try_from(written: Written) -> Result<Self, NoSpec> {
        let Written { name, version, seed, options } = written;
        // Options of another version may have other fields: the version is looked at first.
        let known = match name.as_str() {
            race::NAME => race::VERSION,
            exhaustive::NAME => exhaustive::VERSION,
            random::NAME => random::VERSION,
            recording::NAME => recording::VERSION,
            _ => return Err(NoSpec::Name(name)),
        };
        if version != known {
            return Err(NoSpec::Version { name, version, known });
        }
        let method = match name.as_str() {
            race::NAME => serde_json::from_value(options).map(Method::Race),
            exhaustive::NAME => serde_json::from_value(options).map(Method::Exhaustive),
            random::NAME => serde_json::from_value(options).map(Method::Random),
            _ => serde_json::from_value(options).map(Method::Recording),
        };
        Ok(Self { method: method.map_err(|source| NoSpec::Options { name, source })?, seed })
    }
}

impl From<StrategySpec> for Written {
    fn from(spec: StrategySpec) -> Self {
        let options = match spec.method {
            Method::Race(options) => serde_json::to_value(options),
            Method::Exhaustive(options) => serde_json::to_value(options),
            Method::Random(options) => serde_json::to_value(options),
            Method::Recording(options) => serde_json::to_value(options),
        };
        Self {
            name: spec.method.name().into(),
            version: spec.method.version(),
            seed: spec.seed,
            options: options.expect("numbers with names always serialise"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn every() -> [Method; 4] {
        [
            Method::Race(Default::default()),
            Method::Exhaustive(Default::default()),
            Method::Random(Default::default()),
            Method::Recording(recording::Options { repeats: 3, sessions: 2 }),
        ]
    }

    #[test]
    fn a_spec_comes_back_from_what_is_written() {
        for method in every() {
            let spec = StrategySpec { method, seed: 7 };
            let written = serde_json::to_value(&spec).unwrap();
            let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["name", "version", "seed", "options"]);
            assert_eq!(serde_json::from_value::<StrategySpec>(written).unwrap(), spec);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let good = serde_json::to_value(StrategySpec { method: every()[1], seed: 0 }).unwrap();
        let said = |field: &str, value: Value| {
            let mut bad = good.clone();
            bad[field] = value;
            serde_json::from_value::<StrategySpec>(bad).unwrap_err().to_string()
        };
        assert!(said("name", json!("luck")).contains("strategy.name is `luck`; known are race"));
        assert!(said("version", json!(99)).contains("strategy.version of `exhaustive` is 99"));
        assert!(said("options", json!({ "repeats": 1, "laps": 1 })).contains("unknown field `laps`"));
        assert!(said("options", json!({})).contains("missing field `repeats`"));
        assert!(said("colour", json!(1)).contains("unknown field `colour`"));
    }
}
