//! A launch plan for people, for shells and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::wanted::Derivation;
use crate::cluster::inventory::Node;
use crate::commands::from_here::{by_engine, on_node};
use crate::commands::{Output, OutputError};
use crate::host::ShellLine;
use crate::host::ssh::SshSettings;
use crate::host_name::HostName;
use crate::serving::{Action, LaunchPlan, NodeMemory, Notice, NoticeKind, Stage, Step, line, script};

/// For whom a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// People; `offline`: no node was asked.
    People { offline: bool },
    /// A shell, which would carry it out.
    Shell,
    /// Programs.
    Programs,
}

/// Show `plan` to `audience`, and what its recipe was `derived` from.
pub(super) fn show(
    plan: &LaunchPlan,
    derived: Option<&Derivation>,
    nodes: &[Node],
    ssh: &SshSettings,
    audience: Audience,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    match audience {
        Audience::People { offline } => for_people(plan, derived, offline, out),
        Audience::Shell => for_shells(plan, nodes, ssh, out),
        Audience::Programs => Ok(out.json(&as_json(plan, derived))?),
    }
}

fn for_shells(
    plan: &LaunchPlan,
    nodes: &[Node],
    ssh: &SshSettings,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    let nodes: BTreeMap<&HostName, &Node> = nodes.iter().map(|node| (&node.name, node)).collect();
    let from_here = |step: &Step, line: ShellLine| match (nodes.get(&step.node), &step.container) {
        (Some(node), Some(_)) => by_engine(node, ssh, &line),
        (Some(node), None) => on_node(node, ssh, &line),
        (None, _) => line,
    };
    for line in script(plan, from_here) {
        out.line(&line)?;
    }
    Ok(())
}

fn for_people(
    plan: &LaunchPlan,
    derived: Option<&Derivation>,
    offline: bool,
    out: &mut dyn Output,
) -> Result<(), OutputError> {
    let nodes: Vec<&str> = plan.nodes.iter().map(HostName::as_str).collect();
    out.line(&format!("{} by {}, {}, on {}", plan.name, plan.engine.name(), plan.split, nodes.join(", ")))?;
    out.line(&format!("clients: {}/v1, model `{}`", plan.base_url, plan.served_name))?;
    if let Some(Derivation { from, remarks }) = derived {
        out.line(&format!("no recipe says how it is served: derived from config.json ({from})"))?;
        for remark in remarks {
            out.line(remark)?;
        }
    }
    if offline {
        out.line("no node was asked: variables that follow from its network are not among these")?;
    }
    if plan.memory.iter().any(Option::is_some) {
        let header = ["node", "weights GB", "cache GB", "may take GB"];
        let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let rows = plan.nodes.iter().zip(&plan.memory).map(|(node, memory)| {
            let of = |field: fn(&NodeMemory) -> f64| figure(memory.as_ref().map(field));
            let cache = figure(memory.and_then(|memory| memory.cache_gb));
            vec![node.to_string(), of(|it| it.weights_gb), cache, of(|it| it.allowed_gb)]
        });
        out.table(&header, &rows.collect::<Vec<_>>())?;
    }
    for Notice { rule, kind, added, says, source } in &plan.notices {
        let what = match kind {
            NoticeKind::Added => format!("added {}", added.join(" ")),
            NoticeKind::Warned => "warning".to_owned(),
            NoticeKind::Refused => "refused".to_owned(),
        };
        out.line(&format!("{what}: {says} (rule {rule}; {source})"))?;
    }
    for (at, Stage { what, reason, steps }) in plan.stages.iter().enumerate() {
        out.line(&format!("{}. {what}: {reason}", at + 1))?;
        for step in steps {
            let done = match (&step.action, line(step)) {
                (_, Some(line)) => line.to_string(),
                (_, None) => format!("wait until {} answers as `{}`", plan.base_url, plan.served_name),
            };
            out.line(&format!("   {}: {done}", step.node))?;
        }
    }
    Ok(())
}

fn as_json(plan: &LaunchPlan, derived: Option<&Derivation>) -> Value {
    let step = |step: &Step| {
        let (action, argv) = match &step.action {
            Action::Create(_) => ("create", None),
            Action::Start { argv, .. } => ("start", Some(argv)),
            Action::AwaitGpus { argv, .. } => ("await_gpus", Some(argv)),
            Action::AwaitReady => ("await_ready", None),
        };
        let (role, until) = match &step.action {
            Action::Start { role, until, .. } => (Some(role), *until),
            _ => (None, None),
        };
        json!({
            "node": step.node,
            "action": action,
            "role": role,
            "until": until,
            "container": step.container.as_ref().map(|(_, name)| name),
            "argv": argv,
            "line": line(step).map(|line| line.to_string()),
        })
    };
    let stage = |stage: &Stage| {
        json!({
            "what": stage.what,
            "reason": stage.reason,
            "steps": stage.steps.iter().map(step).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": plan.name,
        "derived": derived.is_some(),
        "derivation": derived,
        "served_name": plan.served_name,
        "engine": plan.engine,
        "split": plan.split,
        "nodes": plan.nodes,
        "base_url": plan.base_url,
        "memory": plan.memory,
        "notices": plan.notices,
        "stages": plan.stages.iter().map(stage).collect::<Vec<_>>(),
    })
}
