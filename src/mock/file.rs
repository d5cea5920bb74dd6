//! A scenario from a file: TOML, of which everything may be left out and nothing is unknown.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::scenario::{Detail, Scenario};
use crate::failure::{Failure, Kind};
use crate::fs::{ReadError, read_text_at_most};
use crate::toml_text::{BadToml, from_toml};

/// The longest scenario read, bytes: many times one that says everything.
const MAX_BYTES: u64 = 65_536;

/// A file that is no scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadScenario {
    /// It cannot be read.
    #[error("cannot read the scenario `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// Far larger than any scenario.
    #[error("the scenario `{}` has more than {MAX_BYTES} bytes, more than any scenario needs", path.display())]
    TooLarge { path: PathBuf },
    /// Not TOML, an unknown field, or a value of the wrong form.
    #[error("scenario `{}`, {place}: {message}", path.display())]
    Shape {
        path: PathBuf,
        /// The field and the line, as far as they are known.
        place: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A value that cannot be.
    #[error("scenario `{}`, field `{field}`: {value} is not accepted; expected {accepted}", path.display())]
    Value {
        path: PathBuf,
        field: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        accepted: &'static str,
    },
}

impl Failure for BadScenario {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Reads a scenario. Unless it says otherwise, of the truth only distributions are kept: who starts a server
/// from a file may let it run for days.
///
/// # Errors
/// A file that cannot be read, or is no scenario; the message names file, line and field.
pub(crate) fn read(path: &Path) -> Result<Scenario, BadScenario> {
    let text = read_text_at_most(path, MAX_BYTES).map_err(|error| match error {
        ReadError::Io(source) => BadScenario::Read { path: path.to_owned(), source },
        ReadError::TooLarge { .. } => BadScenario::TooLarge { path: path.to_owned() },
    })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Scenario, BadScenario> {
    let mut scenario: Scenario = from_toml(text)
        .map_err(|BadToml { place, message }| BadScenario::Shape { path: path.to_owned(), place, message })?;
    if let Some((field, value, accepted)) = refused(&scenario) {
        return Err(BadScenario::Value { path: path.to_owned(), field, value, accepted });
    }
    // Read a moment ago, so it reads.
    if from_toml::<Said>(text).is_ok_and(|said| said.truth.is_none()) {
        scenario.truth = Detail::Distributions;
    }
    Ok(scenario)
}

/// Whether a file says what is kept of the truth.
#[derive(Deserialize)]
struct Said {
    truth: Option<Detail>,
}

/// The first value that cannot be: field, value, and what it may be.
fn refused(scenario: &Scenario) -> Option<(&'static str, String, &'static str)> {
    const SHARE: &str = "a share from 0 to 1";
    const WHOLE: &str = "a whole number from 1";
    let share = |value: f64| !(0.0..=1.0).contains(&value);
    let Scenario { jitter, cached, coalesce, fault_every, kv_tokens, max_model_len, .. } = *scenario;
    let status = scenario.turn_away.map(|(_, status)| status);
    [
        (share(jitter), "jitter", jitter.to_string(), SHARE),
        (share(cached), "cached", cached.to_string(), SHARE),
        (coalesce == 0, "coalesce", "0".into(), WHOLE),
        (fault_every == 0, "fault-every", "0".into(), WHOLE),
        (kv_tokens == 0, "kv-tokens", "0".into(), WHOLE),
        (max_model_len == 0, "max-model-len", "0".into(), WHOLE),
        (scenario.max_running == Some(0), "max-running", "0".into(), WHOLE),
        (scenario.stop_after == Some(0), "stop-after", "0".into(), WHOLE),
        (scenario.wire.split == Some(0), "wire.split", "0".into(), WHOLE),
        (
            scenario.accept.is_empty() || scenario.accept.contains(&0),
            "accept",
            format!("{:?}", scenario.accept),
            "whole numbers from 1, at least one",
        ),
        (
            status.is_some_and(|status| !(400..=599).contains(&status)),
            "turn-away",
            status.unwrap_or_default().to_string(),
            "a number of requests and a status from 400 to 599, such as [8, 429]",
        ),
    ]
    .into_iter()
    .find(|(wrong, ..)| *wrong)
    .map(|(_, field, value, accepted)| (field, value, accepted))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mock::Fault;
    use crate::mock::scenario::RoleChunk;

    fn of(text: &str) -> Result<Scenario, BadScenario> {
        parse(Path::new("a/slow.toml"), text)
    }

    #[test]
    fn what_a_file_leaves_out_is_as_always() {
        let nothing = of("").unwrap();
        assert_eq!(nothing, Scenario { truth: Detail::Distributions, ..Scenario::default() });
        assert_eq!(of("truth = \"events\"").unwrap(), Scenario::default());
        let some = of("ttft = \"80ms\"\nturn-away = [8, 429]\njitter = 1\n[wire]\ncrlf = true\n").unwrap();
        assert_eq!(
            (some.ttft, some.turn_away, some.jitter),
            (Duration::from_millis(80), Some((8, 429)), 1.0)
        );
        assert!(some.wire.crlf && some.itl == Scenario::default().itl);
    }

    #[test]
    fn the_documented_example_reads() {
        let text = include_str!("../../docs/benchmarking.md");
        let (_, rest) = text.split_once("```toml\n# scenario.toml\n").unwrap();
        let scenario = of(rest.split("```").next().unwrap()).unwrap();
        assert_eq!(scenario.fault, Some(Fault::CutAfter(20)));
        assert_eq!((scenario.role_chunk, scenario.wire.crlf), (RoleChunk::WithFirst, true));
    }

    #[test]
    fn what_cannot_be_names_file_field_and_value() {
        for (text, words) in [
            ("itll = \"5ms\"", &["line 1", "`itll`", "did you mean `itl`"][..]),
            ("seed = 3\n[wire]\nclrf = true", &["`wire", "line 3", "`clrf`", "did you mean `crlf`"]),
            ("ttft = 80", &["field `ttft`", "line 1", "80"]),
            ("ttft = \"80\"", &["field `ttft`", "`80` is no span of time", "50ms"]),
            ("itl = \"-1ms\"", &["field `itl`", "`-1ms`"]),
            ("[wire]\nkeep-alive = \"soon\"", &["field `wire.keep-alive`", "line 2", "`soon`"]),
            ("seed = 1\nfault = \"explode\"", &["field `fault`", "line 2", "`explode`", "cut-after=TOKENS"]),
            ("usage = \"some\"", &["field `usage`", "`some`", "as-asked"]),
            ("role-chunk = \"late\"", &["field `role-chunk`", "`late`", "with-first"]),
            ("coalesce = -1", &["field `coalesce`", "-1", "whole number"]),
            ("turn-away = [8]", &["field `turn-away`"]),
            ("seed = 1\nseed = 2", &["line 2", "duplicate key"]),
            ("ttft: 50ms", &["line 1"]),
            ("jitter = 1.5", &["field `jitter`", "1.5", "0 to 1"]),
            ("cached = -0.1", &["field `cached`", "-0.1"]),
            ("jitter = nan", &["field `jitter`", "NaN"]),
            ("coalesce = 0", &["field `coalesce`", "0 is not accepted", "from 1"]),
            ("fault-every = 0", &["field `fault-every`"]),
            ("kv-tokens = 0", &["field `kv-tokens`"]),
            ("max-model-len = 0", &["field `max-model-len`"]),
            ("max-running = 0", &["field `max-running`"]),
            ("stop-after = 0", &["field `stop-after`"]),
            ("[wire]\nsplit = 0", &["field `wire.split`"]),
            ("accept = []", &["field `accept`", "[]"]),
            ("accept = [1, 0]", &["field `accept`", "[1, 0]"]),
            ("turn-away = [8, 200]", &["field `turn-away`", "200", "599"]),
        ] {
            let error = of(text).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("scenario `a/slow.toml`"), "{text}: {message}");
            for word in words {
                assert!(message.contains(word), "{text}: `{word}` is not in: {message}");
            }
            assert_eq!(error.kind(), Kind::Input);
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        assert!(read(&path).unwrap_err().to_string().contains("mine.toml"));
        fs_err::write(&path, [b' '; MAX_BYTES as usize + 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("65536 bytes"));
        fs_err::write(&path, b"model = \"\xff\"").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("mine.toml"));
        fs_err::write(&path, "model = \"m\"").unwrap();
        assert_eq!(read(&path).unwrap().model, "m");
    }
}
