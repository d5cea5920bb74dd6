//! Verdicts over what GPUs did under a load, and the program that makes it: without a driver, and with a look-alike of
//! one. It never ran on a GPU.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::seen::LoadSeen;
use super::*;

/// Samples of nvidia-smi in the form that GB10 has in public issues: memory's clock and the like are not asked for.
fn busy(clock: &str, celsius: &str, reasons: &str) -> LoadSeen {
    LoadSeen {
        trouble: None,
        name: Some("NVIDIA GB10".into()),
        spin_ms: vec![20.0, 20.1, 19.9],
        gemv_ms: vec![1.2, 1.19, 1.3],
        gemv_bytes: 256 << 20,
        samples: vec![format!("{clock}, {celsius}, 61.30, {reasons}"); 9],
    }
}

fn healthy_load() -> LoadSeen {
    busy("2411", "62", "0x0000000000000000")
}

/// Three nodes under load, node b as the test has it.
fn with(load: LoadSeen) -> Examined {
    let mut examined = healthy();
    for node in &mut examined.nodes {
        node.load = Some(Ok(healthy_load()));
    }
    examined.nodes[1].load = Some(Ok(load));
    examined
}

#[test]
fn gpus_that_run_as_they_should() {
    let examined = with(healthy_load());
    assert_eq!(wrong(&examined), []);
    let of_b =
        examined.findings().into_iter().filter(|it| it.node.as_str() == "b" && it.item.starts_with("load"));
    let lines: Vec<String> = of_b.map(|it| format!("{}: {}", it.item, it.says)).collect();
    assert_eq!(
        lines,
        [
            "load_clock: 2411 MHz under load, 62 \u{b0}C",
            "load_throttling: nothing slows it down",
            "load_kernels: spin 20.00 ms, gemv 1.200 ms (224 GB/s)",
        ]
    );
}

#[test]
fn a_clock_that_does_not_go_up() {
    let found = wrong(&with(busy("513", "45", "0x0000000000000000")));
    assert_eq!(found, [("b".into(), "load_clock", State::Failed)]);
    is(&only(&with(busy("850", "45", "0x0"))), "b", "load_clock", State::Failed, "USB-PD", "plug");
    let says = "2100 MHz under load, 62 \u{b0}C, and 2411 MHz on";
    is(&only(&with(busy("2100", "62", "0x0"))), "b", "load_clock", State::Warning, says, "CLOCK,PERFORMANCE");
    // Within a tenth nodes are alike; of another GPU nothing is expected, and no Spark's limit is its.
    assert_eq!(wrong(&with(busy("2200", "62", "0x0"))), []);
    let other = LoadSeen { name: Some("NVIDIA GB99".into()), ..busy("800", "62", "0x0") };
    assert_eq!(wrong(&with(other)), []);
    let silent = busy("[N/A]", "[N/A]", "[N/A]");
    is(&only(&with(silent)), "b", "load_clock", State::Unknown, "did not say its clock", "");
    let garbage =
        LoadSeen { samples: vec!["NaN, x, y, 0xzz".into(), "a".into(), String::new()], ..healthy_load() };
    is(&only(&with(garbage)), "b", "load_clock", State::Unknown, "did not say its clock", "");
}

#[test]
fn what_slows_a_clock_down_is_said_and_heat_is_a_fault() {
    let mut hot = healthy_load();
    hot.samples[0] = "2411, 88, 61.30, 0x0000000000000024".into();
    let finding = only(&with(hot));
    let says = "slowed down by the power limit (11 %), heat, by the driver (11 %)";
    is(&finding, "b", "load_throttling", State::Warning, says, "PERFORMANCE");
    for fault in ["0x8", "0x40", "0x80"] {
        let finding = only(&with(busy("2411", "62", fault)));
        assert_eq!((finding.item, finding.state), ("load_throttling", State::Warning), "{fault}");
    }
    // How most boards run, and somebody's will.
    for fine in ["0x0000000000000004", "0x2", "0x1", "0x106"] {
        assert_eq!(wrong(&with(busy("2411", "62", fine))), [], "{fine}");
    }
}

#[test]
fn a_kernel_that_takes_longer_than_on_the_others() {
    // As reported of a GB10: what decoding does takes three times as long at a clock that is as it should be.
    let slow = LoadSeen { gemv_ms: vec![3.9; 5], ..healthy_load() };
    is(&only(&with(slow)), "b", "load_kernels", State::Warning, "gemv takes 1.200 ms on", "pull its plug");
    let slow = LoadSeen { spin_ms: vec![23.0; 5], ..healthy_load() };
    is(&only(&with(slow)), "b", "load_kernels", State::Warning, "spin takes 20.000 ms on", "pull its plug");
    // All alike, and all slow: the memory's own figure tells.
    let mut all = with(healthy_load());
    for node in &mut all.nodes {
        node.load = Some(Ok(LoadSeen { gemv_ms: vec![3.9; 5], ..healthy_load() }));
    }
    let found = wrong(&all);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|(_, item, state)| (*item, *state) == ("load_kernels", State::Warning)));
}

#[test]
fn a_gpu_that_could_not_be_tried() {
    let none = LoadSeen { trouble: Some("no GPU to try".into()), ..LoadSeen::default() };
    is(&only(&with(none)), "b", "load_clock", State::Unknown, "no GPU to try", "");
    let mut silent = with(healthy_load());
    silent.nodes[1].load = Some(Err(Obstacle { says: "did not answer".into(), fix: None }));
    is(&only(&silent), "b", "load_clock", State::Unknown, "did not answer", "");
}

/// A library with the functions of the driver's that the program calls, as cuda.h declares them, and a clock of its own:
/// a launch takes 5 ms. It refuses a kernel that it was not given, one in another order of arguments, and memory that it
/// has not handed out.
const LIBRARY: &str = r#"
#include <stddef.h>
#include <string.h>
typedef unsigned long long pointer;
static pointer next = 0x1000;
static int launches = 0;
int cuInit(unsigned flags) { return 0; }
int cuGetErrorName(int status, const char **name) { *name = "CUDA_ERROR_UNKNOWN"; return 0; }
int cuDeviceGet(int *device, int at) { *device = 7; return at; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "NVIDIA GB10", length); return device != 7; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = 48; return attribute != 16; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)0x700000000001; return device != 7; }
int cuCtxSetCurrent(void *context) { return context != (void *)0x700000000001; }
int cuModuleLoadData(void **module, const char *text) {
    *module = (void *)0x700000000002;
    return !(strstr(text, ".entry spin(") && strstr(text, ".entry gemv("));
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
    *function = (void *)(strcmp(name, "spin") ? 0x700000000004 : 0x700000000003);
    return module != (void *)0x700000000002;
}
int cuEventCreate(void **event, unsigned flags) { *event = (void *)0x700000000005; return 0; }
int cuEventRecord(void *event, void *stream) { return event != (void *)0x700000000005 || stream; }
int cuEventSynchronize(void *event) { return event != (void *)0x700000000005; }
int cuEventElapsedTime(float *took, void *begin, void *end) { *took = 5; return 0; }
int cuMemAlloc_v2(pointer *at, size_t bytes) {
    *at = 0x700000000000 + next;
    next += bytes;
    return FULL && bytes > 1 << 20 ? 2 : 0;
}
int cuMemsetD32_v2(pointer at, unsigned bits, size_t numbers) { return at < 0x700000000000; }
int cuMemcpyDtoH_v2(float *to, pointer from, size_t bytes) {
    *to = RESULT;
    return bytes != 4 || from != 0x700000001000 || launches < 2;
}
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned block, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **extra) {
    int spin = function == (void *)0x700000000003;
    launches++;
    if (y != 1 || z != 1 || block != 256 || by != 1 || bz != 1 || shared || stream || extra) return 1;
    if (spin) return x != 384 || *(pointer *)arguments[0] != 0x700000001000 || *(unsigned *)arguments[1] != 300000;
    return x != 1024 || *(pointer *)arguments[0] <= 0x700000001000 || *(pointer *)arguments[1] <= *(pointer *)arguments[0]
        || *(pointer *)arguments[2] != 0x700000001000 || *(unsigned *)arguments[3] != 8192;
}
"#;

const NVIDIA_SMI: &str =
    "#!/bin/sh\nwhile :; do echo '2411, 62, 61.30, 0x0000000000000000'; sleep 0.1; done\n";

/// What the program says with such a driver, and an nvidia-smi that goes on until it is ended.
fn said(result: &str, full: &str) -> LoadSeen {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("cuda.c");
    std::fs::write(&source, LIBRARY.replace("RESULT", result).replace("FULL", full)).unwrap();
    let mut compiler = Command::new("cc");
    let compiled =
        compiler.args(["-shared", "-fPIC", "-o"]).arg(folder.path().join("libcuda.so.1")).arg(&source);
    assert!(compiled.status().unwrap().success());
    let smi = folder.path().join("nvidia-smi");
    std::fs::write(&smi, NVIDIA_SMI).unwrap();
    std::fs::set_permissions(&smi, std::fs::Permissions::from_mode(0o755)).unwrap();
    run(folder.path(), "1.5")
}

fn run(folder: &Path, seconds: &str) -> LoadSeen {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut python = Command::new("python3");
    python.args(["-I", "-c", include_str!("../../../../worker/node/load.py")]);
    python.env("LD_LIBRARY_PATH", folder).env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    use std::io::Write;
    write!(child.stdin.take().unwrap(), "{{\"seconds\": {seconds}}}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_program_tells_the_driver_what_cuda_h_declares() {
    let found = said("64", "0");
    assert_eq!((found.trouble.as_deref(), found.name.as_deref()), (None, Some("NVIDIA GB10")), "{found:?}");
    assert!(found.spin_ms.len() > 1 && found.spin_ms.iter().all(|ms| *ms == 5.0), "{found:?}");
    assert_eq!((found.gemv_ms.len(), found.gemv_bytes), (200, 256 << 20));
    assert!(!found.samples.is_empty() && found.samples.len() < 10, "{found:?}");
}

#[test]
fn the_program_says_what_keeps_it_from_trying() {
    assert_eq!(said("63", "0").trouble.as_deref(), Some("the GPU says 63.0 where 64.0 is right"));
    assert_eq!(said("64", "1").trouble.as_deref(), Some("cuMemAlloc_v2 says CUDA_ERROR_UNKNOWN (2)"));
    let folder = tempfile::tempdir().unwrap();
    let found = run(folder.path(), "1");
    assert!(found.trouble.as_deref().unwrap().starts_with("no GPU to try: libcuda.so.1"), "{found:?}");
    assert!(found.spin_ms.is_empty() && found.samples.is_empty());
}
