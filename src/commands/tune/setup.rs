//! `sparktune setup`: make the managed environment ready before it is needed.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::host::Variable;
use crate::runtime::Target;
use crate::worker::CompileWorker;
use crate::worker::environment::{self, EnvironmentSettings};

/// Prepare the environment for `target`, start a worker in it and say what is there.
pub async fn run(
    settings: &EnvironmentSettings,
    target: Target,
    json: bool,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let environment = environment::ensure(settings, target, cancel, observer).await?;
    let root = environment.package_root;
    let starter = environment.starter;
    let worker = CompileWorker::start(Arc::new(starter.clone()), root.clone()).await?;
    let identity = worker.identity().clone();
    worker.stop().await;
    if json {
        let shown = |(name, variable): (String, Variable)| match variable {
            Variable::Set(value) => Some((name, value.into())),
            Variable::Secret(_) | Variable::Unset => None,
        };
        let variables: serde_json::Map<String, serde_json::Value> =
            starter.variables.into_iter().filter_map(shown).collect();
        out.json(&serde_json::json!({
            "python": starter.python,
            "variables": variables,
            "sglang_root": root,
            "compiler": identity,
        }))
    } else {
        out.table(
            &["part", "what", "where"],
            &[
                vec!["Triton".into(), identity.triton, starter.python.to_string()],
                vec!["ptxas".into(), identity.ptxas.unwrap_or_else(|| "none found".into()), String::new()],
                vec![
                    "SGLang kernel".into(),
                    identity.sglang_version.unwrap_or_else(|| "unknown version".into()),
                    root.to_string(),
                ],
            ],
        )
    }
    .map_err(OutputError)?;
    Ok(Verdict::Done)
}
