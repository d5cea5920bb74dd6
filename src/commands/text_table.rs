//! A table of figures, for a terminal and a page alike.

use crate::report::html::{Cell, Column, Table};

/// A table as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextTable {
    /// Columns; the first is of words.
    pub header: Vec<String>,
    /// Rows as wide as the header.
    pub rows: Vec<Vec<String>>,
}

impl TextTable {
    pub(super) fn new(header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { header: header.iter().map(|it| (*it).to_owned()).collect(), rows }
    }
}

/// The table on a page. The first column is of words, the last of a throughput table too; the rest are figures.
pub(super) fn as_table(table: TextTable, caption: &str) -> Table {
    let columns = table
        .header
        .into_iter()
        .enumerate()
        .map(|(place, title)| if place == 0 { Column::text(title) } else { Column::number(title) })
        .collect();
    let rows = table.rows.into_iter().map(|row| row.into_iter().map(Cell::from).collect()).collect();
    Table { caption: caption.to_owned(), columns, rows }
}
