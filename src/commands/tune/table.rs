//! Recorded tables on disk: Parquet with a manifest beside it, or other programs' files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::device::DeviceCatalogue;
use crate::failure::Failure;
use crate::fs::{sha256_hex, write_atomic};
use crate::report::table_file::{ColumnKind, ParquetColumn, ParquetTable, Values};
use crate::tuner::table::recorded::{self, CONFIG_COLUMNS, FORMAT, Rows, TableManifest};
use crate::tuner::table::{TableError, TimingTable, kernel_tuner};

/// Read the table at `path`, whichever kind it is; of a recorded one, what fits `mask`, where given.
pub(super) fn read(path: &Path, mask: Option<&str>) -> Result<TimingTable, Box<dyn Failure>> {
    if path.extension().is_none_or(|extension| extension != "parquet") {
        return Ok(kernel_tuner::read(path)?);
    }
    let manifest = read_manifest(path)?;
    let rows = read_rows(path)?;
    // No more was recorded than the recording's own mask let through.
    let device = DeviceCatalogue::embedded().find(mask.unwrap_or(&manifest.plan.device.id))?;
    let device = device.masked(manifest.plan.device.shared_memory_per_block);
    let bad = |message| TableError::Bad { path: path.to_owned(), message };
    Ok(recorded::table(&manifest, &rows, &device).map_err(bad)?)
}

/// Write `rows` to `path` and the manifest beside them.
pub(super) fn write(path: &Path, rows: Rows, manifest: TableManifest) -> Result<(), Box<dyn Failure>> {
    let Rows { batch_size, role, config, round, outcome, time_us } = rows;
    let mut columns = vec![
        ParquetColumn::new("batch_size", Values::U32(batch_size)),
        ParquetColumn::new("role", Values::Text(role)),
    ];
    columns.extend(
        CONFIG_COLUMNS
            .into_iter()
            .zip(config)
            .map(|(name, values)| ParquetColumn::new(name, Values::U32(values))),
    );
    columns.extend([
        ParquetColumn::new("round", Values::U32(round)),
        ParquetColumn::new("outcome", Values::Text(outcome)),
        ParquetColumn::new("time_us", Values::F64(time_us)),
    ]);
    let bytes = ParquetTable::new(columns)?.to_parquet()?;
    let manifest = TableManifest { sha256: sha256_hex(&bytes), ..manifest };
    let mut text = serde_json::to_string_pretty(&manifest).expect("plain data always serialises");
    text.push('\n');
    let io = |source| TableError::Write { path: path.to_owned(), source };
    write_atomic(path, &bytes).map_err(io)?;
    write_atomic(&manifest_path(path), text.as_bytes()).map_err(io)?;
    Ok(())
}

fn manifest_path(path: &Path) -> PathBuf {
    path.with_extension("manifest.json")
}

fn read_manifest(table: &Path) -> Result<TableManifest, TableError> {
    let path = manifest_path(table);
    let bad = |message| TableError::Bad { path: path.clone(), message };
    let text = fs_err::read(&path).map_err(|source| TableError::Read { path: path.clone(), source })?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    if value["format"] != FORMAT {
        return Err(bad(format!("format is {}, this version reads {FORMAT}", value["format"])));
    }
    let manifest: TableManifest = serde_path_to_error::deserialize(value)
        .map_err(|error| bad(format!("{}: {}", error.path(), error.inner())))?;
    let bytes = fs_err::read(table).map_err(|source| TableError::Read { path: table.to_owned(), source })?;
    if sha256_hex(&bytes) != manifest.sha256 {
        return Err(bad(format!("is not about these bytes of `{}`", table.display())));
    }
    Ok(manifest)
}

fn read_rows(path: &Path) -> Result<Rows, Box<dyn Failure>> {
    let mut expected = vec![("batch_size", ColumnKind::U32), ("role", ColumnKind::Text)];
    expected.extend(CONFIG_COLUMNS.map(|name| (name, ColumnKind::U32)));
    expected.extend([
        ("round", ColumnKind::U32),
        ("outcome", ColumnKind::Text),
        ("time_us", ColumnKind::F64),
    ]);
    let columns = ParquetTable::read(path, &expected)?.into_columns();
    let mut columns: HashMap<String, Values> = columns.into_iter().map(|it| (it.name, it.values)).collect();
    let mut take = |name: &str| columns.remove(name);
    // The reader has made sure that each is there and of its kind.
    let numbers = |values| if let Some(Values::U32(values)) = values { values } else { Vec::new() };
    let words = |values| if let Some(Values::Text(values)) = values { values } else { Vec::new() };
    let times = |values| if let Some(Values::F64(values)) = values { values } else { Vec::new() };
    Ok(Rows {
        batch_size: numbers(take("batch_size")),
        role: words(take("role")),
        config: CONFIG_COLUMNS.map(|name| numbers(take(name))),
        round: numbers(take("round")),
        outcome: words(take("outcome")),
        time_us: times(take("time_us")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::table::recorded::tests::recorded;

    #[test]
    fn a_table_comes_back_and_whatever_was_changed_is_refused() {
        let (manifest, rows, source) = recorded();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        write(&path, rows, manifest).unwrap();
        let table = read(&path, None).unwrap();
        assert_eq!(table.size(), source.size());
        assert!(read(&path, Some("gb10")).unwrap().size().0 < source.size().0);
        let complaint = |mask| read(&path, mask).unwrap_err().to_string();
        assert!(complaint(Some("gb99")).contains("gb99"));

        let beside = manifest_path(&path);
        let text = std::fs::read_to_string(&beside).unwrap();
        let change = |from: &str, to: &str| std::fs::write(&beside, text.replacen(from, to, 1)).unwrap();
        change("\"format\": 2", "\"format\": 7");
        assert!(complaint(None).contains("format is 7, this version reads 2"), "{}", complaint(None));
        // Another shape has another space: the rows are not its.
        change("\"batch_sizes\": [\n      64", "\"batch_sizes\": [\n      65");
        assert!(complaint(None).contains("have no row"), "{}", complaint(None));
        change("\"repeats\"", "\"repeat\"");
        assert!(complaint(None).contains("table.manifest.json"), "{}", complaint(None));
        std::fs::write(&beside, &text).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        assert!(complaint(None).contains("is not about these bytes"), "{}", complaint(None));
        std::fs::remove_file(&beside).unwrap();
        assert!(complaint(None).contains("table.manifest.json"), "{}", complaint(None));
    }
}
