//! Measuring an inference server: what is sent, when, and what came back. Knows URLs, never containers.
//!
//! | module | what lives there |
//! |---|---|
//! | [`plan`] | everything that decides what is sent and how it is judged |
//! | [`arrival`] | when each conversation is due |
//! | [`workload`] | makes the requests: random words of exact lengths, files |
//! | [`conversation`] | the requests themselves, made before the run |
//! | [`profile`] | profiles and flags -> a plan, with where each value came from |
//! | [`record`] | what happened to one request: a line of `requests.jsonl` |
//! | [`stream`] | what is sent as a body, and what a streamed answer comes to |
//! | [`secrets`] | what must reach no file |
//! | [`target`] | where the server is |
//! | [`server`] | what the server says of itself, and how it counts tokens |
//! | [`client`] | sends one request and reads its stream |
//! | [`runner`] | sends every conversation when it is due |
//! | [`session`] | a server under measurement: identified, loaded, watched |
//! | [`campaign`] | one server under one plan after another, each into a directory |
//! | [`calibrate`] | the client held against a mock server's truth |
//! | [`metrics`] | what the records of a run come to |
//! | [`results`] | the directory a run leaves behind, written and read |
//! | [`summary`] | what a run comes to: `summary.json` |
//! | [`compare`] | runs of one plan against each other: ratios, intervals, verdicts |
//! | [`repeats`] | one plan measured several times |
//! | [`sweep`] | one workload under rising load, and where its knee is |

pub(crate) mod arrival;
pub(crate) mod calibrate;
pub(crate) mod campaign;
pub(crate) mod client;
pub mod compare;
pub(crate) mod conversation;
pub(crate) mod metrics;
pub mod nodes;
pub mod plan;
pub(crate) mod profile;
pub mod record;
pub(crate) mod repeats;
pub(crate) mod results;
pub(crate) mod runner;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod session;
pub mod stream;
pub mod summary;
pub(crate) mod sweep;
pub(crate) mod target;
pub(crate) mod workload;
