//! Typed long tables as Parquet files: written whole or not at all, read back by what is expected.
//!
//! Compressed with zstd, which polars builds in with Parquet anyway. No cell may be missing: a value that
//! can be absent is a value and a `bool` column. Any Parquet reader reads these files; this one reads no
//! others, because each carries a checksum that is looked at first (see `seal`).

use std::io::Cursor;
use std::path::{Path, PathBuf};

use polars_core::error::PolarsError;
use polars_core::prelude::{Column as PolarsColumn, DataFrame, DataType, NamedFrom, Series};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use polars_io::parquet::write::{ParquetCompression, ParquetWriter};

use crate::failure::{Failure, Kind as FailureKind};
use crate::fs::write_atomic;

mod seal;

use seal::{seal, sealed};

#[cfg(test)]
mod tests;

/// The four bytes every Parquet file begins and ends with (parquet-format, `README.md`).
const MAGIC: &[u8] = b"PAR1";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Counts and identifiers.
    U32,
    /// Measurements; kept bit for bit.
    F64,
    /// Words.
    Text,
    /// Yes or no.
    Bool,
}

impl ColumnKind {
    /// The word in messages, which is Parquet readers' own.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ColumnKind::U32 => "u32",
            ColumnKind::F64 => "f64",
            ColumnKind::Text => "string",
            ColumnKind::Bool => "bool",
        }
    }

    fn of(dtype: &DataType) -> Option<Self> {
        match dtype {
            DataType::UInt32 => Some(ColumnKind::U32),
            DataType::Float64 => Some(ColumnKind::F64),
            DataType::String => Some(ColumnKind::Text),
            DataType::Boolean => Some(ColumnKind::Bool),
            _ => None,
        }
    }
}

/// The cells of a column, from the first row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Counts and identifiers.
    U32(Vec<u32>),
    /// Measurements.
    F64(Vec<f64>),
    /// Words.
    Text(Vec<String>),
    /// Yes or no.
    Bool(Vec<bool>),
}

impl Values {
    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::U32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::Text(v) => v.len(),
            Values::Bool(v) => v.len(),
        }
    }
}

/// A column with its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParquetColumn {
    /// Its name; no two of a table share one.
    pub name: String,
    /// Its cells.
    pub values: Values,
}

impl ParquetColumn {
    /// A column called `name`.
    pub(crate) fn new(name: impl Into<String>, values: Values) -> Self {
        Self { name: name.into(), values }
    }
}

/// Why a table cannot be made, written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParquetError {
    /// The columns do not make a table: the caller's mistake.
    #[error("column `{column}` {problem}")]
    Shape {
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file system refused. The message comes from where the path was known and names it.
    #[error(transparent)]
    Io(std::io::Error),
    /// The file is not Parquet.
    #[error("`{}` is not a Parquet file: it does not begin with PAR1", path.display())]
    NotParquet { path: PathBuf },
    /// The file's end is missing.
    #[error("`{}` is cut off: a Parquet file ends with PAR1", path.display())]
    Truncated { path: PathBuf },
    /// The file begins and ends like Parquet and its bytes are not those this program wrote.
    #[error("`{}` is damaged or was not written by this program: its checksum does not match", path.display())]
    Unsealed { path: PathBuf },
    /// The file is as it was written and does not read.
    #[error("`{}` does not read as Parquet: {message}", path.display())]
    Damaged {
        path: PathBuf,
        /// What the reader said.
        message: String,
    },
    /// A column that should be there is not.
    #[error("`{}` has no column `{column}`; it has {}", path.display(), listed(there))]
    MissingColumn {
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns it has.
        there: Vec<String>,
    },
    /// A column holds something else.
    #[error("column `{column}` of `{}` holds {found}, not {}", path.display(), expected.name())]
    WrongType {
        path: PathBuf,
        /// The column.
        column: String,
        /// What should be there.
        expected: ColumnKind,
        /// What is there, in polars's words.
        found: String,
    },
    /// A column has cells without a value.
    #[error("column `{column}` of `{}` lacks a value in {count} rows", path.display())]
    Gaps {
        path: PathBuf,
        /// The column.
        column: String,
        /// How many rows lack one.
        count: usize,
    },
    /// Parquet could not be written.
    #[error("cannot encode the table as Parquet: {message}")]
    Encode {
        /// What the writer said.
        message: String,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Failure for ParquetError {
    fn kind(&self) -> FailureKind {
        match self {
            ParquetError::Io(_) | ParquetError::Encode { .. } => FailureKind::Environment,
            _ => FailureKind::Input,
        }
    }
}

/// Columns of one length under different names.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ParquetTable {
    columns: Vec<ParquetColumn>,
}

impl ParquetTable {
    /// A table of `columns`. [`ParquetError::Shape`] where lengths differ or a name comes twice.
    pub(crate) fn new(columns: Vec<ParquetColumn>) -> Result<Self, ParquetError> {
        let rows = columns.first().map_or(0, |c| c.values.len());
        for (index, column) in columns.iter().enumerate() {
            let shape = |problem: String| ParquetError::Shape { column: column.name.clone(), problem };
            if column.values.len() != rows {
                let first = &columns[0].name;
                return Err(shape(format!("has {} rows, `{first}` has {rows}", column.values.len())));
            }
            if columns[..index].iter().any(|c| c.name == column.name) {
                return Err(shape("is there twice".to_owned()));
            }
        }
        Ok(Self { columns })
    }

    /// The columns, in order.
    #[cfg(test)]
    pub(crate) fn columns(&self) -> &[ParquetColumn] {
        &self.columns
    }

    /// The columns, in order, without a copy.
    pub(crate) fn into_columns(self) -> Vec<ParquetColumn> {
        self.columns
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len())
    }

    /// The table as the bytes of a Parquet file. [`ParquetError::Encode`] where the writer refuses.
    pub(crate) fn to_parquet(&self) -> Result<Vec<u8>, ParquetError> {
        let encode = |error: PolarsError| ParquetError::Encode { message: error.to_string() };
        let columns = self.columns.iter().map(to_polars).collect();
        let mut frame = DataFrame::new(self.rows(), columns).map_err(encode)?;
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes)
            .with_compression(ParquetCompression::Zstd(None))
            .finish(&mut frame)
            .map_err(encode)?;
        seal(bytes).ok_or_else(|| ParquetError::Encode { message: "it has no footer".to_owned() })
    }

    /// Write the table to `path` as Parquet, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), ParquetError> {
        write_atomic(path, &self.to_parquet()?).map_err(ParquetError::Io)
    }

    /// Read from the Parquet file at `path` the columns `expected`, in that order; others are ignored.
    ///
    /// Every error names the file, and the column where one is at fault.
    pub(crate) fn read(path: &Path, expected: &[(&str, ColumnKind)]) -> Result<Self, ParquetError> {
        let bytes = fs_err::read(path).map_err(ParquetError::Io)?;
        Self::from_parquet(path, bytes, expected)
    }

    /// The same from bytes already read; `path` is for messages.
    pub(crate) fn from_parquet(
        path: &Path,
        bytes: Vec<u8>,
        expected: &[(&str, ColumnKind)],
    ) -> Result<Self, ParquetError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ParquetError::NotParquet { path: path.to_owned() });
        }
        // Two magics, a footer's length and a footer.
        if bytes.len() < 12 || !bytes.ends_with(MAGIC) {
            return Err(ParquetError::Truncated { path: path.to_owned() });
        }
        if !sealed(&bytes) {
            return Err(ParquetError::Unsealed { path: path.to_owned() });
        }
        from_sealed(path, bytes, expected)
    }
}

/// The table in `bytes`, which are as they were written.
fn from_sealed(
    path: &Path,
    bytes: Vec<u8>,
    expected: &[(&str, ColumnKind)],
) -> Result<ParquetTable, ParquetError> {
    let damaged =
        |error: PolarsError| ParquetError::Damaged { path: path.to_owned(), message: error.to_string() };
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let there: Vec<String> =
        reader.schema().map_err(damaged)?.iter_names().map(ToString::to_string).collect();
    for (column, _) in expected {
        if !there.iter().any(|name| name == column) {
            let column = (*column).to_owned();
            return Err(ParquetError::MissingColumn { path: path.to_owned(), column, there });
        }
    }
    let wanted = expected.iter().map(|(name, _)| (*name).to_owned()).collect();
    let frame = reader.with_columns(Some(wanted)).finish().map_err(damaged)?;
    let columns = expected
        .iter()
        .map(|(name, kind)| from_polars(path, frame.column(name).map_err(damaged)?, *kind))
        .collect::<Result<_, _>>()?;
    ParquetTable::new(columns)
}

fn to_polars(column: &ParquetColumn) -> PolarsColumn {
    let name = column.name.as_str().into();
    match &column.values {
        Values::U32(values) => Series::new(name, values),
        Values::F64(values) => Series::new(name, values),
        Values::Text(values) => Series::new(name, values),
        Values::Bool(values) => Series::new(name, values),
    }
    .into()
}

fn from_polars(
    path: &Path,
    column: &PolarsColumn,
    expected: ColumnKind,
) -> Result<ParquetColumn, ParquetError> {
    let name = column.name().to_string();
    let wrong = || ParquetError::WrongType {
        path: path.to_owned(),
        column: name.clone(),
        expected,
        found: ColumnKind::of(column.dtype())
            .map_or_else(|| column.dtype().to_string(), |k| k.name().to_owned()),
    };
    let count = column.null_count();
    if ColumnKind::of(column.dtype()) != Some(expected) {
        return Err(wrong());
    }
    if count > 0 {
        return Err(ParquetError::Gaps { path: path.to_owned(), column: name, count });
    }
    let values = match expected {
        ColumnKind::U32 => Values::U32(column.u32().map_err(|_| wrong())?.into_no_null_iter().collect()),
        ColumnKind::F64 => Values::F64(column.f64().map_err(|_| wrong())?.into_no_null_iter().collect()),
        ColumnKind::Text => {
            Values::Text(column.str().map_err(|_| wrong())?.iter().flatten().map(str::to_owned).collect())
        }
        ColumnKind::Bool => Values::Bool(column.bool().map_err(|_| wrong())?.iter().flatten().collect()),
    };
    Ok(ParquetColumn { name, values })
}
