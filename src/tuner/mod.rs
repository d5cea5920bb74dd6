//! t
pub mod ranking;
