//! Chooses configs: plan, rankings, selection, proofs, the race, and the run that ties them together.
//!
//! `schedule` says who does what next and `search` what it means; both do no I/O. `fleet` is the I/O around them.

mod adopt;
pub mod asked;
pub mod contests;
pub mod error;
pub mod estimate;
pub mod fleet;
pub mod open_run;
pub mod plan;
pub mod proofs;
pub mod ranking;
pub mod record;
pub mod replay;
pub mod run;
pub mod schedule;
pub mod search;
pub mod select;
pub mod sentinel;
pub mod session;
pub mod strategy;
pub mod table;
pub mod trace;
pub mod write;
