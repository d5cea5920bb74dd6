//! One self-contained HTML page: no scripts, nothing fetched, dark and light by the reader's choice.
//!
//! The page is plain data; the template beside this file does the rest and escapes every text. The only
//! markup taken in as it is comes from [`crate::report::plot`].

mod page;

#[cfg(test)]
mod tests;

pub use page::{Align, Block, Card, Cell, Column, Figure, Page, Section, Table, Tone};
