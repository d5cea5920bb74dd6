//! What each node's server takes, and whether it would take a command line.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Stopped;
use super::runtime::{Serving, named};
use crate::cluster::runtimes::{NodeRuntime, OptionsFrom, ServerOptions};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::runtime::options::{Complaint, ServerOption, Values};

/// Some nodes do not say.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|(says, _)| says.as_str()).collect::<Vec<_>>().join("; "))]
struct Unsaid(Vec<(String, Option<String>)>);

impl Failure for Unsaid {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        self.0.iter().find_map(|(_, hint)| hint.clone())
    }
}

/// Nodes whose server takes the same.
struct Group<'a> {
    nodes: Vec<String>,
    runtime: &'a NodeRuntime,
    options: &'a ServerOptions,
}

pub(super) fn show(
    serving: &[Serving],
    command: &[String],
    as_json: bool,
    cancel: &CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    if cancel.is_cancelled() {
        return Err(Stopped.into());
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut unsaid = Vec::new();
    for (node, runtime) in serving {
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                unsaid.push((error.to_string(), error.hint()));
                continue;
            }
        };
        match &runtime.options {
            Some(Ok(options)) => {
                let same = |group: &&mut Group<'_>| {
                    group.options.list == options.list && named(group.runtime) == named(runtime)
                };
                match groups.iter_mut().find(same) {
                    Some(group) => group.nodes.push(node.name.to_string()),
                    None => groups.push(Group { nodes: vec![node.name.to_string()], runtime, options }),
                }
            }
            Some(Err(why)) => {
                unsaid.push((format!("{}: what its server takes is not known: {why}", node.name), None))
            }
            None => unsaid.push((format!("{}: what its server takes is not known", node.name), None)),
        }
    }
    let complaints: Vec<Vec<Complaint>> =
        groups.iter().map(|group| group.options.list.complaints(command)).collect();
    let shown = match as_json {
        true => out.json(&json(&groups, &complaints)),
        false => groups.iter().zip(&complaints).try_for_each(|(group, complaints)| {
            out.line(&headline(group))?;
            match command.is_empty() {
                true => out.table(
                    &["option", "values", "default", "choices", ""],
                    &rows(&group.options.list.options),
                ),
                false if complaints.is_empty() => out.line("  it takes this command line"),
                false => complaints.iter().try_for_each(|complaint| out.line(&format!("  {complaint}"))),
            }
        }),
    };
    shown.map_err(OutputError)?;
    if !unsaid.is_empty() {
        return Err(Unsaid(unsaid).into());
    }
    let refused = complaints.iter().flatten().any(Complaint::is_fatal);
    Ok(if refused { Verdict::CheckSaidNo } else { Verdict::Done })
}

fn headline(group: &Group<'_>) -> String {
    let Group { nodes, runtime, options } = group;
    let how = match &options.from {
        OptionsFrom::Help => "by its help".to_owned(),
        OptionsFrom::Source { trouble } => {
            format!("by its source, which may leave some out; its help does not run there: {trouble}")
        }
    };
    format!("{}: {}: {} options, {how}", nodes.join(", "), named(runtime), options.list.options.len())
}

fn rows(options: &[ServerOption]) -> Vec<Vec<String>> {
    let row = |option: &ServerOption| {
        let values = match option.values {
            Values::None => "none",
            Values::One => "one",
            Values::Optional => "one or none",
            Values::Many => "one or more",
            Values::Any => "any number",
            Values::Unknown => "?",
        };
        vec![
            option.names.join(", "),
            values.to_owned(),
            option.default.clone().unwrap_or_else(|| "-".to_owned()),
            option.choices.as_ref().map_or_else(|| "-".to_owned(), |choices| choices.join(" ")),
            if option.deprecated { "deprecated".to_owned() } else { String::new() },
        ]
    };
    options.iter().map(row).collect()
}

fn json(groups: &[Group<'_>], complaints: &[Vec<Complaint>]) -> Value {
    let each = groups.iter().zip(complaints).map(|(group, complaints)| {
        json!({
            "nodes": group.nodes,
            "runtime": named(group.runtime),
            "options": group.options,
            "complaints": complaints,
        })
    });
    json!({ "runtimes": each.collect::<Vec<_>>() })
}
