//! `sparktune setup`: make the managed environment ready before it is needed.

use tokio_util::sync::CancellationToken;

use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::runtime::Target;
use crate::worker::environment::{self, Settings};
use crate::worker::{Compiler, Supervised};

/// Prepare the environment for `target`, start a worker in it and say what is there.
pub async fn run(
    settings: &Settings,
    target: Target,
    json: bool,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let environment = environment::ensure(settings, target, cancel, observer).await?;
    let root = environment.sglang_root.display().to_string();
    let worker = Supervised::start(environment.launch.clone(), &root).await?;
    let identity = worker.identity().clone();
    worker.stop().await;
    if json {
        let variables: serde_json::Map<String, serde_json::Value> = environment
            .launch
            .variables
            .iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into()))
            .collect();
        out.json(&serde_json::json!({
            "python": environment.launch.python,
            "variables": variables,
            "sglang_root": environment.sglang_root,
            "compiler": identity,
        }))
    } else {
        out.table(
            &["part", "what", "where"],
            &[
                vec!["Triton".into(), identity.triton, environment.launch.python.display().to_string()],
                vec!["ptxas".into(), identity.ptxas.unwrap_or_else(|| "none found".into()), String::new()],
                vec![
                    "SGLang kernel".into(),
                    identity.sglang_version.unwrap_or_else(|| "unknown version".into()),
                    root,
                ],
            ],
        )
    }
    .map_err(OutputError)?;
    Ok(Verdict::Done)
}
