//! Chooses configs: plan, rankings, selection, proofs, the race, and the run that ties them together.
//!
//! `schedule` says who does what next and `search` what it means; both do no I/O. `fleet` is the I/O around them.

mod adopt;
pub(crate) mod contests;
pub(crate) mod error;
pub(crate) mod estimate;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod open_run;
pub(crate) mod plan;
pub(crate) mod proofs;
pub mod ranking;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod requested_plan;
pub(crate) mod retrace;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod sentinel;
pub(crate) mod session;
pub(crate) mod stock;
pub(crate) mod strategy;
pub(crate) mod table;
pub(crate) mod trace;
pub(crate) mod verdict;
pub(crate) mod write;
