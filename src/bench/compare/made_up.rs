//! The runs that tests beside the library make up too.

#![allow(clippy::missing_docs_in_private_items, missing_docs)]

extern crate self as spark;

include!("../../../tests/support/made_up_run.rs");
