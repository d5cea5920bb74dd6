//! Small scripts on this machine, looked after as a tuner would be.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;
use crate::host::Here;

/// In a home of the test's own: what others leave, and remove, is not its concern.
fn order(home: &Path, code: &str, silence: Duration) -> ScriptOrder {
    let home = home.to_str().unwrap().to_owned();
    let files = BTreeMap::from([("script/s.py".to_owned(), code.to_owned())]);
    let program = ["python3", "-u", "{folder}/script/s.py", "{folder}/x"].map(str::to_owned).into();
    let set = |value: &str| Some(value.to_owned());
    let environment = [("RAY_TMPDIR", set("{folder}")), ("HOME", None)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
    ScriptOrder { home, files, program, environment, silence }
}

async fn attempt(
    code: &str,
    silence: Duration,
    cancel: &CancellationToken,
) -> (Attempt, Vec<Option<String>>) {
    let home = tempfile::tempdir().unwrap();
    attempt_in(home.path(), code, silence, cancel).await
}

async fn attempt_in(
    home: &Path,
    code: &str,
    silence: Duration,
    cancel: &CancellationToken,
) -> (Attempt, Vec<Option<String>>) {
    let mut heard = Vec::new();
    let order = order(home, code, silence);
    let attempt = run(&Here::new(), &HostPath::new("python3"), &order, cancel, |line| heard.push(line)).await;
    (attempt, heard)
}

async fn ended(code: &str) -> EndedScript {
    let home = tempfile::tempdir().unwrap();
    ended_in(home.path(), code).await
}

async fn ended_in(home: &Path, code: &str) -> EndedScript {
    match attempt_in(home, code, Duration::from_secs(60), &CancellationToken::new()).await.0 {
        Attempt::Ended(ended) => ended,
        other => panic!("{other:?}"),
    }
}

/// A script that says where it is and what it started: a daemon in a session of its own, whose parent is gone.
fn with_daemon(note: &Path, then: &str) -> String {
    format!(
        "import os, subprocess, sys, time\n\
         daemon = 'import subprocess, sys\\nprint(subprocess.Popen([\"sleep\", \"600\"], start_new_session=True, stdout=-3, stderr=-3).pid)'\n\
         pid = subprocess.run([sys.executable, '-c', daemon], capture_output=True, text=True).stdout.strip()\n\
         open('{0}.new', 'w').write(pid + ' ' + os.getcwd())\n\
         os.rename('{0}.new', '{0}')\n\
         {then}\n",
        note.display()
    )
}

/// The daemon's id and the script's folder, once it has said so.
async fn noted(note: &Path) -> (String, PathBuf) {
    let (pid, folder) = two_words(note).await;
    (pid, Path::new(&folder).parent().unwrap().to_owned())
}

/// What a script notes, once it has.
async fn two_words(note: &Path) -> (String, String) {
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(note) {
            let (first, second) = text.split_once(' ').unwrap();
            return (first.to_owned(), second.to_owned());
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the script said nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn runs(pid: &str) -> bool {
    // Gone, or waiting for a parent that never asks.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn goes(pid: &str, folder: &Path) {
    let began = Instant::now();
    while runs(pid) || folder.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "{pid} runs: {}, {}", runs(pid), folder.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_script_has_its_files_its_variables_and_a_fresh_folder_and_all_it_wrote_comes_over() {
    let code = "import json, os, sys\n\
                here = os.path.dirname(os.getcwd())\n\
                assert os.listdir('.') == [] and os.environ['RAY_TMPDIR'] == here and 'HOME' not in os.environ\n\
                assert sys.argv[1] == here + '/x' and os.path.exists(here + '/script/s.py')\n\
                open('a.json', 'w').write('{\"1\": 2}')\n\
                open('b.txt', 'w').write('no')\n\
                print(here)";
    let EndedScript { how, files, log } = ended_in(Path::new(HOME), code).await;
    assert_eq!(how, ScriptEnd::Exit(0), "{log}");
    assert_eq!(files, BTreeMap::from([("a.json".to_owned(), "{\"1\": 2}".to_owned())]));
    // Short, for the sockets that Ray puts there.
    assert!(log.trim().len() < 40 && !Path::new(log.trim()).exists(), "{log}");
}

#[tokio::test]
async fn a_script_s_own_end_is_told_with_its_last_words() {
    let EndedScript { how, files, log } = ended("print('x' * 20000)\nraise ValueError('odd')").await;
    assert_eq!((how, files.len()), (ScriptEnd::Exit(1), 0));
    assert!(log.ends_with("ValueError: odd\n") && log.len() < 10_000, "{log}");
    let killed = ended("import os\nos.kill(os.getpid(), 9)").await;
    assert_eq!(killed.how, ScriptEnd::Signal(9));
}

#[tokio::test]
async fn what_it_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let EndedScript { how, log, .. } = ended(&with_daemon(&note, "")).await;
    assert_eq!(how, ScriptEnd::Exit(0), "{log}");
    let (pid, folder) = noted(&note).await;
    assert!(!runs(&pid) && !folder.exists(), "it is over only once nothing is left");
}

#[tokio::test]
async fn one_that_says_nothing_is_killed_and_one_that_speaks_is_not() {
    let silence = Duration::from_secs(2);
    let began = Instant::now();
    let (silent, _) = attempt("import time\ntime.sleep(600)", silence, &CancellationToken::new()).await;
    assert!(matches!(&silent, Attempt::Ended(EndedScript { how: ScriptEnd::Silent, .. })), "{silent:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    let bar =
        "import sys, time\nfor at in range(10):\n    sys.stderr.write(f'\\r{at}/10')\n    time.sleep(0.5)";
    let (speaks, heard) = attempt(bar, silence, &CancellationToken::new()).await;
    assert!(matches!(&speaks, Attempt::Ended(EndedScript { how: ScriptEnd::Exit(0), .. })), "{speaks:?}");
    assert!(heard.iter().flatten().any(|line| line.ends_with("/10")), "{heard:?}");
}

#[tokio::test]
async fn the_user_s_word_ends_a_script_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("note");
    let cancel = CancellationToken::new();
    let code = with_daemon(&note, "time.sleep(600)");
    let (attempt, (pid, folder)) = tokio::join!(attempt(&code, Duration::from_secs(60), &cancel), async {
        let noted = noted(&note).await;
        cancel.cancel();
        noted
    });
    assert!(matches!(attempt.0, Attempt::Interrupted), "{attempt:?}");
    assert!(!runs(&pid) && !folder.exists());
}

/// It is done before the user's word, and what looks after it hears of both at once.
#[tokio::test]
async fn what_was_done_before_the_user_s_word_counts() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    let code = format!(
        "import os, signal\n\
         open('a.json', 'w').write('{{}}')\n\
         open('{0}.new', 'w').write(f'{{os.getppid()}} {{os.getpid()}}')\n\
         os.kill(os.getppid(), signal.SIGSTOP)\n\
         os.rename('{0}.new', '{0}')",
        note.display()
    );
    let cancel = CancellationToken::new();
    let (attempt, ()) = tokio::join!(attempt(&code, Duration::from_secs(60), &cancel), async {
        let (keeper, script) = two_words(&note).await;
        let began = Instant::now();
        while runs(&script) {
            assert!(began.elapsed() < Duration::from_secs(30), "the script does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
        // Time for the end of the input to arrive.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(std::process::Command::new("kill").args(["-CONT", &keeper]).status().unwrap().success());
    });
    let Attempt::Ended(EndedScript { how, files, log: _ }) = &attempt.0 else { panic!("{attempt:?}") };
    assert_eq!((*how, files.len()), (ScriptEnd::Exit(0), 1));
}

/// Where the program that was started is killed, what looks after the script is in another session and ends it.
#[tokio::test]
async fn whoever_kills_the_program_that_was_started_leaves_nothing_either() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    let host = Here::new();
    let program = Program::new("python3", ["-I", "-c", CODE]);
    let Process { mut input, output: _output, log: _log, mut end } = host.start(&program).await.unwrap();
    let order = order(dir.path(), &with_daemon(&note, "time.sleep(600)"), Duration::from_secs(60));
    input.write_all(&first_line(&order)).await.unwrap();
    let (pid, folder) = noted(&note).await;
    assert!(runs(&pid) && folder.exists());
    end.kill();
    goes(&pid, &folder).await;
}

/// Twice: whoever looks after the script is killed too, and then the next one cleans up.
#[tokio::test]
async fn what_a_killed_predecessor_left_goes_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    let host = Here::new();
    let program = Program::new("python3", ["-I", "-c", CODE]);
    let Process { mut input, output: _output, log: _log, mut end } = host.start(&program).await.unwrap();
    // A parent that looks after the script is found by its child.
    let then = "open(sys.argv[1], 'w').write(str(os.getppid())); time.sleep(600)";
    let order = order(dir.path(), &with_daemon(&note, then), Duration::from_secs(60));
    input.write_all(&first_line(&order)).await.unwrap();
    let (pid, folder) = noted(&note).await;
    let keeper = loop {
        match std::fs::read_to_string(folder.join("x")) {
            Ok(text) if !text.is_empty() => break text,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(std::process::Command::new("kill").args(["-9", &keeper]).status().unwrap().success());
    end.ended().await;
    assert!(folder.exists(), "nobody is left to remove it");
    assert_eq!(ended_in(dir.path(), "pass").await.how, ScriptEnd::Exit(0));
    goes(&pid, &folder).await;
}

/// Homes that others share are left alone: neither looked into nor cleaned up.
#[tokio::test]
async fn what_lies_in_another_home_stays() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let left = |home: &Path| {
        let of_all = std::fs::read_dir(home).unwrap().next().unwrap().unwrap().path();
        let folder = of_all.join("left");
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    for home in [dir.path(), other.path()] {
        assert_eq!(ended_in(home, "pass").await.how, ScriptEnd::Exit(0));
    }
    let (ours, theirs) = (left(dir.path()), left(other.path()));
    assert_eq!(ended_in(dir.path(), "pass").await.how, ScriptEnd::Exit(0));
    assert!(!ours.exists() && theirs.exists());
}

#[tokio::test]
async fn what_cannot_be_started_is_lost_and_says_why() {
    let none = HostPath::new("/nowhere/python3");
    let dir = tempfile::tempdir().unwrap();
    let order = order(dir.path(), "", Duration::from_secs(9));
    let attempt = run(&Here::new(), &none, &order, &CancellationToken::new(), |_| {}).await;
    assert!(matches!(&attempt, Attempt::Lost { why } if why.contains("/nowhere/python3")), "{attempt:?}");
    // A program that the order names, and the host has not.
    let order = ScriptOrder { program: vec!["/nowhere/sglang-python".into()], ..order };
    let attempt =
        run(&Here::new(), &HostPath::new("python3"), &order, &CancellationToken::new(), |_| {}).await;
    assert!(
        matches!(&attempt, Attempt::Lost { why } if why.contains("/nowhere/sglang-python")),
        "{attempt:?}"
    );
}
