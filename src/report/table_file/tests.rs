use proptest::prelude::*;

use super::*;

fn small() -> ParquetTable {
    ParquetTable::new(vec![
        ParquetColumn::new("batch_size", Values::U32(vec![1, 2, u32::MAX])),
        ParquetColumn::new("time_us", Values::F64(vec![0.5, f64::INFINITY, -0.0])),
        ParquetColumn::new("tile", Values::Text(vec!["64x128".into(), String::new(), "µ\n\"".into()])),
        ParquetColumn::new("best", Values::Bool(vec![true, false, true])),
    ])
    .unwrap()
}

const SCHEMA: [(&str, ColumnKind); 4] = [
    ("batch_size", ColumnKind::U32),
    ("time_us", ColumnKind::F64),
    ("tile", ColumnKind::Text),
    ("best", ColumnKind::Bool),
];

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trials.parquet");
    small().write(&path).unwrap();
    assert_eq!(ParquetTable::read(&path, &SCHEMA).unwrap(), small());
    let some =
        ParquetTable::read(&path, &[("best", ColumnKind::Bool), ("batch_size", ColumnKind::U32)]).unwrap();
    assert_eq!(some.columns()[0].name, "best");
    assert_eq!(some.columns().len(), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn columns_must_make_a_table() {
    let one = ParquetColumn::new("a", Values::U32(vec![1]));
    let two = ParquetColumn::new("b", Values::Bool(vec![true, false]));
    let message = ParquetTable::new(vec![one.clone(), two]).unwrap_err().to_string();
    assert_eq!(message, "column `b` has 2 rows, `a` has 1");
    assert_eq!(
        ParquetTable::new(vec![one.clone(), one]).unwrap_err().to_string(),
        "column `a` is there twice"
    );
}

#[test]
fn messages_name_file_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let says = |expected: &[(&str, ColumnKind)], words: &[&str]| {
        let error = ParquetTable::read(&path, expected).unwrap_err();
        let message = error.to_string();
        for word in words.iter().chain(&["t.parquet"]) {
            assert!(message.contains(word), "{word} in {message}");
        }
        assert_eq!(message.matches("t.parquet").count(), 1, "{message}");
        error.kind()
    };
    assert_eq!(says(&SCHEMA, &["No such file"]), FailureKind::Environment);
    let bytes = small().to_parquet().unwrap();
    write_atomic(&path, &bytes).unwrap();
    let missing =
        says(&[("speed", ColumnKind::F64)], &["no column `speed`", "batch_size, time_us, tile, best"]);
    assert_eq!(missing, FailureKind::Input);
    says(&[("time_us", ColumnKind::U32)], &["column `time_us`", "holds f64, not u32"]);
    write_atomic(&path, b"a,b\n1,2\n").unwrap();
    says(&SCHEMA, &["not a Parquet file"]);
    write_atomic(&path, b"").unwrap();
    says(&SCHEMA, &["not a Parquet file"]);
    write_atomic(&path, &bytes[..bytes.len() / 2]).unwrap();
    says(&SCHEMA, &["cut off"]);
    write_atomic(&path, b"PAR1\0\0\0\0\xff\xff\xff\x7fPAR1").unwrap();
    says(&SCHEMA, &["damaged", "checksum"]);
}

#[test]
fn types_and_gaps_others_write_are_named() {
    let gaps = Series::new("time_us".into(), &[Some(1.0), None]);
    let long = Series::new("batch_size".into(), &[1i64, 2]);
    let mut frame = DataFrame::new(2, vec![gaps.into(), long.into()]).unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    let bytes = seal(bytes).unwrap();
    let path = Path::new("other.parquet");
    let read =
        |expected| ParquetTable::from_parquet(path, bytes.clone(), &[expected]).unwrap_err().to_string();
    assert_eq!(
        read(("time_us", ColumnKind::F64)),
        "column `time_us` of `other.parquet` lacks a value in 1 rows"
    );
    assert_eq!(
        read(("batch_size", ColumnKind::U32)),
        "column `batch_size` of `other.parquet` holds i64, not u32"
    );
}

#[test]
fn every_cut_is_an_error() {
    let bytes = small().to_parquet().unwrap();
    for length in 0..bytes.len() {
        ParquetTable::from_parquet(Path::new("cut"), bytes[..length].to_vec(), &SCHEMA).unwrap_err();
    }
}

/// Without the checksum polars panics on some of these and aborts on others.
#[test]
fn every_changed_byte_is_an_error() {
    let bytes = small().to_parquet().unwrap();
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            ParquetTable::from_parquet(Path::new("t"), changed, &SCHEMA).unwrap_err();
        }
    }
}

proptest! {
    #[test]
    fn the_round_trip_is_exact(
        rows in prop::collection::vec((any::<u32>(), any::<u64>(), ".{0,12}", any::<bool>()), 0..40),
    ) {
        let table = ParquetTable::new(vec![
            ParquetColumn::new("batch_size", Values::U32(rows.iter().map(|r| r.0).collect())),
            ParquetColumn::new("time_us", Values::F64(rows.iter().map(|r| f64::from_bits(r.1)).collect())),
            ParquetColumn::new("tile", Values::Text(rows.iter().map(|r| r.2.clone()).collect())),
            ParquetColumn::new("best", Values::Bool(rows.iter().map(|r| r.3).collect())),
        ]).unwrap();
        let read = ParquetTable::from_parquet(Path::new("t"), table.to_parquet().unwrap(), &SCHEMA).unwrap();
        let bits = |t: &ParquetTable| match &t.columns()[1].values {
            Values::F64(v) => v.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        // Bits and not values: NaN differs from itself.
        prop_assert_eq!(bits(&read), bits(&table));
        for index in [0, 2, 3] {
            prop_assert_eq!(&read.columns()[index], &table.columns()[index]);
        }
    }
}
