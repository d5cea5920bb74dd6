//! What is asked: conversations made whole before a run.
//!
//! | module | what lives there |
//! |---|---|
//! | [`oracle`] | who says how many tokens a prompt has |
//! | `vocabulary` | words and what they cost, found out by asking |
//! | `fit` | prompts of a wanted length |
//! | `synthetic` | random, shared-prefix and multi-turn workloads |
//! | [`mod@file`] | prompts from files |
//! | `sharegpt`, `jsonl` | the formats |

pub(crate) mod file;
mod fit;
mod jsonl;
pub(crate) mod oracle;
mod recorded;
mod sharegpt;
mod synthetic;
mod vocabulary;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::oracle::CalibratedOracle;
use super::conversation::Conversation;
use super::plan::{Lengths, LoadPlan, Workload};
use super::summary::LengthError;
use crate::failure::{Failure, Kind, forwards};

/// What a workload is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkloadSpec<'a> {
    /// The plan.
    pub plan: &'a LoadPlan,
    /// Where the plan's data file lies, for workloads that have one.
    pub file: Option<&'a Path>,
    /// The longest sequence the server takes, tokens, where it says.
    pub context: Option<u32>,
}

/// A workload, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    /// Measured.
    pub conversations: Vec<Conversation>,
    /// Sent before, thrown away. One turn each, other prompts than the measured ones.
    pub warmup: Vec<Conversation>,
    /// How it was made.
    pub report: WorkloadReport,
}

/// How a workload was made, and how near it came to what was wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WorkloadReport {
    /// Who counted tokens. None where nobody did.
    pub counted_by: Option<String>,
    /// Whether those counts were compared with the usage the server itself states.
    pub agrees_with_usage: bool,
    /// Texts counted to make it.
    pub counts: u32,
    /// Tokens around a prompt: chat template, beginning token. They are part of the planned length.
    pub overhead_tokens: Option<u32>,
    /// Different words in it.
    pub words: u32,
    /// Prompts made to a length.
    pub prompts: u32,
    /// Of these, counted. Where counting passes through the model, it is their like that was.
    pub verified: u32,
    /// How far the counted were off in the end.
    pub length_error: Option<LengthError>,
    /// Prompts planned shorter than any prompt can be, and made as short as can be instead.
    pub raised: u32,
    /// Conversations of a file that hold no question with an answer, or more tokens than the server takes.
    pub skipped: u32,
    /// What the user should know, one sentence each.
    pub notes: Vec<String>,
}

/// A workload that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkloadError {
    /// A figure that gives none.
    #[error("workload: {field} is {value}; {accepted}")]
    Figure {
        /// Which one.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        accepted: &'static str,
    },
    /// More than the server takes.
    #[error("workload: {tokens} tokens of prompt and answer are more than the {context} the server takes")]
    TooLong {
        /// Tokens of the longest conversation.
        tokens: u64,
        /// The server's longest sequence.
        context: u32,
    },
    /// A workload from a file, and no file.
    #[error("workload: the file `{name}` is missing")]
    NoFile {
        /// Its name in the plan.
        name: String,
    },
    /// The file.
    #[error(transparent)]
    File(#[from] file::BadFile),
    /// Counting.
    #[error(transparent)]
    Counting(Box<dyn Failure>),
}

impl From<Box<dyn Failure>> for WorkloadError {
    fn from(error: Box<dyn Failure>) -> Self {
        WorkloadError::Counting(error)
    }
}

forwards! {
    impl Failure for WorkloadError forwarding File, Counting {
        Self::Figure { .. } | Self::TooLong { .. } | Self::NoFile { .. } => Kind::Input;
    }
}

/// Make a workload. Without an oracle, a word is taken for a token, and the report says so.
///
/// # Errors
/// A plan, a file or a server that gives none.
pub(crate) async fn prepare(
    wanted: &WorkloadSpec<'_>,
    oracle: Option<&CalibratedOracle>,
) -> Result<Prepared, WorkloadError> {
    check(wanted)?;
    let mut prepared = match &wanted.plan.workload {
        Workload::Sharegpt { .. } | Workload::Jsonl { .. } => recorded::prepare(wanted, oracle).await?,
        _ => synthetic::prepare(wanted, oracle).await?,
    };
    if let Some(oracle) = oracle {
        let report = &mut prepared.report;
        report.counts = oracle.calls();
        report.agrees_with_usage = oracle.agrees_with_usage;
        report.notes.splice(0..0, oracle.notes.iter().cloned());
        if report.counts > 0 {
            report.counted_by = Some(oracle.name().to_owned());
        }
    }
    Ok(prepared)
}

fn check(wanted: &WorkloadSpec<'_>) -> Result<(), WorkloadError> {
    let plan = wanted.plan;
    let positive = |field, value: u32| match value {
        0 => Err(WorkloadError::Figure { field, value: "0".into(), accepted: "it must be at least 1" }),
        _ => Ok(()),
    };
    let ratio = |lengths: &Lengths| match lengths {
        Lengths::Uniform { range_ratio } if !(0.0..=1.0).contains(range_ratio) => {
            let value = range_ratio.to_string();
            Err(WorkloadError::Figure { field: "range_ratio", value, accepted: "it must be from 0 to 1" })
        }
        _ => Ok(()),
    };
    positive("requests", plan.requests)?;
    let longest = match &plan.workload {
        Workload::Random { input_tokens, output_tokens, lengths } => {
            positive("input_tokens", *input_tokens)?;
            positive("output_tokens", *output_tokens)?;
            ratio(lengths)?;
            u64::from(*input_tokens) + u64::from(*output_tokens)
        }
        Workload::SharedPrefix { groups, prefix_tokens, input_tokens, output_tokens, lengths } => {
            positive("groups", *groups)?;
            positive("prefix_tokens", *prefix_tokens)?;
            positive("input_tokens", *input_tokens)?;
            positive("output_tokens", *output_tokens)?;
            ratio(lengths)?;
            u64::from(*prefix_tokens) + u64::from(*input_tokens) + u64::from(*output_tokens)
        }
        Workload::MultiTurn { turns, input_tokens, output_tokens, lengths, .. } => {
            positive("turns", *turns)?;
            positive("input_tokens", *input_tokens)?;
            positive("output_tokens", *output_tokens)?;
            ratio(lengths)?;
            u64::from(*turns) * (u64::from(*input_tokens) + u64::from(*output_tokens))
        }
        Workload::Sharegpt { output_tokens, .. } | Workload::Jsonl { output_tokens, .. } => {
            output_tokens.map_or(Ok(()), |tokens| positive("output_tokens", tokens))?;
            0
        }
    };
    match wanted.context {
        Some(context) if longest > u64::from(context) => {
            Err(WorkloadError::TooLong { tokens: longest, context })
        }
        _ => Ok(()),
    }
}
