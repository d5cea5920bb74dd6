//! The machines that work together.

pub mod inventory;
pub mod nearby;
