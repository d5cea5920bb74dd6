//! Tune, prove, ship and measure mixture-of-experts models on small clusters of DGX Sparks.

pub mod artifact;
pub mod cli;
pub mod commands;
pub mod device;
pub mod events;
pub mod failure;
pub mod fs;
pub mod journal;
pub mod kernel;
pub mod model;
pub mod target;
pub mod tuner;
pub mod worker;
