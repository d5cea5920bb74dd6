//! What the tests of `sparkbench` against servers share: the program, a quick mock, results read back.
#![allow(dead_code, reason = "each test target uses a part of this")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;
use spark::mock::{RunningMock, Scenario, spawn};

use crate::support::Sandbox;

/// A key that must show nowhere.
pub const KEY: &str = "sk-f00dfeedf00dfeed";

/// What a test waits for at most: far beyond what anything takes, so that a hang fails and a slow machine
/// does not.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Variables of the environment that must not reach what is tested.
const UNSET: [&str; 16] = [
    "SPARKBENCH_BASE_URL",
    "SPARKBENCH_PROFILE",
    "SPARKBENCH_PROFILES",
    "SPARKBENCH_API_KEY",
    "SPARKBENCH_MOCK_KEY",
    "OPENAI_API_KEY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "XDG_CACHE_HOME",
    "RUST_BACKTRACE",
];

/// `sparkbench` with `arguments` and nothing in the environment but what a test sets.
pub fn sparkbench(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::from_std(process(sandbox, arguments));
    command.timeout(PATIENCE);
    command
}

/// The same as a process to be started, watched and stopped.
pub fn process(sandbox: &Sandbox, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sparkbench"));
    command.args(arguments).current_dir(sandbox.work()).env("HOME", sandbox.home());
    for name in UNSET {
        command.env_remove(name);
    }
    command
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It ended with this code, and without a panic.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Its stderr has all of `words`.
    #[track_caller]
    pub fn saying(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {self:#?}");
        }
        self
    }

    /// Its stdout is one JSON value and nothing else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Run `sparkbench` to its end.
#[track_caller]
pub fn ended(sandbox: &Sandbox, arguments: &[&str]) -> Ended {
    Ended::of(sparkbench(sandbox, arguments).output().unwrap())
}

/// `sparkbench run` against `url` into the folder `out`.
#[track_caller]
pub fn run(sandbox: &Sandbox, url: &str, out: &str, arguments: &[&str]) -> Ended {
    ended(sandbox, &[&["run", "--base-url", url, "--out", out], arguments].concat())
}

/// A mock that is quick where the scenario says nothing of time.
pub fn quick() -> Scenario {
    Scenario { ttft: Duration::from_millis(3), itl: Duration::from_millis(1), ..Scenario::default() }
}

/// Slow enough for tokens to come one by one also where the machine does much else: what lies unread together has one
/// time.
pub fn token_by_token() -> Scenario {
    Scenario { itl: Duration::from_millis(20), ..quick() }
}

/// Start a mock.
pub fn mock(scenario: Scenario) -> RunningMock {
    spawn(scenario, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// What lies in a run's directory.
pub struct Results(pub PathBuf);

impl Results {
    pub fn of(sandbox: &Sandbox, dir: &str) -> Self {
        Self(sandbox.path(dir))
    }

    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        let path = self.0.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    #[track_caller]
    pub fn run(&self) -> Value {
        self.json("run.json")
    }

    #[track_caller]
    pub fn summary(&self) -> Value {
        self.json("summary.json")
    }

    /// The lines of `requests.jsonl`, each of which must be whole.
    #[track_caller]
    pub fn requests(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.0.join("requests.jsonl")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a line is cut off: {text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The names of what lies there, sorted.
    pub fn files(&self) -> Vec<String> {
        names(&self.0)
    }
}

/// The names in a folder, sorted; none where there is no such folder.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Wait until `what` is there.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Send a process a signal, as `kill` names it.
#[track_caller]
pub fn signal(child: &std::process::Child, name: &str) {
    let sent = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}
