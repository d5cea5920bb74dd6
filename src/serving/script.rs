//! A plan as the commands that would do the same by hand.

use std::collections::BTreeSet;

use super::plan::{Action, LaunchPlan, Stage, Step};
use super::role::Role;
use crate::host::container_spec::ContainerVariable;
use crate::host::{Program, ShellLine, Variable};
use crate::secret::Secret;

/// Where what a process of the engine says goes, on the node or in its container; and what Ray says there.
const LOG: &str = "/tmp/sparktune-serve.log";
const RAY_LOG: &str = "/tmp/sparktune-ray.log";
/// How long a program may take to say its words: Ray's head takes seven seconds.
const WORDS_LIMIT_S: u32 = 120;
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
        Action::Start { role, argv, until } => {
            let log = log(*role);
            within(step, until.map_or(Stays::AtOnce { log }, |words| Stays::OnceItSays { words, log }), argv)
        }
        Action::AwaitGpus { argv, gpus } => {
            let asked = within(step, Stays::No, argv);
            let look = format!("[ \"$(\"$@\")\" -ge {gpus} ]");
            let until = format!("n=0; until {look}; do {}; done", patience(2, GPUS_LIMIT_S, RAY_LOG));
            let words = ["-c".to_owned(), until, "sh".to_owned()].into_iter().chain(asked.argv);
            Program { environment: asked.environment, ..Program::new("sh", words) }
        }
        Action::AwaitReady => return None,
    };
    Some(ShellLine::of(&program))
}

fn log(role: Role) -> &'static str {
    match role {
        Role::Server | Role::Rank(_) => LOG,
        Role::RayHead | Role::RayWorker => RAY_LOG,
    }
}

/// What a loop does between two looks, `pause_s` apart; it fails after `limit_s`. `n` counts.
fn patience(pause_s: u32, limit_s: u32, log: &str) -> String {
    let most = limit_s / pause_s;
    format!(
        "n=$((n + 1)); if [ $n -gt {most} ]; then echo \"not within {limit_s} s; see {log}\" >&2; exit 1; fi; \
         sleep {pause_s}"
    )
}

/// Whether a program goes on once the line is done, and when that is.
#[derive(Clone, Copy)]
enum Stays {
    /// The line is done as soon as it is started.
    AtOnce { log: &'static str },
    /// The line is done when the log has `words`; it fails where the program ends before.
    OnceItSays { words: &'static str, log: &'static str },
    /// The line is done with the program.
    No,
}

/// Starts `program` in the background and waits for `words` in its log, which an earlier one may have left.
fn until(program: &str, words: &str, log: &str) -> String {
    let ended = format!("kill -0 $! 2>/dev/null || {{ echo \"it has ended; see {log}\" >&2; exit 1; }}");
    format!(
        ": >{log}; {program} >>{log} 2>&1 </dev/null & n=0; until grep -qF '{words}' {log}; do {ended}; {}; done",
        patience(1, WORDS_LIMIT_S, log)
    )
}

/// `argv` where the step's programs run.
fn within(step: &Step, stays: Stays, argv: &[String]) -> Program {
    match &step.container {
        Some((engine, name)) => {
            let written = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let before = match stays {
                Stays::No => written(&["exec", name]),
                Stays::AtOnce { log } => {
                    let logged = format!("exec \"$0\" \"$@\" >{log} 2>&1 </dev/null");
                    written(&["exec", "--detach", name, "sh", "-c", &logged])
                }
                Stays::OnceItSays { words, log } => {
                    written(&["exec", name, "sh", "-c", &until("\"$0\" \"$@\"", words, log)])
                }
            };
            Program::new(engine.program(), before.into_iter().chain(argv.to_vec()))
        }
        None => on_node(step, stays, argv),
    }
}

/// `argv` on the node itself.
fn on_node(step: &Step, stays: Stays, argv: &[String]) -> Program {
    let rest = argv.first().and_then(|word| word.strip_prefix("~/"));
    // A shell of the node knows where its home is.
    let program = if rest.is_some() { "\"$HOME/$0\" \"$@\"" } else { "\"$0\" \"$@\"" };
    // What stays is in a session of its own, which the login's end leaves alone.
    let (before, line) = match stays {
        Stays::No => (&["sh", "-c"][..], format!("exec {program}")),
        Stays::AtOnce { log } => {
            (&["setsid", "--fork", "sh", "-c"][..], format!("exec {program} >{log} 2>&1 </dev/null"))
        }
        Stays::OnceItSays { words, log } => {
            (&["sh", "-c"][..], until(&format!("setsid {program}"), words, log))
        }
    };
    let own =
        rest.map(str::to_owned).into_iter().chain(argv.iter().skip(usize::from(rest.is_some())).cloned());
    let argv = before.iter().map(|word| (*word).to_owned()).chain([line]).chain(own).collect();
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

/// Waits until the model that answers is this one.
fn ready(plan: &LaunchPlan) -> ShellLine {
    let healthy = "curl --silent --fail --max-time 30 --output /dev/null \"$0/health\"";
    let named = "curl --silent --fail --max-time 30 \"$0/v1/models\" | grep -qF \"\\\"$1\\\"\"";
    let until = format!("n=0; until {healthy} && {named}; do {}; done", patience(5, READY_LIMIT_S, LOG));
    ShellLine::of(&Program::new("sh", ["-c", until.as_str(), &plan.base_url, &plan.served_name]))
}
