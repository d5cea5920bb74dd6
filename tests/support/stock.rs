//! What the tests of `--tuner stock` on this machine share: a machine with a runtime, and what its script has done there.

#![allow(dead_code, reason = "each test target uses a part of this")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{self, Sandbox};

const SGLANGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stand_in_tuning_script.py");
/// The file of [`CONFIG`], undivided.
pub const NAME: &str = "E=8,N=256,device_name=NVIDIA_GB10.json";
/// A whole config of a small Mixtral, as transformers writes it.
const CONFIG: &str = r#"{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_local_experts": 8,
    "num_experts_per_tok": 2, "intermediate_size": 256, "hidden_size": 256, "torch_dtype": "bfloat16"}"#;

/// The script that stands in for vLLM's.
pub fn vllms_script() -> String {
    let theirs = include_str!("../fixtures/stand_in_tuning_script.py");
    let (_, common) = theirs.split_once("\n# As any of them.\n").unwrap();
    format!("{}{common}", include_str!("../fixtures/stand_in_benchmark_moe.py"))
}

/// A machine with a runtime and its script, as far as this program can tell.
pub struct Bed {
    pub sandbox: Sandbox,
    pub python: PathBuf,
    /// The script.
    pub script: String,
    /// What says which runtime, after `moe --tuner stock`.
    said: &'static [&'static str],
    /// The folder of its files in a run's directory.
    folder: &'static str,
}

impl Bed {
    /// With SGLang.
    pub fn sglang() -> Self {
        let sandbox = Sandbox::new();
        let python = sandbox.virtualenv(&[
            ("sglang/__init__.py", ""),
            ("sglang/srt/layers/moe/fused_moe_triton/__init__.py", ""),
            ("sglang-0.5.4.post2.dist-info/METADATA", "Name: sglang\nVersion: 0.5.4.post2\n"),
            ("triton/__init__.py", ""),
            ("triton-3.5.0.dist-info/METADATA", "Name: triton\nVersion: 3.5.0\n"),
        ]);
        Self::of(sandbox, python, SGLANGS.to_owned(), &[], "triton_3_5_0")
    }

    /// With vLLM.
    pub fn vllm() -> Self {
        let sandbox = Sandbox::new();
        let python = sandbox.virtualenv(&[
            ("vllm/__init__.py", ""),
            ("vllm/model_executor/layers/fused_moe/__init__.py", ""),
            ("vllm-0.33.0+cu130.dist-info/METADATA", "Name: vllm\nVersion: 0.33.0+cu130\n"),
            ("triton/__init__.py", ""),
            ("triton-3.8.0.dist-info/METADATA", "Name: triton\nVersion: 3.8.0\n"),
        ]);
        let script = sandbox.write("checkout/benchmarks/kernels/benchmark_moe.py", vllms_script());
        Self::of(sandbox, python, script.to_str().unwrap().to_owned(), &["--vllm", "0.33.0"], "vllm")
    }

    fn of(
        sandbox: Sandbox,
        python: PathBuf,
        script: String,
        said: &'static [&'static str],
        folder: &'static str,
    ) -> Self {
        sandbox.write("model/config.json", CONFIG);
        sandbox.write("notes/faults/none", "");
        let bed = Self { sandbox, python, script, said, folder };
        bed.gpu("echo 'NVIDIA GB10'");
        bed
    }

    /// Let the driver's tool do this, whatever this machine has.
    pub fn gpu(&self, script: &str) {
        let path = self.sandbox.home().join("bin/nvidia-smi");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        support::write(&path, format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The words are those of `faults` in the stand-in.
    pub fn fault(&self, batch_size: u32, words: &str) {
        self.sandbox.write(format!("notes/faults/{batch_size}"), words);
    }

    pub fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let python = self.python.to_str().unwrap();
        let all = ["moe", "--tuner", "stock", "--model", "./model", "--python", python];
        [&all, self.said, &["--stock-script", &self.script], more].concat()
    }

    /// An inventory of this machine alone, with this GPU and without an engine.
    pub fn cluster_of_this_machine(&self, gpu: &str) -> String {
        self.gpu(&format!("echo '{gpu}, 12.1, 580.95.05, 208, 3003, 45, 12.5'"));
        let venv = self.python.parent().unwrap().parent().unwrap();
        let nodes = "[[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\n";
        let bare = format!("bare = {{ virtualenv = \"{}\" }}\n", venv.display());
        self.sandbox.write("lab.toml", format!("name = \"lab\"\nengine = \"none\"\n{nodes}{bare}"));
        "lab.toml".to_owned()
    }

    pub fn run_on_nodes(&self, more: &[&str]) -> Output {
        let all = ["moe", "--tuner", "stock", "--model", "./model", "--stock-script", &self.script];
        self.command(&[&all, self.said, more].concat()).output().unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparktune"));
        command.args(arguments).current_dir(self.sandbox.work()).envs(self.sandbox.environment());
        for name in ["SPARKTUNE_PROFILES", "SPARKTUNE_PYTHON", "SPARKTUNE_SGLANG_ROOT"] {
            command.env_remove(name);
        }
        command.env("STAND_IN", self.sandbox.path("notes")).env("RAY_ADDRESS", "somewhere:6379");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, more: &[&str]) -> Output {
        self.command(&self.arguments(more)).output().unwrap()
    }

    pub fn resume(&self, out: &str, more: &[&str]) -> Output {
        self.command(&[&["moe", "--resume", out], more].concat()).output().unwrap()
    }

    /// The lines of a note, word by word.
    pub fn notes(&self, name: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.sandbox.path("notes").join(name)).unwrap_or_default();
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// The batch sizes of the processes so far, in their order.
    pub fn ran(&self) -> Vec<u32> {
        self.notes("ran").iter().map(|line| line[0].parse().unwrap()).collect()
    }

    /// How often each batch size came to a result.
    pub fn results(&self) -> BTreeMap<u32, usize> {
        let mut results = BTreeMap::new();
        for line in self.notes("done") {
            *results.entry(line[0].parse().unwrap()).or_default() += 1;
        }
        results
    }

    /// The keys of the file and what it is.
    pub fn file(&self, out: &str) -> (Vec<u32>, Value) {
        let text = self.sandbox.read(format!("{out}/{}/{NAME}", self.folder));
        let file: Value = serde_json::from_str(&text).unwrap();
        let mut keys: Vec<u32> = file.as_object().unwrap().keys().map(|key| key.parse().unwrap()).collect();
        keys.sort_unstable();
        (keys, file)
    }

    /// Neither processes nor folders of the stand-in are there; soon, where whoever wanted them was killed.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let began = Instant::now();
        for line in self.notes("ran") {
            let stat = format!("/proc/{}/stat", line[2]);
            let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
            while runs() || Path::new(&line[3]).exists() {
                assert!(began.elapsed() < Duration::from_secs(30), "{line:?} is left");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

pub fn journal(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
pub fn until_tuned(run: &Path, many: usize, child: &mut Child) {
    let tuned = || journal(run).iter().filter(|line| line["record"] == "tuned").count();
    until("a batch size is tuned", child, || tuned() >= many);
}

/// Wait until it `is` so, while the program runs.
#[track_caller]
pub fn until(what: &str, child: &mut Child, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("it ended too early, before {what}: {status}");
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
pub fn ended(output: &Output, code: i32) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}
