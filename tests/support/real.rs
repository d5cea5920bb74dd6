//! What the tests with real components share: the managed environment, made once.

use std::path::PathBuf;

use spark::events::Silent;
use spark::runtime::Target;
use spark::worker::environment::{self, Environment, EnvironmentSettings};
use tokio_util::sync::CancellationToken;

/// Where the real components lie: `SPARKTUNE_CACHE`, else a folder below `target/`.
pub fn cache() -> PathBuf {
    std::env::var_os("SPARKTUNE_CACHE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/spark-cache"), PathBuf::from)
}

/// The managed environment for `target`, fetched if it is not there. A missing part is a failure.
pub async fn environment(target: Target) -> Environment {
    let settings = EnvironmentSettings { cache: cache(), python: None, sglang_root: None, offline: false };
    environment::ensure(&settings, target, &CancellationToken::new(), &mut Silent)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}
