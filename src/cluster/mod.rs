//! The machines that work together: which they are, what each is, and what is put on them.

pub mod connect;
pub mod deploy;
pub(crate) mod doctor;
pub(crate) mod fabric;
pub(crate) mod facts;
pub mod images;
pub mod installed;
pub mod inventory;
pub mod nearby;
pub(crate) mod runtimes;
pub(crate) mod server_log;
