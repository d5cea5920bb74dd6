//! What is wrong with a run's figures: said first, one sentence each.

use super::concurrency::Unsteady;
use super::server_side;
use crate::bench::plan::LoadPlan;
use crate::bench::record::RequestRecord;
use crate::bench::summary::Summary;

/// A run shorter than this says little about a server under load, seconds.
const SHORT_S: f64 = 5.0;

/// The server's own count of tokens may differ from ours by this share: its counter moves in steps.
const COUNT_TOLERANCE: f64 = 0.01;

/// Prompts may be off by this share, on average, without a word.
const LENGTH_TOLERANCE: f64 = 0.005;

/// Everything worth a warning, the gravest first.
pub(super) fn of(
    plan: &LoadPlan,
    records: &[RequestRecord],
    summary: &Summary,
    unsteady: Option<Unsteady>,
) -> Vec<String> {
    let mut said: Vec<String> =
        summary.client.complaints.iter().map(|why| format!("the client was the bottleneck: {why}")).collect();
    let counts = &summary.counts;
    if counts.completed == 0 {
        said.push("no request succeeded: there is nothing to measure".into());
    } else if counts.failed > 0 {
        let classes: Vec<_> =
            counts.failures.iter().map(|(class, n)| format!("{n} {}", class.name())).collect();
        said.push(format!(
            "{} of {} requests failed ({}): the figures are of the others",
            counts.failed,
            counts.failed + counts.completed,
            classes.join(", ")
        ));
    }
    if counts.interrupted + counts.unsent > 0 {
        said.push(format!(
            "the run did not come to its end: {} of {} requests ended",
            counts.completed + counts.failed,
            counts.planned
        ));
    }
    let again = records.iter().filter(|record| record.is_done() && record.attempts > 1).count();
    if again > 0 {
        said.push(format!(
            "{again} requests succeeded only when sent again: their latencies are of the last attempt alone"
        ));
    }
    let uncounted =
        records.iter().filter(|record| record.is_done() && record.answer.input_tokens.is_none()).count();
    if uncounted > 0 {
        said.push(format!(
            "the server did not count the prompt tokens of {uncounted} requests: those planned stand in, where known"
        ));
    }
    if summary.exact_token_share < 1.0 {
        said.push(format!(
            "tokens were counted by the server in {:.0} % of the events; in the others they are spread evenly or \
             counted one an event, so inter-token latencies are means there",
            summary.exact_token_share * 100.0
        ));
    }
    if let Some(error) = summary.input_length_error.filter(|error| error.mean > LENGTH_TOLERANCE) {
        said.push(format!(
            "{} prompts were not as long as planned: off by {:.1} % on average, {:.1} % at most",
            error.off,
            error.mean * 100.0,
            error.max * 100.0
        ));
    }
    let asked: u64 = u64::from(counts.completed) * planned_output(plan);
    if plan.sampling.ignore_eos && asked > 0 && summary.output_tokens < asked {
        said.push(format!(
            "answers were shorter than asked for: {} tokens of {asked}; the server does not heed ignore_eos, or \
             counts otherwise",
            summary.output_tokens
        ));
    }
    let clean = counts.failed + counts.interrupted + counts.unsent == 0;
    if let Some(generated) =
        server_side::generated_tokens(&summary.server).filter(|_| clean && counts.completed > 0)
    {
        let ours = summary.output_tokens as f64;
        if (generated - ours).abs() > COUNT_TOLERANCE * ours {
            said.push(format!(
                "the server counted {generated:.0} generated tokens, the client {ours:.0}: somebody else used it, \
                 or one of them counts wrong"
            ));
        }
    }
    if counts.completed > 0 && summary.throughput.duration_s < SHORT_S {
        said.push(format!(
            "the run took {:.1} s: too short to say much about a server under load",
            summary.throughput.duration_s
        ));
    }
    if let Some(why) = unsteady.filter(|_| counts.completed > 0) {
        said.push(format!("the run had no steady state: {why}"));
    }
    said
}

/// Tokens each request asked for, where all asked for the same.
fn planned_output(plan: &LoadPlan) -> u64 {
    use crate::bench::plan::{Lengths, Workload};
    match &plan.workload {
        Workload::Random { output_tokens, lengths: Lengths::Exact, .. }
        | Workload::SharedPrefix { output_tokens, lengths: Lengths::Exact, .. }
        | Workload::MultiTurn { output_tokens, lengths: Lengths::Exact, .. } => u64::from(*output_tokens),
        _ => 0,
    }
}
