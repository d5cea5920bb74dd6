//! What the tests of the whole program share: a folder of its own for every test, and what stands in it.
#![allow(dead_code, reason = "each test target uses a part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::{Map, Value, json};

/// The name GLM-4.7-FP8 with tp 4 gets, without its ending.
pub const GLM_STEM: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8";

/// A folder to work in; home and caches lie in another, so that `work` holds what the program wrote.
pub struct Sandbox {
    root: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["work", "home"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// The current folder of what runs.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Home and caches.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.work().join(below)
    }

    pub fn write(&self, below: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text);
        path
    }

    pub fn read(&self, below: impl AsRef<Path>) -> String {
        let path = self.path(below);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A virtual environment with these files among its packages; its interpreter.
    pub fn virtualenv(&self, packages: &[(&str, &str)]) -> PathBuf {
        let dir = self.path("venv");
        let venv = ["-m", "venv", "--without-pip", "--symlinks"];
        assert!(std::process::Command::new("python3").args(venv).arg(&dir).status().unwrap().success());
        let lib = std::fs::read_dir(dir.join("lib")).unwrap().next().unwrap().unwrap().path();
        for (file, text) in packages {
            self.write(lib.join("site-packages").join(file), text);
        }
        dir.join("bin/python")
    }

    /// `sparktune` with `arguments`, run in the working folder, with no way to the network.
    pub fn sparktune(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.args(arguments).current_dir(self.work());
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        for name in ["SPARKTUNE_PROFILES", "SPARKTUNE_PYTHON", "SPARKTUNE_SGLANG_ROOT", "HF_TOKEN"] {
            command.env_remove(name);
        }
        for name in ["HF_HUB_CACHE", "XDG_CACHE_HOME", "http_proxy", "https_proxy", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command
    }

    /// Where homes and caches are, and a hub that does not answer. Programs in `bin` of the home go before this machine's.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.home().join("bin")).chain(std::env::split_paths(&path));
        vec![
            ("HOME", self.home()),
            ("HF_HOME", self.home().join("hf")),
            ("SPARKTUNE_CACHE", self.home().join("cache")),
            ("HF_ENDPOINT", PathBuf::from("http://127.0.0.1:9")),
            ("PATH", std::env::join_paths(folders).unwrap().into()),
        ]
    }

    /// Every file and folder below the working and the home folder; of small files the bytes too.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                }
                let small = kind.is_file() && entry.metadata().unwrap().len() < 1 << 20;
                let bytes = small.then(|| std::fs::read(entry.path()).unwrap());
                found.insert(entry.path(), bytes);
            }
        }
        found
    }

    /// Run `arguments`, which are wrong: exit code 2, every one of `words` in the message, nothing on
    /// stdout, no panic, and every file as it was.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str], words: &[&str]) -> String {
        self.fails(2, arguments, words)
    }

    /// As [`Sandbox::refused`], with another exit code.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str], words: &[&str]) -> String {
        let before = self.snapshot();
        let assert = self.sparktune(arguments).assert();
        let message = stderr(&assert);
        let ended = assert.get_output().status.code();
        assert_eq!(ended, Some(code), "{arguments:?}: {message}");
        assert_eq!(stdout(&assert), "", "{arguments:?} wrote to stdout");
        for word in words {
            assert!(message.contains(word), "{arguments:?}: `{word}` is not in: {message}");
        }
        assert!(!message.contains("panicked") && !message.contains("backtrace"), "{message}");
        assert!(message.starts_with("error: "), "{arguments:?}: {message}");
        assert_eq!(message.matches("error:").count(), 1, "one message: {message}");
        assert!(self.snapshot() == before, "{arguments:?} left something behind");
        message
    }

    /// Run `arguments`, which are right, and take what stdout says.
    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        stdout(&self.sparktune(arguments).assert().success())
    }

    /// Run `arguments` and take stdout as one JSON value, nothing around it.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.succeeds(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// A run of GLM-4.7-FP8 without a compiler, in the folder `run`.
    #[track_caller]
    pub fn predicted_run(&self) {
        self.succeeds(&["moe", "--model", "GLM-4.7-FP8", "--evidence", "predicted", "--out", "run"]);
    }
}

pub fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

pub fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// A file as a test wants it: nobody reads half of it here.
#[allow(clippy::disallowed_methods, reason = "a test's own input")]
pub fn write(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::write(path, text).unwrap();
}

/// A config every device holds.
pub fn sound_entry() -> Value {
    json!({
        "BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1,
        "num_warps": 4, "num_stages": 2,
    })
}

/// The sound entry with one field changed.
pub fn entry_with(field: &str, value: Value) -> Value {
    let mut entry = sound_entry();
    entry[field] = value;
    entry
}

/// A config file's text from its entries.
pub fn file_of(entries: &[(&str, Value)]) -> String {
    let map: Map<String, Value> =
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Value::Object(map).to_string()
}

/// A file of 100 MB that says nothing, without 100 MB on the disk: a hole, then one byte.
pub fn sparse_100_mb(path: &Path) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::File::create(path).unwrap();
    file.seek(SeekFrom::Start(100 * 1024 * 1024 - 1)).unwrap();
    file.write_all(b" ").unwrap();
}
