//! The plots of one run.

use super::Plots;
use super::over_time::{Bins, failures};
use crate::bench::compare::MeasuredRun;
use crate::bench::compare::latency::Latency;
use crate::bench::record::RequestRecord;
use crate::commands::bench::words::short;
use crate::report::html::Block;
use crate::report::plot::{Axis, Cdf, Drawn, Lines, Point, Reference, Samples, Scale, Series, Svg};

/// Values that spread over more than this are shown on a logarithmic axis.
const WIDE: f64 = 30.0;

/// Samples of a latency beyond which only every nth is drawn: a curve of 600 steps shows no more.
const SAMPLES: usize = 200_000;

fn done(run: &MeasuredRun) -> impl Iterator<Item = &RequestRecord> {
    run.records.iter().filter(|record| record.is_done())
}

fn scale_of(values: impl Iterator<Item = f64>) -> Scale {
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    if high > low * WIDE { Scale::Log10 } else { Scale::Linear }
}

/// Distributions: TTFT, TPOT, ITL, E2E; from schedule beside from sending where there is one.
pub(super) fn distributions(run: &MeasuredRun, plots: &mut Plots) -> Vec<Block> {
    let groups: [(&str, &str, &[Latency]); 4] = [
        ("ttft-cdf", "time to first token", &[Latency::Ttft, Latency::TtftFromSchedule]),
        ("tpot-cdf", "time per output token after the first", &[Latency::Tpot]),
        ("itl-cdf", "inter-token latency", &[Latency::Itl]),
        ("e2e-cdf", "end-to-end latency", &[Latency::E2e, Latency::E2eFromSchedule]),
    ];
    groups
        .into_iter()
        .filter_map(|(name, words, latencies)| {
            let mut series: Vec<Samples> = latencies
                .iter()
                .map(|latency| Samples { name: latency.name().into(), values: values(run, *latency) })
                .filter(|samples| !samples.values.is_empty())
                .collect();
            if let [one] = &mut series[..] {
                one.name.clear();
            }
            let first = series.first()?;
            let mut sorted = first.values.clone();
            sorted.sort_by(f64::total_cmp);
            // What a few tokens did not take must not decide the axis.
            let bulk = &sorted[sorted.len() / 100..];
            let scale = scale_of(bulk.iter().copied());
            let cut = match scale {
                Scale::Linear => 0,
                // An axis of powers cannot show zero, which tokens of one burst have.
                _ => series.iter().flat_map(|it| &it.values).filter(|value| **value <= 0.0).count(),
            };
            for samples in &mut series {
                let least = if scale == Scale::Linear { 0.0 } else { bulk[0].max(1e-3) };
                samples.values.iter_mut().for_each(|value| *value = value.max(least));
            }
            let mut caption = format!("{}: the share of requests at or below.", capital(words));
            if latencies == [Latency::Itl] {
                caption = format!("{}: the share of tokens at or below.", capital(words));
            }
            if cut > 0 {
                caption += " What took no time at all stands at the left edge.";
            }
            let svg = Cdf {
                title: capital(words),
                description: format!("Distribution of the {words}."),
                x: Axis::new(format!("{words} (ms)"), scale),
                series,
            }
            .render();
            Some(plots.block(name, caption, svg))
        })
        .collect()
}

/// Samples in milliseconds, one a token where tokens have their own.
fn values(run: &MeasuredRun, latency: Latency) -> Vec<f64> {
    let all: Vec<f64> = done(run)
        .flat_map(|record| latency.of(record))
        .flat_map(|(value, weight)| std::iter::repeat_n(value, (weight.round() as usize).max(1)))
        .collect();
    let stride = all.len().div_ceil(SAMPLES).max(1);
    all.into_iter().step_by(stride).collect()
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn over_time(title: &str, unit: &str, points: Vec<Point>, y: Axis, reference: Option<Reference>) -> Svg {
    Lines {
        title: title.to_owned(),
        description: format!("{title}: {unit}."),
        x: Axis::new("seconds from the run's start", Scale::Linear),
        y,
        series: vec![Series { name: String::new(), points, drawn: Drawn::Plain }],
        reference,
        ..Lines::default()
    }
    .render()
}

/// TTFT and ITL, throughput, requests in flight and failures, by time.
pub(super) fn course(run: &MeasuredRun, plots: &mut Plots) -> Vec<Block> {
    let bins = Bins::over(&run.records);
    let width = bins.name();
    let mut blocks = Vec::new();
    let ttft = bins.quantiles(done(run).filter_map(|it| Some((it.sent_us, it.ttft_us()? as f64 / 1e3))));
    let itl = bins.quantiles(done(run).flat_map(tokens_by_time));
    for (name, words, by, points) in [
        ("ttft-over-time", "time to first token", "sent", ttft),
        ("itl-over-time", "inter-token latency", "came", itl),
    ] {
        if points.is_empty() {
            continue;
        }
        let ends =
            points.iter().flat_map(|point| point.band).flat_map(|(low, high)| [low.max(high / 1e4), high]);
        let scale = scale_of(ends);
        let what = if by == "sent" { "requests" } else { "tokens" };
        let caption = format!(
            "{} of the {what} that {} in each {width}: the median, with a band from the 10th to the 99th \
             percentile. Where there were none the line runs straight on.",
            capital(words),
            if by == "sent" { "were sent" } else { "came" },
        );
        let y = Axis::new(format!("{words} (ms)"), scale);
        blocks.push(plots.block(name, caption, over_time(&capital(words), "by time", points, y, None)));
    }
    let end_us = run.records.iter().map(|record| record.ended_us).max().unwrap_or(0);
    let came = done(run).flat_map(|record| {
        let answer = &record.answer;
        answer.chunk_us.iter().zip(&answer.chunk_tokens).map(|(us, n)| (record.sent_us + us, f64::from(*n)))
    });
    let rates = bins.rates(came, end_us);
    if rates.iter().any(|point| point.y > 0.0) {
        let mean = run.summary.throughput.output_tokens;
        let reference = Reference { y: mean, label: format!("whole run: {}/s", short(mean)) };
        let y = Axis::new("output tokens per second", Scale::Linear).covering(0.0, 1.0);
        let caption = format!("Output tokens of successful requests per second, in bins of {width}.");
        let svg = over_time("Throughput", "output tokens per second by time", rates, y, Some(reference));
        blocks.push(plots.block("throughput-over-time", caption, svg));
    }
    if !run.records.is_empty() {
        let y = Axis::new("requests in flight", Scale::Linear).covering(0.0, 1.0);
        let caption =
            format!("Requests in flight: the mean over each {width}, with a band from fewest to most.");
        let svg = over_time("Requests in flight", "by time", bins.in_flight(&run.records), y, None);
        blocks.push(plots.block("in-flight-over-time", caption, svg));
    }
    blocks.extend(failed(run, plots));
    blocks
}

/// Tokens' own latencies, milliseconds, by when they came. One a token.
fn tokens_by_time(record: &RequestRecord) -> Vec<(u64, f64)> {
    let answer = &record.answer;
    let pairs = answer.chunk_us.windows(2).zip(answer.chunk_tokens.iter().skip(1));
    pairs
        .filter(|(_, tokens)| **tokens > 0.0)
        .flat_map(|(pair, tokens)| {
            let each = pair[1].saturating_sub(pair[0]) as f64 / 1e3 / f64::from(*tokens);
            std::iter::repeat_n((record.sent_us + pair[1], each), (tokens.round() as usize).max(1))
        })
        .collect()
}

fn failed(run: &MeasuredRun, plots: &mut Plots) -> Option<Block> {
    let series: Vec<Series> = failures(&run.records)
        .into_iter()
        .map(|(class, points)| Series { name: class.name().into(), points, drawn: Drawn::Steps })
        .collect();
    if series.is_empty() {
        return None;
    }
    let svg = Lines {
        title: "Failures".into(),
        description: "Failed requests so far, by class.".into(),
        x: Axis::new("seconds from the run's start", Scale::Linear),
        y: Axis::new("failed requests so far", Scale::Linear).covering(0.0, 1.0),
        series,
        ..Lines::default()
    }
    .render();
    Some(plots.block("failures-over-time", "Failed requests so far, by the way they failed.", svg))
}
