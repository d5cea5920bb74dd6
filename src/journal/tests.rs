//! Journals whole, cut, corrupted, of another plan, and of two writers.

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plan {
    model: String,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shape {
    experts: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    tile: u32,
}

impl JournalRecord for Unit {
    const FORMAT: u32 = 2;
}

fn plan() -> Plan {
    Plan { model: "GLM".into(), shape: Shape { experts: 160 } }
}

fn written(units: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(dir.path(), &plan()).unwrap();
    for tile in 0..units {
        journal.append(&Unit { tile }).unwrap();
    }
    dir
}

fn resume(dir: &Path) -> Result<Vec<Unit>, JournalError> {
    Journal::resume(dir, &plan()).map(|(units, _)| units)
}

#[test]
fn what_was_written_is_read_back_and_goes_on() {
    let dir = written(3);
    let (units, mut journal) = Journal::<Unit>::resume(dir.path(), &plan()).unwrap();
    assert_eq!(units, [Unit { tile: 0 }, Unit { tile: 1 }, Unit { tile: 2 }]);
    journal.append(&Unit { tile: 3 }).unwrap();
    drop(journal);
    assert_eq!(resume(dir.path()).unwrap().len(), 4);
    assert_eq!(Journal::<Unit>::plan::<Plan>(dir.path()).unwrap(), plan());
}

/// However many bytes of the last line reached the disk, every whole line is kept.
#[test]
fn a_journal_cut_anywhere_keeps_its_whole_lines() {
    let dir = written(3);
    let path = dir.path().join(FILE_NAME);
    let bytes = std::fs::read(&path).unwrap();
    let header = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
    for cut in header..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let whole = bytes[header..cut].iter().filter(|&&b| b == b'\n').count();
        assert_eq!(resume(dir.path()).unwrap().len(), whole, "cut at {cut}");
        let (_, mut journal) = Journal::resume(dir.path(), &plan()).unwrap();
        journal.append(&Unit { tile: 9 }).unwrap();
        drop(journal);
        assert_eq!(resume(dir.path()).unwrap().last(), Some(&Unit { tile: 9 }));
    }
}

#[test]
fn a_last_line_torn_inside_a_character_is_forgiven() {
    let dir = written(2);
    let path = dir.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"tile\":\"\xc3"].concat()).unwrap();
    assert_eq!(resume(dir.path()).unwrap().len(), 2);
    assert_eq!(std::fs::read(&path).unwrap(), whole, "it is cut off");
    // The same byte in the middle is no torn end.
    std::fs::write(&path, [&whole[..], b"\xc3\n{\"tile\":1}\n"].concat()).unwrap();
    assert!(matches!(resume(dir.path()), Err(JournalError::Corrupt { line: 4, .. })));
}

#[test]
fn records_written_together_are_lines_of_their_own() {
    let dir = written(1);
    let (_, mut journal) = Journal::<Unit>::resume(dir.path(), &plan()).unwrap();
    journal.append_all(&[]).unwrap();
    journal.append_all(&[Unit { tile: 1 }, Unit { tile: 2 }]).unwrap();
    drop(journal);
    let tiles: Vec<u32> = resume(dir.path()).unwrap().into_iter().map(|unit| unit.tile).collect();
    assert_eq!(tiles, [0, 1, 2]);
}

#[test]
fn a_corrupt_middle_line_is_named() {
    let dir = written(3);
    let path = dir.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&path).unwrap().replace("{\"tile\":1}", "{\"tile\":");
    std::fs::write(&path, text).unwrap();
    let error = resume(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { line: 3, .. }), "{error}");
    assert_eq!(error.kind(), Kind::Input);
}

#[test]
fn another_plan_is_refused_and_the_field_named() {
    let dir = written(1);
    let other = Plan { shape: Shape { experts: 161 }, ..plan() };
    let error = Journal::<Unit>::resume(dir.path(), &other).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`shape.experts` was 160, now 161"), "{text}");
}

#[test]
fn edited_headers_other_formats_and_strangers_are_refused() {
    let dir = written(1);
    let path = dir.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, say) in [
        ("\"experts\":160", "\"experts\":161", "own hash"),
        ("\"format\":2", "\"format\":1", "journal format 1, this version reads format 2: an older version"),
        ("\"format\":2", "\"format\":3", "journal format 3, this version reads format 2: a newer version"),
        ("\"format\":2", "\"format\":\"x\"", "not a journal header"),
        ("{", "", "line 1"),
    ] {
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = resume(dir.path()).unwrap_err().to_string();
        assert!(error.contains(say), "{error}");
    }
    std::fs::write(&path, "").unwrap();
    assert!(resume(dir.path()).unwrap_err().to_string().contains("no whole header line"));
    std::fs::write(&path, b"\xff\xfe\n").unwrap();
    assert!(resume(dir.path()).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn two_writers_and_second_starts_are_refused() {
    let dir = written(0);
    assert!(matches!(Journal::<Unit>::create(dir.path(), &plan()), Err(JournalError::Exists { .. })));
    let held = Journal::<Unit>::resume(dir.path(), &plan()).unwrap();
    assert!(matches!(Journal::<Unit>::resume(dir.path(), &plan()), Err(JournalError::Busy { .. })));
    drop(held);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(resume(empty.path()), Err(JournalError::Missing { .. })));
}
