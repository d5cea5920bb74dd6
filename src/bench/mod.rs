//! Measuring an inference server: what is sent, when, and what came back. Knows URLs, never containers.
//!
//! | module | what lives there |
//! |---|---|
//! | [`plan`] | everything that decides what is sent and how it is judged |
//! | [`conversation`] | the requests themselves, made before the run |
//! | [`profile`] | profiles and flags -> a plan, with where each value came from |
//! | [`record`] | what happened to one request: a line of `requests.jsonl` |
//! | [`target`] | where the server is |
//! | [`summary`] | what a run comes to: `summary.json` |

pub mod conversation;
pub mod plan;
pub mod profile;
pub mod record;
pub mod summary;
pub mod target;
