//! The one place that writes to stdout: data for people and programs, nothing else.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::MultiProgress;

use crate::commands::Output;

/// Writes command output. A reader that went away (`| head`) is a success.
#[derive(Debug)]
pub(super) struct Printer {
    closed: bool,
    /// What is drawn on the same terminal, and makes room while this writes.
    bars: MultiProgress,
}

impl Output for Printer {
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.write(&[text.as_bytes(), b"\n"].concat())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }

    fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header.to_vec());
        for row in rows {
            table.add_row(row.clone());
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            let numeric = !rows.is_empty()
                && rows.iter().all(|row| {
                    row.get(index).is_none_or(|cell| {
                        cell.is_empty() || cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit())
                    })
                });
            if numeric {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }
}

impl Printer {
    /// Beside `bars`.
    pub(super) fn beside(bars: MultiProgress) -> Self {
        Self { closed: false, bars }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
    }
}
