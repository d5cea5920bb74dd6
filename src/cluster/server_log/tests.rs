use std::io::Write;
use std::path::Path;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::host::Here;
use crate::host::engine::EngineAddress;
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

/// What says of itself that it is an engine, and whose container `x` has this log, in chunks: frames of standard output.
async fn with_log(
    state: &str,
    chunks: impl Iterator<Item = String> + Clone + Send + 'static,
) -> (Engine, tempfile::TempDir) {
    const VERSION: &str = r#"{"Components":[{"Name":"Engine","Version":"20.10.24"}],"ApiVersion":"1.41"}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let of = format!(r#"{{"Id":"00","Name":"/x","State":{state}}}"#);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            let (of, chunks) = (of.clone(), chunks.clone());
            tokio::spawn(async move {
                if !head.contains("/logs") {
                    let body = if head.contains("/version ") { VERSION } else { &of };
                    let answer = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    return stream.write_all(answer.as_bytes()).await;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                for chunk in chunks {
                    let length = u32::try_from(chunk.len()).unwrap();
                    stream.write_all(format!("{:x}\r\n", length + 8).as_bytes()).await?;
                    stream.write_all(&[&[1, 0, 0, 0][..], &length.to_be_bytes()].concat()).await?;
                    stream.write_all(format!("{chunk}\r\n").as_bytes()).await?;
                }
                stream.write_all(b"0\r\n\r\n").await
            });
        }
    });
    let address = EngineAddress::unix(&path).unwrap();
    (Engine::connect(address, "n1".parse().unwrap()).await.unwrap(), folder)
}

const RUNNING: &str =
    r#"{"Running":true,"StartedAt":"2026-11-30T12:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"}"#;

#[tokio::test]
async fn a_containers_log_without_an_end_is_read_for_so_long() {
    let first = format!("2026-11-30T12:00:01Z {LOADED}\n2026-11-30T12:00:02Z ");
    let endless = std::iter::once(first).chain(std::iter::repeat_with(|| "x".repeat(60_000)));
    let (engine, _folder) = with_log(RUNNING, endless).await;
    let begun = Instant::now();
    let log = of_container_within(&engine, "x", Duration::from_millis(500)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!((lines(&log), log.whole), (vec![LOADED], false));
}

#[tokio::test]
async fn a_containers_log_is_read_to_its_end() {
    let text = format!("2026-11-30T12:00:01Z {LOADED}");
    let (engine, _folder) = with_log(RUNNING, std::iter::once(text)).await;
    let log = of_container(&engine, "x").await.unwrap();
    assert_eq!((lines(&log), log.whole), (vec![LOADED], true));
    assert_eq!(log.began, Some("2026-11-30T12:00:00Z".parse().unwrap()));
    let ended = RUNNING.replace("true", "false");
    let (engine, _folder) = with_log(&ended, std::iter::empty()).await;
    let error = of_container(&engine, "x").await.unwrap_err().to_string();
    assert!(error.contains("n1: ") && error.contains('x'), "{error}");
}
