//! What the program in a container says of GPUs: this machine's Python, without a driver and with a look-alike of one.

use std::path::Path;
use std::process::Command;

use super::super::seen::GpusSeen;

/// A library with the driver's functions, as cuda.h declares them, for one GB10.
const LIBRARY: &str = r#"
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuGetErrorName(int status, const char **name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int at) { *device = at + 7; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 7 ? "NVIDIA GB10" : "another", length);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (device != 7) return 101;
    *value = attribute == 97 ? 101376 : attribute == 75 ? 12 : attribute == 76 ? 1 : -1;
    return 0;
}
"#;

fn seen(libraries: &Path) -> GpusSeen {
    let program = include_str!("../../../../worker/node/gpu.py");
    let mut python = Command::new("python3");
    let output = python.args(["-I", "-c", program]).env("LD_LIBRARY_PATH", libraries).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn library(status: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("cuda.c");
    std::fs::write(&source, LIBRARY.replace("STATUS", status)).unwrap();
    let mut compiler = Command::new("cc");
    let compiled =
        compiler.args(["-shared", "-fPIC", "-o"]).arg(folder.path().join("libcuda.so.1")).arg(&source);
    assert!(compiled.status().unwrap().success());
    folder
}

#[test]
fn a_driver_is_asked_by_its_own_library() {
    let found = seen(library("0").path());
    assert!(found.library && found.trouble.is_none(), "{found:?}");
    let [gpu] = &found.gpus[..] else { panic!("{found:?}") };
    assert_eq!((gpu.name.as_str(), gpu.shared_memory_per_block), ("NVIDIA GB10", Some(101_376)));
    let found = seen(library("100").path());
    assert_eq!(found.trouble.as_deref(), Some("cuInit says CUDA_ERROR_NO_DEVICE (100)"));
    assert!(found.library && found.gpus.is_empty(), "{found:?}");
}

#[test]
fn a_library_that_is_none_is_trouble_and_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libcuda.so.1"), "no library").unwrap();
    let found = seen(folder.path());
    assert!(!found.library && found.gpus.is_empty(), "{found:?}");
    assert!(found.trouble.unwrap().contains("libcuda.so.1"));
}
