//! `sparkbench status`: what is up on the nodes, by what they say.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::nodes::{AskedNodes, NodesSettings};
use super::plan::Stopped;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::host_name::HostName;
use crate::serving::live::{Condition, FoundModel, Lock, Look, Part, PartState, Wanted, ask_found};

/// Which nodes are asked.
#[derive(Debug)]
pub(crate) struct StatusSettings {
    /// The nodes.
    pub(crate) nodes: NodesSettings,
    /// One JSON object.
    pub(crate) json: bool,
}

/// Ask, and show it.
pub(crate) async fn run(
    settings: &StatusSettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let asked = async {
        let nodes = AskedNodes::connect(&settings.nodes).await?;
        let (found, _further) = nodes.look().await;
        let problems: Vec<(&HostName, &str)> = found.problems().collect();
        let models = found.models();
        let conditions = futures_util::future::join_all(models.iter().map(|model| async {
            let answer = ask_found(model, Wanted::State).await;
            let starter = match model.parts.len() < model.served.processes {
                true => starter(&nodes, model).await,
                false => None,
            };
            Condition::of(model, answer.as_ref(), &problems, starter.as_deref())
        }))
        .await;
        Ok::<_, Box<dyn crate::failure::Failure>>((nodes.cluster.clone(), found, models, conditions))
    };
    let (cluster, found, models, conditions) = cancel.run_until_cancelled(asked).await.ok_or(Stopped)??;
    let models: Vec<(FoundModel, Condition)> = models.into_iter().zip(conditions).collect();
    match settings.json {
        true => out.json(&as_json(&cluster, &found, &models)).map_err(OutputError)?,
        false => for_people(&cluster, &found, &models, out)?,
    }
    let all_well = found.problems().next().is_none()
        && models.iter().all(|(_, condition)| !matches!(condition, Condition::Broken(_)));
    Ok(if all_well { Verdict::Done } else { Verdict::CheckSaidNo })
}

/// Who is starting something on the model's nodes right now.
async fn starter(nodes: &AskedNodes, model: &FoundModel) -> Option<String> {
    let of_model = |name: &HostName| model.served.nodes.contains(name);
    for (name, node) in nodes.pairs().filter(|(name, _)| of_model(name)) {
        let host = node.as_ref().ok().and_then(|node| node.host().ok());
        if let Some(host) = host
            && let Some(holder) = Lock::holder(&**host, &nodes.cluster).await
        {
            tracing::debug!(node = %name, "locked by {holder}");
            return Some(holder);
        }
    }
    None
}

fn for_people(
    cluster: &str,
    found: &Look,
    models: &[(FoundModel, Condition)],
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    if models.is_empty() {
        out.line(&format!("nothing of ours serves on {cluster}"))?;
    }
    for (model, condition) in models {
        let served = &model.served;
        let why = condition.why().map(|why| format!(": {why}")).unwrap_or_default();
        out.line(&format!("{} by {}: {}{why}", served.model, served.engine.name(), condition.name()))?;
        out.line(&format!(
            "  {}/v1, model `{}`, brought up by {}",
            served.base_url, served.served_name, served.owner
        ))?;
        let row = |part: &Part| {
            let container = part.container.clone().unwrap_or_else(|| "-".to_owned());
            vec![part.node.to_string(), part.role.to_string(), container, state(&part.state)]
        };
        let mut rows: Vec<Vec<String>> = model.parts.iter().map(row).collect();
        // Those in which nothing of ours was found.
        for container in &model.containers {
            if !model.parts.iter().any(|part| part.node == container.node) {
                let state = match (&container.problem, container.runs) {
                    (Some(problem), _) => problem.clone(),
                    (None, true) => "nothing runs in it".to_owned(),
                    (None, false) => "does not run".to_owned(),
                };
                rows.push(vec![container.node.to_string(), "-".to_owned(), container.name.clone(), state]);
            }
        }
        out.table(&["node", "part", "container", "state"], &rows)?;
    }
    for (node, problem) in found.problems() {
        out.line(&format!("{node} cannot be asked: {problem}"))?;
    }
    Ok(())
}

fn state(state: &PartState) -> String {
    match state {
        PartState::Running { pid } => format!("running, process {pid}"),
        PartState::Ended { how, left: 0 } => format!("ended: {how}"),
        PartState::Ended { how, left } => format!("ended: {how}; {left} processes are left"),
    }
}

fn as_json(cluster: &str, found: &Look, models: &[(FoundModel, Condition)]) -> Value {
    let part = |part: &Part| {
        let (state, pid, how) = match &part.state {
            PartState::Running { pid } => ("running", Some(pid), None),
            PartState::Ended { how, .. } => ("ended", None, Some(how)),
        };
        json!({
            "node": part.node, "role": part.role.name(), "rank": part.role.rank(),
            "container": part.container, "state": state, "pid": pid, "how": how,
        })
    };
    let model = |(model, condition): &(FoundModel, Condition)| {
        let mut value = json!(model.served);
        value["state"] = json!(condition.name());
        value["why"] = json!(condition.why());
        value["parts"] = model.parts.iter().map(part).collect();
        value
    };
    let problem = |name: &HostName| found.problems().find(|(node, _)| *node == name).map(|(_, why)| why);
    let nodes = found.nodes.iter().map(|node| json!({ "node": node.node, "problem": problem(&node.node) }));
    json!({
        "version": 1,
        "cluster": cluster,
        "served": models.iter().map(model).collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
    })
}
