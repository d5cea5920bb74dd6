//! Workloads from files.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::file::BadFile;
use super::jsonl::{self, JsonlEntry};
use super::oracle::{CalibratedOracle, CountingCost};
use super::sharegpt::{self, QuestionAnswer};
use super::{Prepared, WorkloadError, WorkloadReport, WorkloadSpec};
use crate::bench::conversation::{Conversation, Prompt, Turn};
use crate::bench::plan::{DataFile, Workload};
use crate::failure::Failure;

/// Sets the choice of conversations apart from other random numbers.
const CHOICE: u64 = 4;

/// Answers counted by a dear oracle, from which the others' lengths are estimated.
const COUNTED_ANSWERS: usize = 32;

pub(super) async fn prepare(
    wanted: &WorkloadSpec<'_>,
    oracle: Option<&CalibratedOracle>,
) -> Result<Prepared, WorkloadError> {
    let plan = wanted.plan;
    let (requests, warmup) = (plan.requests as usize, plan.warmup as usize);
    let path = |file: &DataFile| wanted.file.ok_or_else(|| WorkloadError::NoFile { name: file.name.clone() });
    let mut report = WorkloadReport::default();
    let (entries, path) = match &plan.workload {
        Workload::Jsonl { file, output_tokens } => {
            let path = path(file)?;
            (jsonl::read(path, plan.protocol, *output_tokens, requests + warmup)?, path)
        }
        Workload::Sharegpt { file, output_tokens } => {
            let path = path(file)?;
            let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
            random.set_stream(CHOICE);
            // Some to spare for those the server cannot take.
            let spare = (requests + warmup) / 4 + 16;
            let sample = sharegpt::read(path, requests + warmup + spare, &mut random)?;
            report.skipped = sample.skipped as u32;
            (chosen(sample.pairs, *output_tokens, wanted, oracle, &mut report).await?, path)
        }
        _ => unreachable!("these are made of random words"),
    };
    if entries.len() < requests {
        let error = BadFile::TooFew { path: path.to_owned(), usable: entries.len(), wanted: requests };
        return Err(error.into());
    }
    let conversation = |(index, entry): (usize, &JsonlEntry)| Conversation {
        index: index as u32,
        turns: vec![Turn {
            prompt: entry.prompt.clone(),
            input_tokens: None,
            output_tokens: entry.output_tokens,
            pause: Duration::ZERO,
        }],
    };
    let others = entries.len().min(requests + warmup) - requests;
    if others < warmup {
        report.notes.push(format!(
            "the file has {others} requests beside the measured ones: the warm-up of {warmup} repeats measured \
             prompts, which a prefix cache remembers"
        ));
    }
    let warm = entries[requests..].iter().chain(entries.iter().cycle()).take(warmup);
    Ok(Prepared {
        conversations: entries[..requests].iter().enumerate().map(conversation).collect(),
        warmup: warm.enumerate().map(conversation).collect(),
        report,
    })
}

/// Give every pair its output length, and leave out what the server cannot take.
async fn chosen(
    pairs: Vec<QuestionAnswer>,
    output_tokens: Option<u32>,
    wanted: &WorkloadSpec<'_>,
    oracle: Option<&CalibratedOracle>,
    report: &mut WorkloadReport,
) -> Result<Vec<JsonlEntry>, WorkloadError> {
    let outputs = match output_tokens {
        Some(tokens) => vec![tokens; pairs.len()],
        None => answers(&pairs, oracle, report).await?,
    };
    let cheap = oracle.filter(|oracle| oracle.cost() == CountingCost::Cheap);
    let inputs = match (cheap, wanted.context) {
        (Some(oracle), Some(_)) => {
            let questions: Vec<String> = pairs.iter().map(|pair| pair.question.clone()).collect();
            oracle.count(&questions).await?
        }
        _ => vec![0; pairs.len()],
    };
    let fits = |input: u32, output: u32| {
        wanted.context.is_none_or(|context| u64::from(input) + u64::from(output) <= u64::from(context))
    };
    let total = pairs.len();
    let entries: Vec<JsonlEntry> = pairs
        .into_iter()
        .zip(outputs)
        .zip(inputs)
        .filter(|((_, output), input)| fits(*input, *output))
        .map(|((pair, output_tokens), _)| JsonlEntry { prompt: Prompt::Text(pair.question), output_tokens })
        .collect();
    report.skipped += (total - entries.len()) as u32;
    Ok(entries)
}

/// Tokens in each answer.
async fn answers(
    pairs: &[QuestionAnswer],
    oracle: Option<&CalibratedOracle>,
    report: &mut WorkloadReport,
) -> Result<Vec<u32>, Box<dyn Failure>> {
    let of = |pairs: &[QuestionAnswer]| pairs.iter().map(|pair| pair.answer.clone()).collect::<Vec<_>>();
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>() as f64;
    let all = of(pairs);
    let Some(oracle) = oracle else {
        report.notes.push("nobody counts tokens: answers are taken to have one for four bytes".into());
        return Ok(all.iter().map(|answer| (answer.len() as u32 / 4).max(1)).collect());
    };
    // What stands around a prompt is none of an answer's tokens: one text twice shows it.
    let both = oracle.count(&["a river\n".to_owned(), "a river\na river\n".to_owned()]).await?;
    let around = (2 * both[0]).saturating_sub(both[1]);
    let sample = match oracle.cost() {
        CountingCost::Cheap => &all[..],
        CountingCost::Dear => &all[..all.len().min(COUNTED_ANSWERS)],
    };
    let counts: Vec<u32> =
        oracle.count(sample).await?.into_iter().map(|count| count.saturating_sub(around).max(1)).collect();
    if counts.len() == all.len() {
        return Ok(counts);
    }
    let per_byte = counts.iter().map(|count| f64::from(*count)).sum::<f64>() / bytes(sample).max(1.0);
    report.notes.push(format!(
        "the server has no tokenizer to ask: answers' lengths are estimated from {} of them",
        counts.len()
    ));
    Ok(all.iter().map(|answer| ((answer.len() as f64 * per_byte).round() as u32).max(1)).collect())
}
