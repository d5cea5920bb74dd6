//! The machines of a cluster: what each is, and how they are joined.

pub(crate) mod fabric;
pub(crate) mod facts;
