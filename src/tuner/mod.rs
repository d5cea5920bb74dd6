//! Chooses configs: plan, rankings, selection, proofs, and the run that ties them together.

pub mod contests;
pub mod estimate;
pub mod plan;
pub mod proofs;
pub mod ranking;
pub mod replay;
pub mod run;
pub mod schedule;
pub mod search;
pub mod select;
pub mod sentinel;
pub mod strategy;
pub mod table;
mod telling;
pub mod trace;
pub mod write;
