//! What `--dry-run` prints: the plan with where each value came from, what it comes to, and one request as
//! a shell command. Contacts nobody.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::shared::SharedSettings;
use crate::bench::conversation::{Prompt, Turn};
use crate::bench::plan::{Arrival, Lengths, PlanDraft, Protocol, Workload};
use crate::bench::profile::{Origin, ResolvedPlan};
use crate::bench::stream;
use crate::commands::Output;
use crate::run_dir::Place;

/// One run of what is planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedRun<'a> {
    /// Where on a sweep's axis, by its name.
    pub at: Option<(&'static str, f64)>,
    /// Its plan.
    pub resolved: &'a ResolvedPlan,
}

/// What a plan comes to. Sums are expectations where lengths vary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Expected {
    /// Warm-up requests.
    pub warmup: u32,
    /// Measured requests.
    pub requests: u32,
    /// Conversations they belong to.
    pub conversations: u32,
    /// Prompt tokens of the measured, history included; absent where a file decides.
    pub input_tokens: Option<f64>,
    /// Tokens asked for; absent where a file decides.
    pub output_tokens: Option<f64>,
    /// From the first conversation's start to the last one's, seconds; absent where the server or a file
    /// decides.
    pub schedule_s: Option<f64>,
}

/// Print the dry run.
pub(crate) fn print(
    with: &SharedSettings,
    repeat: u32,
    steps: &[PlannedRun<'_>],
    out: &mut dyn Output,
) -> io::Result<()> {
    if with.json {
        let runs: Vec<Value> = steps.iter().map(|step| as_json(step, with)).collect();
        let value = json!({
            "target": { "base_url": with.conditions.target.to_string(), "origin": with.target_origin },
            "repeat": repeat,
            "cluster": with.cluster.as_ref().map(|cluster| &cluster.inventory.name),
            "runs": runs,
        });
        return out.json(&value);
    }
    let [first, ..] = steps else { return Ok(()) };
    // The steps of a sweep differ in its axis alone, which a table of its own shows.
    let mut table =
        vec![vec!["target".to_owned(), with.conditions.target.to_string(), with.target_origin.to_string()]];
    table.extend(rows(first.resolved));
    out.table(&["value", "", "from"], &table)?;
    out.line("")?;
    if let Some((name, _)) = first.at {
        let rows: Vec<Vec<String>> = steps
            .iter()
            .map(|step| {
                let plan = &step.resolved.plan;
                let limit = plan.concurrency.map_or("-".to_owned(), |limit| limit.to_string());
                let number = |sum: Option<f64>| sum.map_or("-".to_owned(), |sum| format!("{sum:.0}"));
                let Expected { requests, input_tokens, output_tokens, schedule_s, .. } = expected(plan);
                vec![
                    step.at.map_or(String::new(), |(_, at)| at.to_string()),
                    super::profiles::arrival(&plan.arrival),
                    limit,
                    requests.to_string(),
                    number(input_tokens),
                    number(output_tokens),
                    number(schedule_s),
                ]
            })
            .collect();
        let header =
            [name, "arrival", "in flight", "requests", "input tokens", "output tokens", "sent within s"];
        out.table(&header, &rows)?;
    } else {
        out.line(&words(&expected(&first.resolved.plan)))?;
        if repeat > 1 {
            out.line(&format!("{repeat} times"))?;
        }
    }
    out.line(&match &with.out {
        Place::Below(folder) => format!("results would go to a new folder below {}", folder.display()),
        Place::Exactly(folder) => format!("results would go to {}", folder.display()),
    })?;
    if let Some(cluster) = &with.cluster {
        out.line(&cluster.planned())?;
    }
    out.line("")?;
    out.line("one of the requests:")?;
    out.line(&curl(&first.resolved.plan, with))
}

fn as_json(step: &PlannedRun<'_>, with: &SharedSettings) -> Value {
    let ResolvedPlan { plan, origins, files } = step.resolved;
    let mut value = json!({
        "plan": plan,
        "origins": origins,
        "files": { "workload": files.workload, "trace": files.trace },
        "expected": expected(plan),
        "example": curl(plan, with),
    });
    if let Some((name, at)) = step.at {
        value["at"] = json!({ name: at });
    }
    value
}

/// A row a value: its path in the plan, itself, and where it came from.
pub(super) fn rows(resolved: &ResolvedPlan) -> Vec<Vec<String>> {
    let plan = serde_json::to_value(&resolved.plan).expect("plain data always serialises");
    let mut rows = Vec::new();
    leaves("", &plan, &mut |path, value| {
        let origin = resolved.origins.of(path).cloned().unwrap_or(Origin::Default);
        let shown = match (path, value) {
            ("model", Value::Null) => "what the server lists".to_owned(),
            ("concurrency", Value::Null) => "no limit".to_owned(),
            (_, Value::Null) => "what the file says".to_owned(),
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        };
        rows.push(vec![path.to_owned(), shown, origin.to_string()]);
    });
    rows
}

/// Every value that holds no others of the plan's. Fields of `extra_body` are values, whatever they hold.
pub(super) fn leaves(path: &str, value: &Value, found: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(map) if !path.starts_with("sampling.extra_body.") => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&path, value, found);
            }
        }
        value => found(path, value),
    }
}

/// What a plan comes to.
pub(crate) fn expected(plan: &PlanDraft) -> Expected {
    let requests = f64::from(plan.requests);
    let mean = |tokens: u32, lengths: &Lengths| match lengths {
        Lengths::Exact => f64::from(tokens),
        Lengths::Uniform { range_ratio } => {
            ((range_ratio * f64::from(tokens)).floor().max(1.0) + f64::from(tokens)) / 2.0
        }
    };
    let (input_tokens, output_tokens) = match &plan.workload {
        Workload::Random { input_tokens, output_tokens, lengths } => {
            (Some(requests * mean(*input_tokens, lengths)), Some(requests * mean(*output_tokens, lengths)))
        }
        Workload::SharedPrefix { prefix_tokens, input_tokens, output_tokens, lengths, .. } => (
            Some(requests * (f64::from(*prefix_tokens) + mean(*input_tokens, lengths))),
            Some(requests * mean(*output_tokens, lengths)),
        ),
        Workload::MultiTurn { turns, input_tokens, output_tokens, lengths, .. } => {
            let (input, output) = (mean(*input_tokens, lengths), mean(*output_tokens, lengths));
            // Turn t of a conversation sends t questions and t - 1 answers.
            let conversation = |turns: u32| {
                let turns = f64::from(turns);
                input * turns * (turns + 1.0) / 2.0 + output * turns * (turns - 1.0) / 2.0
            };
            // The last conversation has the turns that are left.
            let whole = f64::from(plan.requests / turns) * conversation(*turns);
            (Some(whole + conversation(plan.requests % turns)), Some(requests * output))
        }
        Workload::Sharegpt { output_tokens, .. } | Workload::Jsonl { output_tokens, .. } => {
            // A line of a JSONL file may say otherwise, so only ShareGPT's sum is known.
            let known = matches!(plan.workload, Workload::Sharegpt { .. });
            (None, output_tokens.filter(|_| known).map(|tokens| requests * f64::from(tokens)))
        }
    };
    let conversations = plan.conversations();
    let gaps = f64::from(conversations.saturating_sub(1));
    let schedule_s = match plan.arrival {
        Arrival::Constant { rate } | Arrival::Poisson { rate } | Arrival::Gamma { rate, .. } => {
            Some(gaps / rate)
        }
        Arrival::Ramp { from_rate, to_rate } => Some(gaps / ((from_rate + to_rate) / 2.0)),
        Arrival::AllAtOnce | Arrival::ClosedLoop | Arrival::Trace { .. } => None,
    };
    Expected {
        warmup: plan.warmup,
        requests: plan.requests,
        conversations,
        input_tokens,
        output_tokens,
        schedule_s,
    }
}

fn words(expected: &Expected) -> String {
    let Expected { warmup, requests, conversations, input_tokens, output_tokens, schedule_s } = expected;
    let tokens =
        |tokens: &Option<f64>| tokens.map_or("as the file says".to_owned(), |sum| format!("{sum:.0}"));
    let mut words = format!("{requests} requests");
    if conversations != requests {
        words.push_str(&format!(" in {conversations} conversations"));
    }
    words.push_str(&format!(
        " after {warmup} to warm up; input tokens: {}; output tokens: {}",
        tokens(input_tokens),
        tokens(output_tokens)
    ));
    match schedule_s {
        Some(seconds) => words.push_str(&format!("; sent within about {seconds:.0} s")),
        None => words.push_str("; takes as long as the server does"),
    }
    words
}

/// One request as a shell command. Its prompt is described, a key is named.
fn curl(plan: &PlanDraft, with: &SharedSettings) -> String {
    let key = match with.conditions.target.api_key {
        Some(_) => " -H \"Authorization: Bearer $SPARKBENCH_API_KEY\"",
        None => "",
    };
    let body = quoted(&body(plan).to_string());
    let url = quoted(with.conditions.target.url(plan.protocol.path()).as_str());
    format!("curl -N {url}{key} -H 'Content-Type: application/json' -d {body}")
}

fn body(plan: &PlanDraft) -> Value {
    let prompt = match &plan.workload {
        Workload::Random { input_tokens, .. } => format!("<{input_tokens} tokens>"),
        Workload::SharedPrefix { prefix_tokens, input_tokens, .. } => {
            format!("<{prefix_tokens} shared tokens and {input_tokens} of its own>")
        }
        Workload::MultiTurn { input_tokens, .. } => format!("<{input_tokens} tokens>"),
        Workload::Sharegpt { file, .. } | Workload::Jsonl { file, .. } => format!("<from {}>", file.name),
    };
    let tokens = match plan.workload {
        Workload::Random { output_tokens, .. }
        | Workload::SharedPrefix { output_tokens, .. }
        | Workload::MultiTurn { output_tokens, .. } => Some(output_tokens),
        Workload::Sharegpt { output_tokens, .. } | Workload::Jsonl { output_tokens, .. } => output_tokens,
    };
    let turn = Turn {
        prompt: Prompt::Text(prompt),
        input_tokens: None,
        output_tokens: tokens.unwrap_or_default(),
        pause: Duration::ZERO,
    };
    let model = plan.model.as_deref().unwrap_or("<what /v1/models lists>");
    // The client's own, so that what is shown is what is sent. A text goes by every protocol, and the plan's
    // extra fields were checked when it was resolved.
    let bytes = stream::body(plan.protocol, model, &[], &turn, &plan.sampling).unwrap_or_default();
    let mut body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if tokens.is_none() {
        let field = match plan.protocol {
            Protocol::Generate => &mut body["sampling_params"]["max_new_tokens"],
            Protocol::Chat | Protocol::Completions => &mut body["max_tokens"],
        };
        *field = json!("<as the file says>");
    }
    body
}

/// As a POSIX shell takes it for one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
