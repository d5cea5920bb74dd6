//! What the tests of `sparktune deploy` share: files to deploy, and an interpreter that has a runtime.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Sandbox, entry_with, file_of, sound_entry};

/// The Triton whose folder the files lie in.
pub const TRITON: &str = "triton_3_5_0";

/// The text of a sound file; another one for every `stages`.
pub fn text(stages: u32) -> String {
    file_of(&[("1", sound_entry()), ("64", entry_with("num_stages", json!(stages)))])
}

/// Names and texts of `count` files.
pub fn files(count: usize, stages: u32) -> BTreeMap<String, String> {
    let name = |experts| format!("E={experts},N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json");
    (1..=count).map(|experts| (name(experts), text(stages))).collect()
}

/// The same on the disk, in `folder` of the working folder, below a folder of their Triton.
pub fn write_files(sandbox: &Sandbox, folder: &str, files: &BTreeMap<String, String>) {
    for (name, text) in files {
        sandbox.write(format!("{folder}/{TRITON}/{name}"), text);
    }
}

/// Makes packages `sglang` 0.5.4.post2 and `triton` 3.5.0 that cannot be imported, in the folder of its argument or
/// else where the interpreter looks for packages, and says where SGLang's config files lie.
pub const SITE: &str = r#"
import os, sys, sysconfig
site = sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_paths()["purelib"]
for name, version in (("sglang", "0.5.4.post2"), ("triton", "3.5.0")):
    os.makedirs(os.path.join(site, name), exist_ok=True)
    with open(os.path.join(site, name, "__init__.py"), "w") as file:
        file.write("raise SystemExit('imported')")
    metadata = os.path.join(site, f"{name}-{version}.dist-info")
    os.makedirs(metadata, exist_ok=True)
    with open(os.path.join(metadata, "METADATA"), "w") as file:
        file.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
module = os.path.join(site, "sglang/srt/layers/moe/fused_moe_triton")
os.makedirs(module, exist_ok=True)
print(os.path.join(module, "configs"))
"#;

/// A virtual environment `venv` in the working folder that has the packages of [`SITE`].
pub fn virtualenv(sandbox: &Sandbox) {
    let site = sandbox.path("venv/site");
    let made = Command::new("python3").args(["-c", SITE]).arg(&site).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let script = format!(
        "#!/bin/sh\nshift; shift\nexec python3 -S -c \"import sys; sys.path.insert(0, '{}'); \
         exec(sys.argv.pop(1))\" \"$1\"\n",
        site.display()
    );
    let python = sandbox.write("venv/bin/python", script);
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The files of a folder on this machine, without what is `sparktune`'s own.
pub fn held(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // One that is renamed meanwhile is gone.
        std::fs::read_to_string(&path).ok().map(|text| (name, text))
    };
    entries.filter_map(file).collect()
}

/// A moment within `most`, another one every time.
pub fn moment_within(most: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    most.mul_f64(random as f64 / u64::MAX as f64)
}

/// `sparktune` with `arguments`, whose standard streams lead nowhere.
pub fn start(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
    command.args(arguments).current_dir(sandbox.work()).envs(sandbox.environment());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether files are staged in `folder`, or about to be.
pub fn stages(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder.join(".sparktune")).into_iter().flatten();
    names.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("stage-"))
}

/// How long `work` takes.
pub fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// Wait until `is` holds: what a node has decided it ends without whoever asked for it.
#[track_caller]
pub fn soon(what: &str, mut is: impl FnMut() -> bool) {
    const LIMIT: Duration = Duration::from_secs(10);
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
