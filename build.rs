//! Rebuild when an embedded file appears or goes: `include_dir!` alone notices only changes within.

fn main() {
    for folder in ["profiles", "worker/spark_worker"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
