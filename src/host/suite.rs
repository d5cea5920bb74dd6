//! What every host must do. Its programs are one-line shell scripts, which the look-alike knows by heart.

mod detached;

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{BadProgram, Ending, Host, HostFailure, HostPath, Process, Program, Tree, Variable};
use crate::secret::Secret;

pub(super) use self::detached::*;

/// A host to test, and a folder on it that is empty and there.
pub(super) trait Bed {
    fn new() -> Self;
    fn host(&self) -> &dyn Host;
    fn folder(&self) -> HostPath;
}

pub(super) const ECHO: &str = "exec cat";
pub(super) const EXIT_3: &str = "exit 3";
pub(super) const KILL_SELF: &str = "kill -15 $$";
pub(super) const TWO_STREAMS: &str = "echo out; echo log >&2";
pub(super) const VARIABLES: &str = "printf '%s|%s|%s' \"$SET\" \"$TOKEN\" \"${PATH-none}\"";
pub(super) const FOREVER: &str = "exec sleep 1000";
pub(super) const FOLDER: &str = "cat note";
/// More than ssh holds on the way: its window is 2 MiB.
pub(super) const MUCH: &str = "head -c 8000000 /dev/zero";

fn sh(script: &str) -> Program {
    Program::new("sh", ["-c", script])
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it never came")
}

async fn start(host: &dyn Host, program: &Program) -> Process {
    soon(host.start(program)).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    text
}

async fn said(host: &dyn Host, program: &Program) -> String {
    let mut process = start(host, program).await;
    let said = all(&mut process.output).await;
    assert_eq!(soon(process.end.ended()).await, Ending::Exit(0), "{said}");
    said
}

pub(super) async fn a_program_hears_and_is_heard(host: &dyn Host, _: HostPath) {
    let mut process = start(host, &sh(ECHO)).await;
    process.input.write_all(b"first\n").await.unwrap();
    process.input.flush().await.unwrap();
    let mut line = [0; 6];
    soon(process.output.read_exact(&mut line)).await.unwrap();
    assert_eq!(&line, b"first\n");
    process.input.write_all(b"second\n").await.unwrap();
    drop(process.input);
    assert_eq!(all(&mut process.output).await, "second\n");
    for _ in 0..2 {
        assert_eq!(soon(process.end.ended()).await, Ending::Exit(0));
    }
}

pub(super) async fn output_and_log_are_apart(host: &dyn Host, _: HostPath) {
    let mut process = start(host, &sh(TWO_STREAMS)).await;
    assert_eq!(all(&mut process.output).await, "out\n");
    assert_eq!(all(&mut process.log).await, "log\n");
}

pub(super) async fn endings_are_told_apart(host: &dyn Host, _: HostPath) {
    for (script, ending) in [(EXIT_3, Ending::Exit(3)), (KILL_SELF, Ending::Signal(15))] {
        let mut process = start(host, &sh(script)).await;
        assert_eq!(soon(process.end.ended()).await, ending);
    }
}

pub(super) async fn a_program_can_be_killed(host: &dyn Host, _: HostPath) {
    let mut process = start(host, &sh(FOREVER)).await;
    // Waiting can be given up.
    tokio::time::timeout(Duration::from_millis(20), process.end.ended()).await.unwrap_err();
    process.end.kill();
    assert_eq!(soon(process.end.ended()).await, Ending::Signal(9));
    assert_eq!(all(&mut process.output).await, "");
}

pub(super) async fn a_program_whose_end_is_dropped_ends(host: &dyn Host, _: HostPath) {
    let mut process = start(host, &sh(FOREVER)).await;
    drop(process.end);
    assert_eq!(all(&mut process.output).await, "");
}

pub(super) async fn a_limit_ends_a_program(host: &dyn Host, _: HostPath) {
    let program = Program { limit: Some(Duration::from_millis(100)), ..sh(FOREVER) };
    let mut process = start(host, &program).await;
    // Whether or not anybody waits for its end.
    assert_eq!(all(&mut process.output).await, "");
    assert_eq!(soon(process.end.ended()).await, Ending::Signal(9));
}

pub(super) async fn much_output_waits_for_its_reader(host: &dyn Host, _: HostPath) {
    let mut process = start(host, &sh(MUCH)).await;
    tokio::time::timeout(Duration::from_millis(300), process.end.ended()).await.unwrap_err();
    assert_eq!(all(&mut process.output).await.len(), 8_000_000);
    assert_eq!(soon(process.end.ended()).await, Ending::Exit(0));
}

pub(super) async fn variables_are_set_and_unset(host: &dyn Host, _: HostPath) {
    let program = sh(VARIABLES)
        .with("SET", Variable::Set("a 'b' $c".into()))
        .with("TOKEN", Variable::Secret(Secret::new("hush")))
        .with("PATH", Variable::Unset);
    let line = host.as_shell(&program).to_string();
    assert!(line.contains("TOKEN=\"$TOKEN\"") && !line.contains("hush"), "{line}");
    let program = Program { argv: vec!["/bin/sh".into(), "-c".into(), VARIABLES.into()], ..program };
    let said = said(host, &program).await;
    assert!(said.starts_with("a 'b' $c|hush|"), "{said}");
    // A shell may give itself a path; it is not ours.
    assert!(!said.ends_with(&std::env::var("PATH").unwrap()), "{said}");
}

pub(super) async fn a_program_starts_in_its_folder(host: &dyn Host, folder: HostPath) {
    host.replace(&folder.join("note"), b"here").await.unwrap();
    assert_eq!(said(host, &Program { directory: Some(folder), ..sh(FOLDER) }).await, "here");
}

pub(super) async fn what_cannot_start_says_so(host: &dyn Host, folder: HostPath) {
    let missing = Program::new(folder.join("no-program").as_str(), [""; 0]);
    let error = soon(host.start(&missing)).await.unwrap_err();
    assert_eq!(error.on, *host.name());
    assert!(
        matches!(&error.what, HostFailure::Start { program, .. } if *program == missing.argv[0]),
        "{error}"
    );
    let nameless = Program { argv: Vec::new(), ..missing };
    let error = soon(host.start(&nameless)).await.unwrap_err();
    assert!(matches!(error.what, HostFailure::BadProgram(BadProgram::Nameless)), "{error}");
}

pub(super) async fn a_tree_is_laid_out_and_mended(host: &dyn Host, folder: HostPath) {
    let mut tree = Tree::default();
    tree.add("a/b/c.py", b"print()\n".as_slice()).unwrap();
    tree.add("empty", Vec::new()).unwrap();
    let into = folder.join("deep/down");
    for _ in 0..2 {
        host.put(&tree, &into).await.unwrap();
        assert_eq!(host.get(&into.join("a/b/c.py"), 100).await.unwrap(), b"print()\n");
        assert_eq!(host.get(&into.join("empty"), 0).await.unwrap(), b"");
        host.replace(&into.join("a/b/c.py"), b"cut").await.unwrap();
        host.replace(&into.join("other"), b"stays").await.unwrap();
    }
    host.put(&tree, &into).await.unwrap();
    assert_eq!(host.get(&into.join("a/b/c.py"), 100).await.unwrap(), b"print()\n");
    assert_eq!(host.get(&into.join("other"), 100).await.unwrap(), b"stays");
}

pub(super) async fn a_file_is_read_up_to_a_bound(host: &dyn Host, folder: HostPath) {
    let path = folder.join("file");
    host.replace(&path, b"12345").await.unwrap();
    assert_eq!(host.get(&path, 5).await.unwrap(), b"12345");
    assert_eq!(host.get(&path, u64::MAX).await.unwrap(), b"12345");
    let error = host.get(&path, 4).await.unwrap_err();
    assert!(matches!(error.what, HostFailure::TooLarge { most: 4, .. }), "{error}");
    let error = host.get(&folder.join("nothing"), 4).await.unwrap_err();
    assert!(
        matches!(&error.what, HostFailure::Read { path, .. } if path.as_str().ends_with("nothing")),
        "{error}"
    );
}

pub(super) async fn a_file_is_replaced_only_where_its_folder_is(host: &dyn Host, folder: HostPath) {
    let path = folder.join("nowhere/file");
    let error = host.replace(&path, b"x").await.unwrap_err();
    assert!(matches!(&error.what, HostFailure::Write { path: named, .. } if *named == path), "{error}");
    assert!(host.get(&path, 9).await.is_err());
}

/// A test a check, on a bed of its own each, for a host that need not have Python. `#[ignore = "..."]` may stand before the bed.
macro_rules! every_host_passes {
    ($bed:ty) => {
        $crate::host::suite::every_host_passes!(#[cfg(test)] $bed);
    };
    (#[$how:meta] $bed:ty) => {
        $crate::host::suite::every_host_passes!(#[$how] $bed:
            a_program_hears_and_is_heard,
            output_and_log_are_apart,
            endings_are_told_apart,
            a_program_can_be_killed,
            a_program_whose_end_is_dropped_ends,
            a_limit_ends_a_program,
            much_output_waits_for_its_reader,
            variables_are_set_and_unset,
            a_program_starts_in_its_folder,
            what_cannot_start_says_so,
            a_tree_is_laid_out_and_mended,
            a_file_is_read_up_to_a_bound,
            a_file_is_replaced_only_where_its_folder_is,
        );
    };
    (#[$how:meta] $bed:ty: $($check:ident,)+) => {$(
        #[tokio::test]
        #[$how]
        async fn $check() {
            use $crate::host::suite::Bed as _;
            let bed = <$bed>::new();
            $crate::host::suite::$check(bed.host(), bed.folder()).await;
        }
    )+};
}
pub(super) use every_host_passes;
