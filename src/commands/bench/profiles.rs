//! `sparkbench profiles`: the known profiles.

use std::path::PathBuf;

use serde_json::json;

use crate::bench::plan::{Arrival, DataFile, Lengths, Workload};
use crate::bench::profile::{Layers, Origin, Profiles, ResolvedPlan, resolve};
use crate::commands::{CommandResult, Output, OutputError, Verdict};

/// What the user said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProfilesSettings {
    /// A folder of the user's own.
    pub profiles: Option<PathBuf>,
    /// Print one JSON list.
    pub json: bool,
}

/// List the profiles as the plans they are without a flag.
pub(crate) fn run(settings: &ProfilesSettings, out: &mut dyn Output) -> CommandResult {
    let profiles = Profiles::load(settings.profiles.as_deref())?;
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for profile in profiles.all() {
        let origin = Origin::Flag("--profile");
        let layers = Layers { profile: Some((profile, &origin)), flags: &Default::default() };
        // A listing says which file a profile wants, not what is in it; that may be far away or large.
        let named =
            |path: &std::path::Path| Ok(DataFile { name: path.display().to_string(), sha256: String::new() });
        let ResolvedPlan { plan, files, .. } = resolve(layers, &named)?;
        let (input, output, lengths) = shown(&plan.workload);
        rows.push(vec![
            profile.name.clone(),
            plan.requests.to_string(),
            input,
            output,
            lengths,
            arrival(&plan.arrival),
            plan.concurrency.map_or("-".to_owned(), |limit| limit.to_string()),
            profile.about.clone(),
        ]);
        let mut plan = serde_json::to_value(&plan).expect("plain data always serialises");
        for (of, file) in [("workload", &files.workload), ("arrival", &files.trace)] {
            if let Some(path) = file {
                plan[of]["file"] = json!(path);
            }
        }
        list.push(json!({ "name": profile.name, "about": profile.about, "plan": plan }));
    }
    if settings.json {
        out.json(&list.into()).map_err(OutputError)?;
    } else {
        let header = ["profile", "requests", "input", "output", "lengths", "arrival", "concurrency", "about"];
        out.table(&header, &rows).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}

/// Input, output and lengths, as a table has room for.
fn shown(workload: &Workload) -> (String, String, String) {
    let spread = |lengths: &Lengths| match lengths {
        Lengths::Exact => "exact".to_owned(),
        Lengths::Uniform { range_ratio } => format!("uniform from {range_ratio}"),
    };
    let of_file = |file: &DataFile, output: Option<u32>| {
        let output = output.map_or("of the file".to_owned(), |tokens| tokens.to_string());
        (file.name.clone(), output, "of the file".to_owned())
    };
    match workload {
        Workload::Random { input_tokens, output_tokens, lengths } => {
            (input_tokens.to_string(), output_tokens.to_string(), spread(lengths))
        }
        Workload::SharedPrefix { groups, prefix_tokens, input_tokens, output_tokens, lengths } => (
            format!("{prefix_tokens} ({groups} shared) + {input_tokens}"),
            output_tokens.to_string(),
            spread(lengths),
        ),
        Workload::MultiTurn { turns, input_tokens, output_tokens, lengths, .. } => {
            (format!("{input_tokens} x {turns} turns"), output_tokens.to_string(), spread(lengths))
        }
        Workload::Sharegpt { file, output_tokens } | Workload::Jsonl { file, output_tokens } => {
            of_file(file, *output_tokens)
        }
    }
}

/// `poisson 2/s`
pub(super) fn arrival(arrival: &Arrival) -> String {
    match arrival {
        Arrival::AllAtOnce => "all at once".to_owned(),
        Arrival::ClosedLoop => "closed loop".to_owned(),
        Arrival::Constant { rate } => format!("constant {rate}/s"),
        Arrival::Poisson { rate } => format!("poisson {rate}/s"),
        Arrival::Gamma { rate, burstiness } => format!("gamma {rate}/s, shape {burstiness}"),
        Arrival::Ramp { from_rate, to_rate } => format!("ramp {from_rate}/s to {to_rate}/s"),
        Arrival::Trace { file, scale: 1.0 } => format!("trace {}", file.name),
        Arrival::Trace { file, scale } => format!("trace {} x {scale}", file.name),
    }
}
