//! `summary.csv`: one row a run, the same columns always, so that the rows of many runs make one table.

use serde_json::{Value, json};

use super::{RunFile, SummaryFile};

/// Each column, and where its value stands: below `run` is `run.json`, below `summary` is `summary.json`;
/// `warnings` is how many there are. A value that is absent is an empty cell. Later versions add columns at the
/// end only.
pub(crate) const COLUMNS: &[(&str, &str)] = &[
    ("started", "/run/started"),
    ("profile", "/run/plan/profile"),
    ("model", "/run/plan/model"),
    ("runtime", "/run/server/runtime"),
    ("runtime_version", "/run/server/version"),
    ("plan_sha256", "/run/plan_sha256"),
    ("repeat", "/run/repeat"),
    ("ended", "/run/ended/result"),
    ("backend", "/summary/backend"),
    ("dataset_name", "/summary/dataset_name"),
    ("request_rate", "/summary/request_rate"),
    ("max_concurrency", "/summary/max_concurrency"),
    ("random_input_len", "/summary/random_input_len"),
    ("random_output_len", "/summary/random_output_len"),
    ("random_range_ratio", "/summary/random_range_ratio"),
    ("duration", "/summary/duration"),
    ("completed", "/summary/completed"),
    ("failed", "/summary/failed"),
    ("total_input_tokens", "/summary/total_input_tokens"),
    ("total_output_tokens", "/summary/total_output_tokens"),
    ("request_throughput", "/summary/request_throughput"),
    ("input_throughput", "/summary/input_throughput"),
    ("output_throughput", "/summary/output_throughput"),
    ("total_throughput", "/summary/total_throughput"),
    ("steady_requests", "/summary/spark/steady/requests"),
    ("steady_input_tokens", "/summary/spark/steady/input_tokens"),
    ("steady_output_tokens", "/summary/spark/steady/output_tokens"),
    ("steady_total_tokens", "/summary/spark/steady/total_tokens"),
    ("steady_duration_s", "/summary/spark/steady/duration_s"),
    ("mean_e2e_latency_ms", "/summary/spark/latency_ms/e2e/mean/value"),
    ("median_e2e_latency_ms", "/summary/spark/latency_ms/e2e/median/value"),
    ("std_e2e_latency_ms", "/summary/spark/latency_ms/e2e/std/value"),
    ("p90_e2e_latency_ms", "/summary/spark/latency_ms/e2e/p90/value"),
    ("p95_e2e_latency_ms", "/summary/spark/latency_ms/e2e/p95/value"),
    ("p99_e2e_latency_ms", "/summary/spark/latency_ms/e2e/p99/value"),
    ("max_e2e_latency_ms", "/summary/spark/latency_ms/e2e/max/value"),
    ("mean_e2e_latency_ms_low", "/summary/spark/latency_ms/e2e/mean/low"),
    ("mean_e2e_latency_ms_high", "/summary/spark/latency_ms/e2e/mean/high"),
    ("median_e2e_latency_ms_low", "/summary/spark/latency_ms/e2e/median/low"),
    ("median_e2e_latency_ms_high", "/summary/spark/latency_ms/e2e/median/high"),
    ("p99_e2e_latency_ms_low", "/summary/spark/latency_ms/e2e/p99/low"),
    ("p99_e2e_latency_ms_high", "/summary/spark/latency_ms/e2e/p99/high"),
    ("mean_ttft_ms", "/summary/spark/latency_ms/ttft/mean/value"),
    ("median_ttft_ms", "/summary/spark/latency_ms/ttft/median/value"),
    ("std_ttft_ms", "/summary/spark/latency_ms/ttft/std/value"),
    ("p90_ttft_ms", "/summary/spark/latency_ms/ttft/p90/value"),
    ("p95_ttft_ms", "/summary/spark/latency_ms/ttft/p95/value"),
    ("p99_ttft_ms", "/summary/spark/latency_ms/ttft/p99/value"),
    ("max_ttft_ms", "/summary/spark/latency_ms/ttft/max/value"),
    ("mean_ttft_ms_low", "/summary/spark/latency_ms/ttft/mean/low"),
    ("mean_ttft_ms_high", "/summary/spark/latency_ms/ttft/mean/high"),
    ("median_ttft_ms_low", "/summary/spark/latency_ms/ttft/median/low"),
    ("median_ttft_ms_high", "/summary/spark/latency_ms/ttft/median/high"),
    ("p99_ttft_ms_low", "/summary/spark/latency_ms/ttft/p99/low"),
    ("p99_ttft_ms_high", "/summary/spark/latency_ms/ttft/p99/high"),
    ("mean_tpot_ms", "/summary/spark/latency_ms/tpot/mean/value"),
    ("median_tpot_ms", "/summary/spark/latency_ms/tpot/median/value"),
    ("std_tpot_ms", "/summary/spark/latency_ms/tpot/std/value"),
    ("p90_tpot_ms", "/summary/spark/latency_ms/tpot/p90/value"),
    ("p95_tpot_ms", "/summary/spark/latency_ms/tpot/p95/value"),
    ("p99_tpot_ms", "/summary/spark/latency_ms/tpot/p99/value"),
    ("max_tpot_ms", "/summary/spark/latency_ms/tpot/max/value"),
    ("mean_tpot_ms_low", "/summary/spark/latency_ms/tpot/mean/low"),
    ("mean_tpot_ms_high", "/summary/spark/latency_ms/tpot/mean/high"),
    ("median_tpot_ms_low", "/summary/spark/latency_ms/tpot/median/low"),
    ("median_tpot_ms_high", "/summary/spark/latency_ms/tpot/median/high"),
    ("p99_tpot_ms_low", "/summary/spark/latency_ms/tpot/p99/low"),
    ("p99_tpot_ms_high", "/summary/spark/latency_ms/tpot/p99/high"),
    ("mean_itl_ms", "/summary/spark/latency_ms/itl/mean/value"),
    ("median_itl_ms", "/summary/spark/latency_ms/itl/median/value"),
    ("std_itl_ms", "/summary/spark/latency_ms/itl/std/value"),
    ("p90_itl_ms", "/summary/spark/latency_ms/itl/p90/value"),
    ("p95_itl_ms", "/summary/spark/latency_ms/itl/p95/value"),
    ("p99_itl_ms", "/summary/spark/latency_ms/itl/p99/value"),
    ("max_itl_ms", "/summary/spark/latency_ms/itl/max/value"),
    ("mean_itl_ms_low", "/summary/spark/latency_ms/itl/mean/low"),
    ("mean_itl_ms_high", "/summary/spark/latency_ms/itl/mean/high"),
    ("median_itl_ms_low", "/summary/spark/latency_ms/itl/median/low"),
    ("median_itl_ms_high", "/summary/spark/latency_ms/itl/median/high"),
    ("p99_itl_ms_low", "/summary/spark/latency_ms/itl/p99/low"),
    ("p99_itl_ms_high", "/summary/spark/latency_ms/itl/p99/high"),
    ("p99_ttft_from_schedule_ms", "/summary/spark/latency_ms/ttft_from_schedule/p99/value"),
    ("p99_e2e_from_schedule_ms", "/summary/spark/latency_ms/e2e_from_schedule/p99/value"),
    ("p99_queued_ms", "/summary/spark/latency_ms/queued/p99/value"),
    ("concurrency", "/summary/concurrency"),
    ("accept_length", "/summary/accept_length"),
    ("max_output_tokens_per_s", "/summary/max_output_tokens_per_s"),
    ("max_concurrent_requests", "/summary/max_concurrent_requests"),
    ("goodput", "/summary/spark/goodput/requests"),
    ("goodput_share", "/summary/spark/goodput/share"),
    ("exact_token_share", "/summary/spark/exact_token_share"),
    ("warnings", "/warnings"),
];

/// Header and one row a run.
pub(crate) fn table<'a>(runs: impl IntoIterator<Item = (&'a RunFile, &'a SummaryFile)>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut record = |cells: Vec<String>| {
        writer.write_record(&cells).expect("all rows are as long, and memory takes them");
    };
    record(COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (run, summary) in runs {
        let all = json!({"run": run, "summary": summary, "warnings": summary.spark.warnings.len()});
        record(COLUMNS.iter().map(|(_, place)| cell(all.pointer(place))).collect());
    }
    let bytes = writer.into_inner().expect("memory takes all that is written");
    String::from_utf8(bytes).expect("made of texts")
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
