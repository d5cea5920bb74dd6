//! `/metrics` in Prometheus' text format 0.0.4 (and what OpenMetrics adds to it).

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::endpoints::Endpoints;
use super::error::ServerError;
use crate::bench::summary::MetricsSample;

/// What a text of metrics holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metrics {
    /// Counters and gauges, and the sums and counts of histograms and summaries, over all labels: counts are
    /// summed, shares averaged.
    pub values: BTreeMap<String, f64>,
    /// Lines that are no metric.
    pub bad_lines: u32,
}

/// Metrics, and when they were asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scraped {
    /// When.
    pub at: Instant,
    /// What.
    pub metrics: Metrics,
}

/// Ask for the metrics. None where the server has none: SGLang needs `--enable-metrics`, llama.cpp `--metrics`.
///
/// # Errors
/// A server that does not answer.
pub(crate) async fn scrape(endpoints: &Endpoints) -> Result<Option<Scraped>, ServerError> {
    let at = Instant::now();
    match endpoints.get_text("/metrics").await {
        Ok(text) => Ok(Some(Scraped { at, metrics: parse(&text) })),
        Err(error) if error.is_unsupported() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Scraped {
    /// As a sample of a run that began (or will begin) at `began`.
    pub(crate) fn sample(self, began: Instant) -> MetricsSample {
        let at_s = match self.at.checked_duration_since(began) {
            Some(after) => after.as_secs_f64(),
            None => -began.duration_since(self.at).as_secs_f64(),
        };
        MetricsSample { at_s, values: self.metrics.values }
    }
}

/// How the names of gauges end whose figures are shares or means: two ranks that are half full are half full
/// together. All other gauges are counts. Source: the gauges of SGLang 0.5.23 (`srt/observability/
/// metrics_collector.py`, lines 364-1343), vLLM (`v1/metrics/loggers.py`) and llama.cpp (`tools/server`).
const SHARES: [&str; 13] = [
    "token_usage",
    "mamba_usage",
    "cache_usage_perc",
    "_ratio",
    "hit_rate",
    "accept_rate",
    "acceptance_rate",
    "accept_length",
    "acceptance_length",
    "spec_cap_length",
    "utilization",
    "occupancy",
    "is_cuda_graph",
];

/// Read a text of metrics. What is no number (NaN, infinities) is left out: it adds up to nothing, and JSON
/// cannot hold it. So are buckets, quantiles and `_created` times, whose sums mean nothing.
pub(crate) fn parse(text: &str) -> Metrics {
    let mut metrics = Metrics::default();
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    let mut label_sets: HashMap<&str, u32> = HashMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if let (Some("TYPE"), Some(name), Some(kind)) = (words.next(), words.next(), words.next()) {
                kinds.insert(name, kind);
            }
            continue;
        }
        match sample(line) {
            None => metrics.bad_lines += 1,
            Some(sample) if !sample.value.is_finite() || is_part(&sample, &kinds) => {}
            Some(Sample { name, value, .. }) => {
                *metrics.values.entry(name.to_owned()).or_default() += value;
                *label_sets.entry(name).or_default() += 1;
            }
        }
    }
    for (name, sets) in label_sets {
        if let Some(value) = metrics.values.get_mut(name).filter(|_| is_share(name, &kinds)) {
            *value /= f64::from(sets);
        }
    }
    metrics
}

/// Whether its mean over labels says more than their sum. What is said to be no gauge is a count, whatever its
/// name.
fn is_share(name: &str, kinds: &HashMap<&str, &str>) -> bool {
    kinds.get(name).is_none_or(|kind| *kind == "gauge") && SHARES.iter().any(|end| name.ends_with(end))
}

struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

/// `name{label="value"} 1.5 timestamp # exemplar`.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let end = end_of_labels(inside)?;
            (&inside[..end], &inside[end + 1..])
        }
        None => ("", rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// The closing brace: the first outside quotes, where `\"` is no end of a quote.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(place),
            _ => {}
        }
    }
    None
}

/// Whether it is a bucket, a quantile, the time a series was made at, or one priority's share of a total: with
/// priorities, SGLang's gauges hold the total under `priority=""` and its parts beside it (0.5.23,
/// `metrics_collector.py`, line 1417).
fn is_part(sample: &Sample<'_>, kinds: &HashMap<&str, &str>) -> bool {
    let labelled = |label: &str| {
        sample.labels.split(',').any(|pair| pair.split('=').next().is_some_and(|name| name.trim() == label))
    };
    (sample.name.ends_with("_bucket") && labelled("le"))
        || (kinds.get(sample.name) == Some(&"summary") && labelled("quantile"))
        || (kinds.get(sample.name) == Some(&"gauge")
            && sample.name.starts_with("sglang:")
            && labelled("priority")
            && !sample.labels.contains("priority=\"\""))
        || sample.name.ends_with("_created")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_summed_over_labels_and_buckets_are_left_out() {
        let text = r##"
# HELP sglang:num_running_reqs The number of running requests
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="m",tp_rank="0"} 3.0
sglang:num_running_reqs{model_name="a \"}\" b, c",tp_rank="1"} 4 1700000000000
# TYPE vllm:ttft histogram
vllm:ttft_bucket{le="0.1"} 5
vllm:ttft_bucket{le="+Inf"} 9
vllm:ttft_sum{m="x"} 1.5e0
vllm:ttft_count{m="x"} 9 # {trace="1"} 0.5
vllm:ttft_created{m="x"} 1.7e9
# TYPE go summary
go{quantile="0.5"} 1
go_sum 2
plain 7
nan_one NaN
inf_one +Inf
"##;
        let metrics = parse(text);
        let expected = [
            ("go_sum", 2.0),
            ("plain", 7.0),
            ("sglang:num_running_reqs", 7.0),
            ("vllm:ttft_count", 9.0),
            ("vllm:ttft_sum", 1.5),
        ];
        assert_eq!(metrics.values, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(metrics.bad_lines, 0);
    }

    #[test]
    fn over_ranks_and_engines_counts_are_summed_and_shares_averaged() {
        let text = r#"
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{dp_rank="0"} 3
sglang:num_running_reqs{dp_rank="1"} 5
# TYPE sglang:token_usage gauge
sglang:token_usage{dp_rank="0"} 0.2
sglang:token_usage{dp_rank="1"} 0.6
# TYPE sglang:cache_hit_rate gauge
sglang:cache_hit_rate{dp_rank="0"} 0.9
sglang:cache_hit_rate{dp_rank="1"} NaN
# TYPE sglang:spec_accept_length gauge
sglang:spec_accept_length{dp_rank="0"} 2.5
sglang:spec_accept_length{dp_rank="1"} 3.5
# TYPE sglang:gen_throughput gauge
sglang:gen_throughput{dp_rank="0"} 100
sglang:gen_throughput{dp_rank="1"} 150
# TYPE sglang:weight_memory_usage_gb gauge
sglang:weight_memory_usage_gb{dp_rank="0"} 30
sglang:weight_memory_usage_gb{dp_rank="1"} 30
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:kv_cache_usage_perc{engine="1"} 1
vllm:gpu_cache_usage_perc{engine="0"} 0.5
vllm:gpu_cache_usage_perc{engine="1"} 1
vllm:gpu_prefix_cache_hit_rate{engine="0"} 0.1
vllm:gpu_prefix_cache_hit_rate{engine="1"} 0.3
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0"} 4
vllm:num_requests_waiting{engine="1"} 0
# TYPE llamacpp:kv_cache_usage_ratio gauge
llamacpp:kv_cache_usage_ratio 0.25
# TYPE odd_hit_rate counter
odd_hit_rate{a="0"} 1
odd_hit_rate{a="1"} 2
"#;
        let expected = [
            ("llamacpp:kv_cache_usage_ratio", 0.25),
            ("odd_hit_rate", 3.0),
            ("sglang:cache_hit_rate", 0.9),
            ("sglang:gen_throughput", 250.0),
            ("sglang:num_running_reqs", 8.0),
            ("sglang:spec_accept_length", 3.0),
            ("sglang:token_usage", 0.4),
            ("sglang:weight_memory_usage_gb", 60.0),
            ("vllm:gpu_cache_usage_perc", 0.75),
            ("vllm:gpu_prefix_cache_hit_rate", 0.2),
            ("vllm:kv_cache_usage_perc", 0.75),
            ("vllm:num_requests_waiting", 4.0),
        ];
        assert_eq!(parse(text).values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn priorities_are_parts_of_a_total_that_is_there() {
        let text = r#"
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{priority="",dp_rank="0"} 7
sglang:num_queue_reqs{priority="1",dp_rank="0"} 3
sglang:num_queue_reqs{priority="2",dp_rank="0"} 4
# TYPE vllm:requests gauge
vllm:requests{priority="1"} 3
vllm:requests{priority="2"} 4
"#;
        let expected = [("sglang:num_queue_reqs", 7.0), ("vllm:requests", 7.0)];
        assert_eq!(parse(text).values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn bad_lines_are_counted_and_the_rest_is_read() {
        let metrics = parse("a 1\n<html>\nb{x=\"1\" 2\nc\nd x\n1e 3\n{} 4\nz 2");
        assert_eq!(metrics.values, [("a".to_owned(), 1.0), ("z".to_owned(), 2.0)].into());
        assert_eq!(metrics.bad_lines, 6);
    }

    #[test]
    fn a_sample_before_the_run_has_a_negative_time() {
        let at = Instant::now();
        let scraped = Scraped { at, metrics: Metrics::default() };
        assert_eq!(scraped.clone().sample(at + Duration::from_secs(2)).at_s, -2.0);
        assert_eq!(scraped.sample(at).at_s, 0.0);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*", lines in "([a-z{}\"\\\\=#, .0-9]{0,20}\n){0,10}") {
            parse(&text);
            prop_assert!(parse(&lines).values.values().all(|value| value.is_finite()));
        }
    }
}
