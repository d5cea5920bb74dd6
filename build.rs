//! Rebuild when an embedded file appears or goes: `include_dir!` alone notices only changes within.

#[expect(clippy::disallowed_macros, reason = "cargo reads a build script's stdout")]
fn main() {
    for folder in ["profiles", "worker/spark_worker"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
