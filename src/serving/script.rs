//! A plan as the commands that would do the same by hand.

use std::collections::BTreeSet;

use super::plan::{Action, LaunchPlan, Stage, Step};
use crate::host::container_spec::ContainerVariable;
use crate::host::{Program, ShellLine, Variable};
use crate::secret::Secret;

/// Where what a process says goes, on the node or in its container.
const LOG: &str = "/tmp/sparktune-serve.log";
/// How long GPUs may take to join, and a model to load: GLM-4.7's weights take about ten minutes.
const GPUS_LIMIT_S: u32 = 300;
const READY_LIMIT_S: u32 = 3600;

/// The lines of a shell script; `over` makes of a step's line the one that does it from here.
pub(crate) fn script(plan: &LaunchPlan, over: impl Fn(&Step, ShellLine) -> ShellLine) -> Vec<String> {
    let mut lines = vec!["#!/bin/sh".to_owned(), "set -eu".to_owned()];
    for name in secrets(plan) {
        lines.push(format!("# {name}: the login shell of every node has to have it"));
    }
    for Stage { what, reason, steps } in &plan.stages {
        lines.push(format!("# {what}: {reason}"));
        for step in steps {
            let line = match step.action {
                // Clients are wherever this runs.
                Action::AwaitReady => Some(ready(plan)),
                _ => line(step).map(|line| over(step, line)),
            };
            lines.extend(line.map(|line| line.to_string()));
        }
    }
    lines
}

/// Variables whose values nobody may see.
fn secrets(plan: &LaunchPlan) -> BTreeSet<&str> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let variables = steps.flat_map(|step| match &step.action {
        Action::Create(spec) => &spec.environment,
        _ => &step.environment,
    });
    let secret = variables.filter(|(_, value)| **value == ContainerVariable::FromHarness);
    secret.map(|(name, _)| name.as_str()).collect()
}

/// The line that does a step on its node; none for what is done from here.
pub(crate) fn line(step: &Step) -> Option<ShellLine> {
    let program = match &step.action {
        Action::Create(spec) => return step.container.as_ref().map(|(engine, _)| spec.run_line(*engine)),
        Action::Run(argv) => within(step, Stays::No, argv),
        Action::Start { argv, .. } => within(step, Stays::Yes, argv),
        Action::AwaitGpus { argv, gpus } => {
            let asked = within(step, Stays::No, argv);
            let look = format!("[ \"$(\"$@\")\" -ge {gpus} ]");
            let until = format!("n=0; until {look}; do {}; done", patience(2, GPUS_LIMIT_S));
            let words = ["-c".to_owned(), until, "sh".to_owned()].into_iter().chain(asked.argv);
            Program { environment: asked.environment, ..Program::new("sh", words) }
        }
        Action::AwaitReady => return None,
    };
    Some(ShellLine::of(&program))
}

/// What a loop does between two looks, `pause_s` apart; it fails after `limit_s`. `n` counts.
fn patience(pause_s: u32, limit_s: u32) -> String {
    let most = limit_s / pause_s;
    format!(
        "n=$((n + 1)); if [ $n -gt {most} ]; then echo \"not within {limit_s} s; see {LOG}\" >&2; exit 1; fi; \
         sleep {pause_s}"
    )
}

/// Whether a program goes on once the line is done.
#[derive(Clone, Copy, PartialEq)]
enum Stays {
    Yes,
    No,
}

/// `argv` where the step's programs run.
fn within(step: &Step, stays: Stays, argv: &[String]) -> Program {
    let written = |word: &str| word.to_owned();
    let logged = format!(" >{LOG} 2>&1 </dev/null");
    match &step.container {
        Some((engine, name)) if stays == Stays::Yes => {
            let words = ["exec", "--detach", name, "sh", "-c"].map(written);
            let words = words.into_iter().chain([format!("exec \"$0\" \"$@\"{logged}")]).chain(argv.to_vec());
            Program::new(engine.program(), words)
        }
        Some((engine, name)) => {
            let words = ["exec", name].map(written);
            Program::new(engine.program(), words.into_iter().chain(argv.to_vec()))
        }
        None => {
            let rest = argv.first().and_then(|word| word.strip_prefix("~/"));
            // A shell of the node knows where its home is.
            let exec = if rest.is_some() { "exec \"$HOME/$0\" \"$@\"" } else { "exec \"$0\" \"$@\"" };
            let (end, before) = match stays {
                Stays::Yes => (logged.as_str(), &["setsid", "--fork", "sh", "-c"][..]),
                Stays::No => ("", &["sh", "-c"][..]),
            };
            let words = before.iter().map(|word| written(word)).chain([format!("{exec}{end}")]);
            let own = rest
                .map(str::to_owned)
                .into_iter()
                .chain(argv.iter().skip(usize::from(rest.is_some())).cloned());
            let argv = words.chain(own).collect();
            let environment = step.environment.iter().map(|(name, value)| {
                let value = match value {
                    ContainerVariable::Set(value) => Variable::Set(value.clone()),
                    // A line names it and shows no value.
                    ContainerVariable::FromHarness => Variable::Secret(Secret::new("")),
                };
                (name.clone(), value)
            });
            Program { argv, environment: environment.collect(), directory: None, limit: None }
        }
    }
}

/// Waits until the model that answers is this one.
fn ready(plan: &LaunchPlan) -> ShellLine {
    let healthy = "curl --silent --fail --max-time 30 --output /dev/null \"$0/health\"";
    let named = "curl --silent --fail --max-time 30 \"$0/v1/models\" | grep -qF \"\\\"$1\\\"\"";
    let until = format!("n=0; until {healthy} && {named}; do {}; done", patience(5, READY_LIMIT_S));
    ShellLine::of(&Program::new("sh", ["-c", until.as_str(), &plan.base_url, &plan.served_name]))
}
