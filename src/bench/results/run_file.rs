//! `run.json`: what was run, where, and how it ended.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::environment::RunEnvironment;
use super::{FORMAT, ResultsError};
use crate::bench::plan::LoadPlan;
use crate::bench::secrets::without_secrets;
use crate::bench::summary::{ClientHealth, ServerView};
use crate::bench::target::ServerTarget;
use crate::fs::sha256_hex;

/// What was run, where, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunFile {
    /// The format of all files in the directory.
    pub format: u32,
    /// SHA-256 of `plan` as compact JSON: runs with the same one can be compared.
    pub plan_sha256: String,
    /// Everything that decided what was sent.
    pub plan: LoadPlan,
    /// Which of several runs of this plan, from 0.
    pub repeat: u32,
    /// The server's base URL. Holds no secret.
    pub target: String,
    /// What the server said of itself. Samples of its metrics are added at the end.
    pub server: ServerView,
    /// Whether the client kept up; absent until the end.
    pub client: Option<ClientHealth>,
    /// The machine the load came from.
    pub environment: RunEnvironment,
    /// How the workload was made: what its module reports, such as corrections of prompt lengths.
    pub workload: Value,
    /// When it began, RFC 3339, UTC.
    #[schemars(with = "String")]
    pub started: jiff::Timestamp,
    /// How it ended. Absent while it is running, and where it was killed.
    pub ended: Option<Ended>,
}

/// How a run ended, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ended {
    /// RFC 3339, UTC.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// Which way.
    #[serde(flatten)]
    pub how: HowEnded,
}

/// The ways a run ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum HowEnded {
    /// Every request ended.
    Finished,
    /// The user stopped it.
    Interrupted,
    /// It could not go on, or too many requests failed.
    Failed {
        /// Why.
        reason: String,
    },
}

impl RunFile {
    /// A run that is about to begin.
    pub(crate) fn new(
        plan: LoadPlan,
        target: &ServerTarget,
        server: ServerView,
        environment: RunEnvironment,
        workload: Value,
        repeat: u32,
        started: jiff::Timestamp,
    ) -> Self {
        Self {
            format: FORMAT,
            plan_sha256: plan_sha256(&plan),
            plan,
            repeat,
            target: target.to_string(),
            server: ServerView { info: server.info.map(|info| without_secrets(info, None)), ..server },
            client: None,
            environment,
            workload,
            started,
            ended: None,
        }
    }

    /// The same at its end, with all that became known.
    pub(crate) fn ended(
        self,
        how: HowEnded,
        at: jiff::Timestamp,
        client: Option<ClientHealth>,
        server: ServerView,
    ) -> Self {
        let server = ServerView { info: server.info.map(|info| without_secrets(info, None)), ..server };
        Self { ended: Some(Ended { at, how }), client, server, ..self }
    }
}

/// The hash that tells plans apart.
pub(crate) fn plan_sha256(plan: &LoadPlan) -> String {
    hash(&serde_json::to_value(plan).expect("plain data always serialises"))
}

fn hash(plan: &Value) -> String {
    sha256_hex(plan.to_string().as_bytes())
}

/// Reads one; the format is looked at first.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<RunFile, ResultsError> {
    let value = parse_format(path, bytes)?;
    let plan = value.get("plan").map(hash);
    let run: RunFile = from_value(path, value)?;
    if plan.as_deref() != Some(run.plan_sha256.as_str()) {
        return Err(ResultsError::Field {
            path: path.to_owned(),
            field: "plan_sha256".into(),
            message: "does not match the plan: the file was edited".into(),
        });
    }
    Ok(run)
}

/// The file as JSON, of this version's format.
pub(super) fn parse_format(path: &Path, bytes: &[u8]) -> Result<Value, ResultsError> {
    let bad = |field: &str, message: String| ResultsError::Field {
        path: path.to_owned(),
        field: field.into(),
        message,
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| bad(".", error.to_string()))?;
    match value.get("format") {
        Some(format) if format.as_u64() == Some(u64::from(FORMAT)) => Ok(value),
        Some(format) => Err(ResultsError::Format { path: path.to_owned(), found: format.to_string() }),
        None => Err(bad("format", format!("is missing; {FORMAT} is what this version reads"))),
    }
}

pub(super) fn from_value<T: serde::de::DeserializeOwned>(
    path: &Path,
    value: Value,
) -> Result<T, ResultsError> {
    serde_path_to_error::deserialize(value).map_err(|error| ResultsError::Field {
        path: path.to_owned(),
        field: error.path().to_string(),
        message: error.inner().to_string(),
    })
}
