//! Workloads of random words.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fit::{Draft, correct, randomness};
use super::oracle::CalibratedOracle;
use super::vocabulary::Vocabulary;
use super::{Prepared, WorkloadError, WorkloadReport, WorkloadSpec};
use crate::bench::conversation::{Conversation, Prompt, Turn};
use crate::bench::plan::{Lengths, Protocol, Workload};
use crate::bench::summary::LengthError;

/// Sets lengths apart from other random numbers.
const LENGTHS: u64 = 3;

/// Where the random streams of prefixes begin; those of prompts lie below.
const PREFIXES: u64 = 1 << 40;

/// The figures of a workload of random words, whatever its kind.
struct Figures {
    turns: u32,
    input_tokens: u32,
    output_tokens: u32,
    lengths: Lengths,
    pause: Duration,
    /// Groups, and tokens in a prefix.
    prefixes: Option<(u32, u32)>,
}

fn figures(workload: &Workload) -> Figures {
    match workload {
        Workload::SharedPrefix { groups, prefix_tokens, input_tokens, output_tokens, lengths } => Figures {
            turns: 1,
            input_tokens: *input_tokens,
            output_tokens: *output_tokens,
            lengths: *lengths,
            pause: Duration::ZERO,
            prefixes: Some((*groups, *prefix_tokens)),
        },
        Workload::MultiTurn { turns, input_tokens, output_tokens, lengths, think_ms } => Figures {
            turns: *turns,
            input_tokens: *input_tokens,
            output_tokens: *output_tokens,
            lengths: *lengths,
            pause: Duration::from_millis(*think_ms),
            prefixes: None,
        },
        Workload::Random { input_tokens, output_tokens, lengths } => Figures {
            turns: 1,
            input_tokens: *input_tokens,
            output_tokens: *output_tokens,
            lengths: *lengths,
            pause: Duration::ZERO,
            prefixes: None,
        },
        Workload::Sharegpt { .. } | Workload::Jsonl { .. } => unreachable!("these are read from files"),
    }
}

/// Lengths of one request: what is asked, and what is asked for.
fn lengths(figures: &Figures, random: &mut ChaCha8Rng) -> (u32, u32) {
    let mut draw = |most: u32| match figures.lengths {
        Lengths::Exact => most,
        Lengths::Uniform { range_ratio } => {
            let least = ((range_ratio * f64::from(most)).floor() as u32).max(1);
            random.random_range(least..=most)
        }
    };
    (draw(figures.input_tokens), draw(figures.output_tokens))
}

pub(super) async fn prepare(
    wanted: &WorkloadSpec<'_>,
    oracle: Option<&CalibratedOracle>,
) -> Result<Prepared, WorkloadError> {
    let plan = wanted.plan;
    let figures = figures(&plan.workload);
    let mut report = WorkloadReport::default();
    let vocabulary = match oracle {
        Some(oracle) => Vocabulary::calibrate(oracle, plan.seed).await?,
        None => {
            report.notes.push("nobody counts tokens: a word is taken for one".into());
            Vocabulary::assumed(plan.seed)
        }
    };
    report.overhead_tokens = oracle.map(|_| vocabulary.overhead);
    report.words = vocabulary.words.len() as u32;

    let mut prefixes = Vec::new();
    let mut before = 0;
    if let Some((groups, tokens)) = figures.prefixes {
        // One more, for warm-up: the cache knows none of the measured groups when the run starts.
        prefixes = (0..=groups as usize)
            .map(|group| {
                Draft::new(&vocabulary, group, tokens, randomness(plan.seed, PREFIXES + group as u64))
            })
            .collect();
        before = tokens.max(vocabulary.shortest());
        report.raised += u32::from(tokens < before);
    }
    // Warm-up comes last, so that it changes nothing of what is measured.
    let total = plan.requests as usize + plan.warmup as usize;
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(LENGTHS);
    let mut outputs = Vec::with_capacity(total);
    let mut drafts = Vec::with_capacity(total);
    for number in 0..total {
        let (input, output) = lengths(&figures, &mut random);
        let words = randomness(plan.seed, number as u64);
        let measured_turn = number < plan.requests as usize && number % figures.turns as usize > 0;
        let draft = if prefixes.is_empty() {
            // A later question adds its own tokens alone; what is around it is there once already.
            let wanted = if measured_turn { input + vocabulary.overhead } else { input };
            report.raised += u32::from(wanted < vocabulary.shortest());
            Draft::new(&vocabulary, number, wanted.max(vocabulary.shortest()), words)
        } else {
            let groups = prefixes.len() - 1;
            let (group, place) = match number.checked_sub(plan.requests as usize) {
                None => (number % groups, number / groups),
                Some(place) => (groups, place),
            };
            Draft::behind(&prefixes[group], &vocabulary, place + 1, before + input, words)
        };
        drafts.push(draft);
        outputs.push(output);
    }
    if let Some(oracle) = oracle {
        correct(&mut drafts, &vocabulary, oracle).await?;
    }
    measure(&drafts, &mut report);

    let turn = |number: usize| {
        let draft = &drafts[number];
        let place = if number < plan.requests as usize { number % figures.turns as usize } else { 0 };
        let mut text = draft.text(&vocabulary.words);
        // Elsewhere the answer before stands right in front of it.
        if place > 0 && plan.protocol != Protocol::Chat {
            text.insert(0, ' ');
        }
        Turn {
            prompt: Prompt::Text(text),
            input_tokens: (place == 0 && oracle.is_some()).then_some(draft.wanted),
            output_tokens: outputs[number],
            pause: if place == 0 { Duration::ZERO } else { figures.pause },
        }
    };
    let measured: Vec<Turn> = (0..plan.requests as usize).map(turn).collect();
    let conversations = measured.chunks(figures.turns as usize).enumerate();
    let warmup = (plan.requests as usize..total).map(turn).enumerate();
    Ok(Prepared {
        conversations: conversations
            .map(|(index, turns)| Conversation { index: index as u32, turns: turns.to_vec() })
            .collect(),
        warmup: warmup.map(|(index, turn)| Conversation { index: index as u32, turns: vec![turn] }).collect(),
        report,
    })
}

fn measure(drafts: &[Draft], report: &mut WorkloadReport) {
    report.prompts = drafts.len() as u32;
    let counted: Vec<(u32, u32)> =
        drafts.iter().filter_map(|draft| Some((draft.wanted, draft.counted?))).collect();
    report.verified = counted.len() as u32;
    if !counted.is_empty() {
        let error = |(wanted, counted): &(u32, u32)| {
            f64::from(wanted.abs_diff(*counted)) / f64::from((*wanted).max(1))
        };
        report.length_error = Some(LengthError {
            mean: counted.iter().map(error).sum::<f64>() / counted.len() as f64,
            max: counted.iter().map(error).fold(0.0, f64::max),
            off: counted.iter().filter(|(wanted, counted)| wanted != counted).count() as u32,
        });
    }
    if report.raised > 0 {
        report.notes.push(format!(
            "{} prompts were planned shorter than the shortest possible and are as short as can be: the server \
             counts {} tokens around every prompt",
            report.raised,
            report.overhead_tokens.unwrap_or(0)
        ));
    }
    if let Some(LengthError { off, max, .. }) = report.length_error.filter(|error| error.off > 0) {
        report.notes.push(format!(
            "{off} of {} counted prompts could not be made exactly as long as planned; the worst is off by {:.1} %",
            report.verified,
            max * 100.0
        ));
    }
}
