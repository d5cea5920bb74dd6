//! Chooses configs: candidates, rankings, proofs, and the run that ties them together.

pub mod estimate;
pub mod ranking;
