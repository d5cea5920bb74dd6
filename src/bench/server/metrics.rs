//! `/metrics` in Prometheus' text format 0.0.4 (and what OpenMetrics adds to it).

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::endpoints::Endpoints;
use super::error::ServerError;
use crate::bench::summary::MetricsSample;

/// What a text of metrics holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Counters and gauges, and the sums and counts of histograms and summaries, each summed over labels.
    pub values: BTreeMap<String, f64>,
    /// Lines that are no metric.
    pub bad_lines: u32,
}

/// Metrics, and when they were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Scraped {
    /// When.
    pub at: Instant,
    /// What.
    pub metrics: Metrics,
}

/// Ask for the metrics. None where the server has none: SGLang needs `--enable-metrics`, llama.cpp `--metrics`.
///
/// # Errors
/// A server that does not answer.
pub async fn scrape(endpoints: &Endpoints) -> Result<Option<Scraped>, ServerError> {
    let at = Instant::now();
    match endpoints.get_text("/metrics").await {
        Ok(text) => Ok(Some(Scraped { at, metrics: parse(&text) })),
        Err(error) if error.is_unsupported() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Scraped {
    /// As a sample of a run that began (or will begin) at `began`.
    pub fn sample(self, began: Instant) -> MetricsSample {
        let at_s = match self.at.checked_duration_since(began) {
            Some(after) => after.as_secs_f64(),
            None => -began.duration_since(self.at).as_secs_f64(),
        };
        MetricsSample { at_s, values: self.metrics.values }
    }
}

/// Read a text of metrics. What is no number (NaN, infinities) is left out: it adds up to nothing, and JSON
/// cannot hold it. So are buckets, quantiles and `_created` times, whose sums mean nothing.
pub fn parse(text: &str) -> Metrics {
    let mut metrics = Metrics::default();
    let mut kinds: HashMap<&str, &str> = HashMap::new();
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
            Some(Sample { name, value, .. }) => *metrics.values.entry(name.to_owned()).or_default() += value,
        }
    }
    metrics
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

/// Whether it is a bucket, a quantile or the time a series was made at.
fn is_part(sample: &Sample<'_>, kinds: &HashMap<&str, &str>) -> bool {
    let labelled = |label: &str| {
        sample.labels.split(',').any(|pair| pair.split('=').next().is_some_and(|name| name.trim() == label))
    };
    (sample.name.ends_with("_bucket") && labelled("le"))
        || (kinds.get(sample.name) == Some(&"summary") && labelled("quantile"))
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
