//! Measuring an inference server: what is sent, when, and what came back. Knows URLs, never containers.
//!
//! | module | what lives there |
//! |---|---|
//! | [`plan`] | everything that decides what is sent and how it is judged |
//! | [`conversation`] | the requests themselves, made before the run |
//! | [`record`] | what happened to one request: a line of `requests.jsonl` |
//! | [`target`] | where the server is |
//! | [`summary`] | what a run comes to: `summary.json` |
//! | [`compare`] | runs of one plan against each other: ratios, intervals, verdicts |
//! | [`sweep`] | one workload under rising load, and where its knee is |

pub mod compare;
pub mod conversation;
pub mod plan;
pub mod record;
pub mod summary;
pub mod sweep;
pub mod target;
