//! The look-alikes of SGLang and vLLM that the tests of serving run on the nodes, tried on the loopback by tests of
//! their own.

use std::process::Command;

#[test]
fn the_look_alike_engines_do_as_they_say() {
    let mut python = Command::new("python3");
    python.args(["-m", "unittest", "discover", "--start-directory", "tests/look_alike"]);
    python.current_dir(env!("CARGO_MANIFEST_DIR")).env("SPARKBENCH", env!("CARGO_BIN_EXE_sparkbench"));
    let output = python.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Neither none at all nor one left out.
    assert!(said.contains("Ran 20 tests") && !said.contains("skipped"), "{said}");
}
