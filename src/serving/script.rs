//! A plan as the commands that would do the same by hand.

use super::plan::{Action, LaunchPlan, Stage, Step};
use crate::host::container_spec::ContainerVariable;
use crate::host::{Program, ShellLine, Variable};
use crate::secret::Secret;

/// Where what a process says goes, on the node or in its container.
const LOG: &str = "/tmp/sparktune-serve.log";

/// The lines of a shell script; `over` makes of a step's line the one that does it from here.
pub(crate) fn script(plan: &LaunchPlan, over: impl Fn(&Step, ShellLine) -> ShellLine) -> Vec<String> {
    let mut lines = vec!["#!/bin/sh".to_owned(), "set -eu".to_owned()];
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

/// The line that does a step on its node; none for what is done from here.
pub(crate) fn line(step: &Step) -> Option<ShellLine> {
    let program = match &step.action {
        Action::Create(spec) => return step.container.as_ref().map(|(engine, _)| spec.run_line(*engine)),
        Action::Run(argv) => within(step, Stays::No, argv),
        Action::Start { argv, .. } => within(step, Stays::Yes, argv),
        Action::AwaitGpus { argv, gpus } => {
            let asked = within(step, Stays::No, argv);
            let until =
                format!("until [ \"$(\"$@\" 2>/dev/null)\" -ge {gpus} ] 2>/dev/null; do sleep 2; done");
            let words = ["-c".to_owned(), until, "sh".to_owned()].into_iter().chain(asked.argv);
            Program { environment: asked.environment, ..Program::new("sh", words) }
        }
        Action::AwaitReady => return None,
    };
    Some(ShellLine::of(&program))
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
    let until = "until curl --silent --fail --max-time 30 --output /dev/null \"$0/health\" && \
                 curl --silent --fail --max-time 30 \"$0/v1/models\" | grep -qF \"\\\"$1\\\"\"; do sleep 5; done";
    ShellLine::of(&Program::new("sh", ["-c", until, &plan.base_url, &plan.served_name]))
}
