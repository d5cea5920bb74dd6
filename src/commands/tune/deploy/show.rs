//! What came of it, for people and programs.

use std::io;

use serde_json::{Value, json};

use super::Ready;
use crate::cluster::deploy::{ConfigFolderError, Delivery, Deployed, FolderContents, NodeFailure};
use crate::commands::Output;

/// What befell each node's files.
pub(super) fn deployed(
    nodes: &[Ready],
    deliveries: &[Delivery],
    outcomes: &[Deployed],
    as_json: bool,
    out: &mut dyn Output,
) -> io::Result<()> {
    let word = |outcome: &Deployed| match outcome {
        Deployed::New => "deployed",
        Deployed::Already => "had them",
    };
    let each = nodes.iter().zip(deliveries).zip(outcomes);
    if as_json {
        let each = each.map(|((node, delivery), outcome)| {
            let files: Vec<&String> = delivery.deployment.files.keys().collect();
            let mut value = place(node);
            value["files"] = json!(files);
            value["outcome"] = json!(word(outcome));
            value["gpus"] = json!(node.gpus);
            value
        });
        return out.json(&json!({ "nodes": each.collect::<Vec<_>>() }));
    }
    let rows: Vec<Vec<String>> = each
        .map(|((node, delivery), outcome)| {
            let files = delivery.deployment.files.len();
            vec![node.name().to_string(), folder(node), files.to_string(), word(outcome).to_owned()]
        })
        .collect();
    out.table(&["node", "folder", "files", "outcome"], &rows)?;
    reasons(nodes, out)?;
    if let Some(words) = of_every_gpu(nodes) {
        out.line(&format!("  {words}"))?;
    }
    if outcomes.contains(&Deployed::New) {
        out.line("  a running server keeps what it has read: restart it to use them")?;
    }
    Ok(())
}

/// Which nodes get files whatever GPU they are for.
pub(super) fn of_every_gpu(nodes: &[Ready]) -> Option<String> {
    let unknown: Vec<&str> =
        nodes.iter().filter(|node| !node.gpus.are_known()).map(|node| node.name().as_str()).collect();
    let names = unknown.join(", ");
    (!unknown.is_empty()).then(|| {
        format!("{names}: no GPU is seen there and none expected (`expect_gpu`): files of every GPU")
    })
}

/// Why each folder: one line for all nodes where it is the same.
fn reasons(nodes: &[Ready], out: &mut dyn Output) -> io::Result<()> {
    let first = nodes.first().map(|node| &node.place.reason);
    if nodes.iter().all(|node| Some(&node.place.reason) == first) {
        return first.map_or(Ok(()), |reason| out.line(&format!("  there because: {reason}")));
    }
    nodes.iter().try_for_each(|node| out.line(&format!("  {}: {}", node.name(), node.place.reason)))
}

/// What each node was restored to.
pub(super) fn restored(
    nodes: &[Ready],
    outcomes: &[Result<bool, NodeFailure>],
    as_json: bool,
    out: &mut dyn Output,
) -> io::Result<()> {
    let word = |outcome: &Result<bool, NodeFailure>| match outcome {
        Ok(true) => "restored",
        Ok(false) => "nothing to restore",
        Err(_) => "failed",
    };
    if as_json {
        let each = nodes.iter().zip(outcomes).map(|(node, outcome)| {
            let mut value = place(node);
            value["outcome"] = json!(word(outcome));
            value["error"] = json!(outcome.as_ref().err().map(ToString::to_string));
            value
        });
        return out.json(&json!({ "nodes": each.collect::<Vec<_>>() }));
    }
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .zip(outcomes)
        .map(|(node, outcome)| vec![node.name().to_string(), folder(node), word(outcome).to_owned()])
        .collect();
    out.table(&["node", "folder", "outcome"], &rows)
}

/// What was deployed on each node, and whether it is still what lies there. Whether that is so everywhere.
pub(super) fn status(
    nodes: &[Ready],
    held: &[Result<FolderContents, ConfigFolderError>],
    as_json: bool,
    out: &mut dyn Output,
) -> io::Result<bool> {
    let each: Vec<(&Ready, Status<'_>)> = nodes.iter().zip(held.iter().map(Status::of)).collect();
    let sound = each.iter().all(|(_, status)| status.is_sound());
    if as_json {
        let each = each.iter().map(|(node, status)| {
            let mut value = place(node);
            status.add_to(&mut value);
            value
        });
        out.json(&json!({ "nodes": each.collect::<Vec<_>>(), "sound": sound }))?;
        return Ok(sound);
    }
    let rows: Vec<Vec<String>> = each
        .iter()
        .map(|(node, status)| {
            let [from, at, files, state] = status.words();
            vec![node.name().to_string(), folder(node), from, at, files, state]
        })
        .collect();
    out.table(&["node", "folder", "from", "when", "files", "state"], &rows)?;
    Ok(sound)
}

/// What lies in a folder, against what was deployed there.
enum Status<'a> {
    Unknown(&'a ConfigFolderError),
    Never(&'a FolderContents),
    Deployed { held: &'a FolderContents, changed: Vec<&'a str>, missing: Vec<&'a str> },
}

impl<'a> Status<'a> {
    fn of(held: &'a Result<FolderContents, ConfigFolderError>) -> Self {
        let held = match held {
            Ok(held) => held,
            Err(error) => return Self::Unknown(error),
        };
        let Some(record) = &held.deployed else { return Self::Never(held) };
        let (mut changed, mut missing) = (Vec::new(), Vec::new());
        for file in &record.files {
            match held.files.get(&file.name) {
                Some(found) if *found == file.sha256 => {}
                Some(_) => changed.push(file.name.as_str()),
                None => missing.push(file.name.as_str()),
            }
        }
        Self::Deployed { held, changed, missing }
    }

    fn is_sound(&self) -> bool {
        match self {
            Status::Unknown(_) => false,
            Status::Never(_) => true,
            Status::Deployed { held, changed, missing } => {
                !held.unfinished && changed.is_empty() && missing.is_empty()
            }
        }
    }

    /// From where, when, how many files, and how they are.
    fn words(&self) -> [String; 4] {
        let none = || "-".to_owned();
        match self {
            Status::Unknown(error) => [none(), none(), none(), error.to_string()],
            Status::Never(held) => {
                [none(), none(), held.files.len().to_string(), "nothing was deployed".to_owned()]
            }
            Status::Deployed { held, changed, missing } => {
                let Some(record) = &held.deployed else { return [none(), none(), none(), none()] };
                let mut states = Vec::new();
                if held.unfinished {
                    states.push("not finished: deploy again".to_owned());
                }
                if !changed.is_empty() {
                    states.push(format!("changed since: {}", changed.join(", ")));
                }
                if !missing.is_empty() {
                    states.push(format!("missing: {}", missing.join(", ")));
                }
                let state = if states.is_empty() { "as deployed".to_owned() } else { states.join("; ") };
                let at = record.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
                [record.from.clone(), at, record.files.len().to_string(), state]
            }
        }
    }

    fn add_to(&self, value: &mut Value) {
        match self {
            Status::Unknown(error) => value["error"] = json!(error.to_string()),
            Status::Never(held) => value["deployed"] = json!(held.deployed),
            Status::Deployed { held, changed, missing } => {
                value["deployed"] = json!(held.deployed);
                value["unfinished"] = json!(held.unfinished);
                value["changed"] = json!(changed);
                value["missing"] = json!(missing);
            }
        }
    }
}

pub(super) fn place(node: &Ready) -> Value {
    json!({
        "node": node.name(),
        "folder": node.place.folder.folder,
        "container": node.place.container.as_ref().map(|(_, name)| name),
        "reason": node.place.reason,
    })
}

fn folder(node: &Ready) -> String {
    match &node.place.container {
        Some((_, name)) => format!("{name}:{}", node.place.folder.folder),
        None => node.place.folder.folder.to_string(),
    }
}

pub(super) fn lines(failures: &[NodeFailure]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}
