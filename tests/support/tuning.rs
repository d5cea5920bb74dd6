//! What the tests of tuning in containers share: runs, their files and journals, and the containers that belong to them.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::TestNode;
use crate::support::Sandbox;

/// The least there is to compile.
pub const SMALL: [&str; 15] = [
    "moe",
    "--experts",
    "8",
    "--intermediate",
    "256",
    "--hidden",
    "256",
    "--top-k",
    "2",
    "--dtype",
    "bfloat16",
    "--evidence",
    "compiled",
    "--batch-sizes",
    "1",
];

pub fn docker(node: &TestNode, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", node.docker_socket.display())).args(arguments);
    command
}

/// What a program said that must have succeeded, without the last line's end.
#[track_caller]
pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// The containers of tuning runs of `cluster` on the node, by name.
pub fn left(node: &TestNode, cluster: &str) -> Vec<String> {
    let filters = ["label=sparktune.purpose=tune", &format!("label=sparktune.cluster={cluster}")];
    let list = ["ps", "--all", "--format", "{{.Names}}", "--filter", filters[0], "--filter", filters[1]];
    said(&docker(node, &list).output().unwrap()).lines().map(str::to_owned).collect()
}

pub fn sparktune(sandbox: &Sandbox, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    command.args(arguments).current_dir(sandbox.work()).envs(sandbox.environment());
    command.env("SPARKTUNE_CACHE", cache).env_remove("SPARKTUNE_PYTHON").env_remove("SPARKTUNE_SGLANG_ROOT");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The config files and manifests below `run`, by name. Of manifests all but when they were made.
pub fn files(run: &Path) -> Vec<(String, String)> {
    let folder = run.join("triton_3_5_0");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let made = |line: &&str| !line.contains("\"created\"");
            (name, text.lines().filter(made).collect::<Vec<_>>().join("\n"))
        })
        .collect();
    files.sort();
    files
}

pub fn journal(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What Ctrl-C may take while every worker is busy: a second, and what four nodes on one busy machine add to it.
pub const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// Press Ctrl-C and wait until the program has left, in time. What it said.
#[track_caller]
pub fn interrupt(child: Child) -> Output {
    let asked = Instant::now();
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < LEAVE_LIMIT, "it left after {:?}", asked.elapsed());
    output
}

pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}
