use std::io::Write;
use std::path::Path;
use std::time::Instant;

use super::*;
use crate::host::Here;
use crate::runtime::LookUp;

const LOADED: &str = "Using MoE kernel config from /opt/configs/triton_3_5_0/E=8,N=64.json.";

async fn read(paths: &[&Path]) -> Result<ServerLog, LogError> {
    let files: Vec<NodePath> = paths.iter().map(|path| path.to_str().unwrap().parse().unwrap()).collect();
    of_files(&Here::new(), &HostPath::new("python3"), &files).await
}

async fn read_text(text: impl AsRef<[u8]>) -> ServerLog {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_ref()).unwrap();
    read(&[file.path()]).await.unwrap()
}

fn lines(log: &ServerLog) -> Vec<&str> {
    log.said.iter().map(|said| said.line.as_str()).collect()
}

#[tokio::test]
async fn a_file_is_looked_through_for_what_tells_of_config_files() {
    let text = format!(
        "hello\n[2026-11-30 12:00:00 TP0] Load weight begin.\n[2026-11-30 12:00:01.500 TP1] {LOADED}\r\n\
         [2026-11-30 12:00:09 TP0] Decode batch.\n"
    );
    let log = read_text(&text).await;
    assert_eq!(lines(&log), [format!("[2026-11-30 12:00:01.500 TP1] {LOADED}")]);
    assert!(log.whole && log.ranks.keys().eq(["TP0", "TP1"]), "{log:?}");
    // To the end of what is said; in which time zone is the node's affair.
    let since = |later: Option<Timestamp>| later.unwrap().duration_since(log.began.unwrap()).as_millis();
    assert_eq!((since(log.said[0].at), since(log.ranks["TP0"])), (501, 9000));
    assert_eq!(log.said[0].config.rank.as_deref(), Some("TP1"));

    let head = "(Worker_TP0 pid=9) WARNING";
    let wanted = "['/srv/E=8,N=64.json', '/opt/E=8,N=64.json']";
    let text = format!(
        "{head} 01-02 03:04:05 [fused_moe.py:887] Using default MoE config. Config file not found at {wanted}"
    );
    let log = read_text(&text).await;
    assert!(
        matches!(&log.said[0].config.look_up, LookUp::Default { wanted } if wanted.len() == 2),
        "{log:?}"
    );
    // No year is said: it is no time to come.
    let at = log.said[0].at.unwrap();
    let year = Timestamp::now().duration_since(at).as_hours() / 24;
    assert!((0..=367).contains(&year), "{at}");
}

#[tokio::test]
async fn a_log_without_times_is_as_old_as_its_last_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{LOADED}").unwrap();
    let modified = file.as_file().metadata().unwrap().modified().unwrap();
    let log = read(&[file.path()]).await.unwrap();
    let modified = Timestamp::try_from(modified).unwrap();
    assert_eq!((log.said[0].at, log.began), (Some(modified), Some(modified)));
}

#[tokio::test]
async fn several_files_are_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], format!("[2026-11-30 12:00:09 TP0] {LOADED}\n")).unwrap();
    std::fs::write(&paths[1], format!("[2026-11-30 12:00:00 TP1] {LOADED}\n")).unwrap();
    let log = read(&[&paths[0], &paths[1]]).await.unwrap();
    assert_eq!((log.said.len(), log.ranks.len()), (2, 2));
    assert!(log.began < log.said[1].at.map(|at| at + jiff::SignedDuration::from_secs(1)));
    assert!(log.began < log.said[0].at);
}

#[tokio::test]
async fn garbage_and_endless_lines_are_read_over() {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    bytes.extend_from_slice(b"\n");
    bytes.extend(std::iter::repeat_n(b'x', 5 << 20));
    bytes.extend_from_slice(format!("\n{LOADED}\n").as_bytes());
    bytes.extend_from_slice(b"[9999-99-99 99:99:99 TP7] MoE kernel config \xff\n");
    let log = read_text(&bytes).await;
    assert_eq!(lines(&log), [LOADED]);
    assert!(read_text("").await.said.is_empty());
    // What marks a line stands in its beginning, or it is not seen.
    let far = format!("{}{LOADED}\n", "x".repeat(4096));
    assert!(read_text(far).await.said.is_empty());
}

#[tokio::test]
async fn the_last_of_very_many_lines_are_kept() {
    let line = |index: usize| format!("[2026-11-30 12:00:00 TP{index}] {LOADED}\n");
    let text: String = (0..1000).map(line).collect();
    let log = read_text(text).await;
    assert_eq!((log.said.len(), log.ranks.len()), (MOST_LINES, MOST_RANKS));
    assert!(lines(&log).last().unwrap().contains("TP999"));
}

#[tokio::test]
async fn what_is_no_log_is_named_and_waited_for_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, words) in [
        (folder.path().join("none"), "No such file or directory"),
        (folder.path().to_owned(), "is no regular file"),
        (pipe, "is no regular file"),
        (Path::new("/dev/zero").to_owned(), "is no regular file"),
    ] {
        let begun = Instant::now();
        let error = read(&[&path]).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20));
        let message = error.to_string();
        assert!(message.contains(words) && message.contains(path.to_str().unwrap()), "{message}");
        assert_eq!(error.kind(), Kind::Environment);
    }
}

#[test]
fn a_containers_pieces_become_lines_with_the_engines_times() {
    let ended: Option<Timestamp> = Some("2026-11-30T12:00:00.5Z".parse().unwrap());
    let mut log = ServerLog::default();
    let mut line = Line::default();
    let text = format!(
        "2026-11-30T12:00:00.499999999Z {LOADED}\n2026-11-30T12:00:01.123456789Z [2026-11-30 12:00:01 TP0] {LOADED}\n\
         no time {LOADED}\n2026-11-30T12:00:02Z {}\n2026-11-30T12:00:03Z {LOADED}",
        "y".repeat(100_000)
    );
    // In pieces of every size.
    let mut rest = text.as_bytes();
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(size.min(rest.len()));
        line.take(piece, |line| add_timed(&mut log, line, ended));
        assert!(line.bytes.len() <= MOST_OF_A_LINE);
        (rest, size) = (others, size % 4096 + 1);
    }
    line.end(|line| add_timed(&mut log, line, ended));
    let times: Vec<String> = log.said.iter().map(|said| said.at.unwrap().to_string()).collect();
    assert_eq!(times, ["2026-11-30T12:00:01.123456789Z", "2026-11-30T12:00:03Z"]);
    assert_eq!(log.ranks.len(), 1);
}
