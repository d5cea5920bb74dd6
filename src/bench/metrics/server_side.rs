//! What the server's own metrics say about a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::summary::{MetricsSample, ServerView};

/// Names of the counter of generated tokens: SGLang's, vLLM's, llama.cpp's.
const GENERATED: [&str; 3] =
    ["sglang:generation_tokens_total", "vllm:generation_tokens_total", "llamacpp:tokens_predicted_total"];

/// SGLang's gauge of accepted tokens per verification step.
const ACCEPT_LENGTH: &str = "sglang:spec_accept_length";

/// vLLM's counters of drafted tokens that were accepted, and of drafts (0.32.0, `v1/spec_decode/metrics.py`).
const ACCEPTED: &str = "vllm:spec_decode_num_accepted_tokens_total";
const DRAFTS: &str = "vllm:spec_decode_num_drafts_total";

/// vLLM's counters of prompt tokens that were found in the cache, and of those that were looked for.
const CACHE_HITS: &str = "vllm:prefix_cache_hits_total";
const CACHE_QUERIES: &str = "vllm:prefix_cache_queries_total";

/// Mean accepted tokens per verification step, as far as the server says: from its last metrics, else from
/// its description of itself (SGLang's `internal_states[].avg_spec_accept_length`). 1 or less means that it
/// does not decode speculatively.
pub(crate) fn accept_length(server: &ServerView) -> Option<f64> {
    let sampled = server.samples.last().and_then(|sample| sample.values.get(ACCEPT_LENGTH)).copied();
    // A step gives what it accepts and one token more: vLLM's own `mean_acceptance_length`.
    let counted = || Some(1.0 + share(server, ACCEPTED, DRAFTS)?);
    let told = || server.info.as_ref()?.pointer("/internal_states/0/avg_spec_accept_length")?.as_f64();
    sampled.or_else(counted).or_else(told).filter(|length| *length > 1.0)
}

/// Tokens the server says it generated between the first sample and the last.
pub(crate) fn generated_tokens(server: &ServerView) -> Option<f64> {
    counted(server, &GENERATED)
}

/// What a counter went up by between the first sample and the last.
fn counted(server: &ServerView, names: &[&str]) -> Option<f64> {
    let count = |sample: &MetricsSample| names.iter().find_map(|name| sample.values.get(*name)).copied();
    let (first, last) = (server.samples.first()?, server.samples.last()?);
    let more = count(last)? - count(first)?;
    // A counter that went back belongs to a server that was started anew.
    (server.samples.len() > 1 && more >= 0.0).then_some(more)
}

/// What one counter went up by over what another did.
fn share(server: &ServerView, part: &str, whole: &str) -> Option<f64> {
    let whole = counted(server, &[whole]).filter(|whole| *whole > 0.0)?;
    Some(counted(server, &[part])? / whole)
}

/// What the server's gauges said while requests ran: means over the samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServerLoad {
    /// Requests being served.
    pub running_requests: Option<f64>,
    /// Requests waiting.
    pub queued_requests: Option<f64>,
    /// Share of the KV cache in use, 0 to 1.
    pub token_usage: Option<f64>,
    /// Share of prompt tokens found in the cache, 0 to 1.
    pub cache_hit_rate: Option<f64>,
    /// Tokens generated between the first sample and the last, whoever asked for them.
    pub generated_tokens: Option<f64>,
}

/// Names as SGLang (0.5.23, `srt/observability/metrics_collector.py`), vLLM (0.32.0, `v1/metrics/loggers.py`; the
/// second name of its cache usage is that of older versions) and llama.cpp have them. Over ranks and engines,
/// samples hold the sum of what is a count and the mean of what is a share.
///
/// `end_s` is when the last request ended, seconds from the run's start: the sample after it finds the server idle.
pub(crate) fn load(server: &ServerView, end_s: f64) -> ServerLoad {
    let mean = |names: &[&str]| mean_gauge(server, end_s, names);
    ServerLoad {
        running_requests: mean(&[
            "sglang:num_running_reqs",
            "vllm:num_requests_running",
            "llamacpp:requests_processing",
        ]),
        queued_requests: mean(&[
            "sglang:num_queue_reqs",
            "vllm:num_requests_waiting",
            "llamacpp:requests_deferred",
        ]),
        token_usage: mean(&[
            "sglang:token_usage",
            "vllm:kv_cache_usage_perc",
            "vllm:gpu_cache_usage_perc",
            "llamacpp:kv_cache_usage_ratio",
        ]),
        cache_hit_rate: mean(&["sglang:cache_hit_rate"]).or_else(|| share(server, CACHE_HITS, CACHE_QUERIES)),
        generated_tokens: generated_tokens(server),
    }
}

/// Mean of a gauge over the samples taken while requests ran.
fn mean_gauge(server: &ServerView, end_s: f64, names: &[&str]) -> Option<f64> {
    let during = server.samples.iter().filter(|sample| (0.0..=end_s).contains(&sample.at_s));
    let values: Vec<f64> =
        during.filter_map(|sample| names.iter().find_map(|name| sample.values.get(*name)).copied()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(at_s: f64, name: &str, value: f64) -> MetricsSample {
        MetricsSample { at_s, values: [(name.to_owned(), value)].into() }
    }

    #[test]
    fn counters_are_differences_and_gauges_are_means() {
        let name = GENERATED[1];
        let server = ServerView {
            samples: vec![sample(-1.0, name, 100.0), sample(1.0, name, 150.0), sample(2.0, name, 180.0)],
            ..Default::default()
        };
        assert_eq!(generated_tokens(&server), Some(80.0));
        assert_eq!(mean_gauge(&server, 2.0, &[name]), Some(165.0));
        assert_eq!(mean_gauge(&server, 2.0, &["no such"]), None);
        // Read after the last request's end, and before the first.
        assert_eq!(mean_gauge(&server, 1.9, &[name]), Some(150.0));
        assert_eq!(mean_gauge(&server, 0.9, &[name]), None);
        let restarted = ServerView {
            samples: vec![sample(0.0, name, 9.0), sample(1.0, name, 1.0)],
            ..Default::default()
        };
        assert_eq!(generated_tokens(&restarted), None);
    }

    #[test]
    fn load_knows_each_servers_names() {
        for name in ["sglang:num_queue_reqs", "vllm:num_requests_waiting", "llamacpp:requests_deferred"] {
            let samples = vec![sample(-1.0, name, 9.0), sample(0.5, name, 2.0), sample(1.5, name, 4.0)];
            let server = ServerView { samples, ..Default::default() };
            assert_eq!(
                load(&server, 2.0),
                ServerLoad { queued_requests: Some(3.0), ..Default::default() },
                "{name}"
            );
        }
        assert_eq!(load(&ServerView::default(), 0.0), ServerLoad::default());
    }

    #[test]
    fn no_number_of_ranks_makes_a_share_exceed_the_whole() {
        for (usage, running, rank) in [
            ("sglang:token_usage", "sglang:num_running_reqs", "dp_rank"),
            ("vllm:kv_cache_usage_perc", "vllm:num_requests_running", "engine"),
            ("vllm:gpu_cache_usage_perc", "vllm:num_requests_running", "engine"),
        ] {
            let at = |at_s: f64, shift: f64| {
                let lines = (0..4).map(|it| {
                    let share = shift + f64::from(it) * 0.2;
                    format!("{usage}{{{rank}=\"{it}\"}} {share}\n{running}{{{rank}=\"{it}\"}} 8\n")
                });
                let values = crate::bench::server::metrics::parse(&lines.collect::<String>()).values;
                MetricsSample { at_s, values }
            };
            let server = ServerView { samples: vec![at(0.5, 0.1), at(1.5, 0.3)], ..Default::default() };
            let load = load(&server, 2.0);
            // Means of the ranks: 0.4 and 0.6.
            assert!((load.token_usage.unwrap() - 0.5).abs() < 1e-9, "{usage}: {load:?}");
            assert_eq!(load.running_requests, Some(32.0), "{running}");
        }
    }

    #[test]
    fn the_accept_length_comes_from_metrics_or_from_the_servers_description() {
        let told = ServerView {
            info: Some(json!({"internal_states": [{"avg_spec_accept_length": 2.5}]})),
            ..Default::default()
        };
        assert_eq!(accept_length(&told), Some(2.5));
        let sampled = ServerView { samples: vec![sample(0.0, ACCEPT_LENGTH, 3.0)], ..told };
        assert_eq!(accept_length(&sampled), Some(3.0));
        let plain = ServerView { samples: vec![sample(0.0, ACCEPT_LENGTH, 1.0)], ..Default::default() };
        assert_eq!(accept_length(&plain), None);
    }

    #[test]
    fn vllm_counts_what_sglang_has_gauges_for() {
        let at = |at_s, values: [f64; 4]| {
            let names = [ACCEPTED, DRAFTS, CACHE_HITS, CACHE_QUERIES].map(str::to_owned);
            MetricsSample { at_s, values: names.into_iter().zip(values).collect() }
        };
        let between =
            |first, last| ServerView { samples: vec![at(-1.0, first), at(5.0, last)], ..Default::default() };
        let server = between([100.0, 50.0, 7.0, 10.0], [250.0, 150.0, 27.0, 50.0]);
        assert_eq!(accept_length(&server), Some(2.5));
        assert_eq!(load(&server, 4.0).cache_hit_rate, Some(0.5));
        let idle = between([100.0, 50.0, 7.0, 10.0], [100.0, 50.0, 7.0, 10.0]);
        assert_eq!((accept_length(&idle), load(&idle, 4.0).cache_hit_rate), (None, None));
    }
}
