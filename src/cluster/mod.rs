//! The cluster: its nodes, what they are, and what is put on them.

pub mod deploy;
