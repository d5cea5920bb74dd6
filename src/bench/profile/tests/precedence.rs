use proptest::prelude::*;

use super::*;
use crate::bench::plan::Protocol;

/// Every field a flag can set whose value no other field decides, as (path in the plan, layer, value).
fn single_fields() -> impl Strategy<Value = (&'static str, &'static str, Layer, serde_json::Value)> {
    let layer = Layer::default;
    let ms = |slo: SloLayer| Layer { slo, ..Layer::default() };
    let limits = |limits: LimitsLayer| Layer { limits, ..Layer::default() };
    (1_u32..100, 0.01_f64..1.0).prop_flat_map(move |(whole, share)| {
        let seconds = f64::from(whole);
        let fields = vec![
            (
                "model",
                "--model",
                Layer { model: Some(format!("m{whole}")), ..layer() },
                format!("m{whole}").into(),
            ),
            (
                "protocol",
                "--protocol",
                Layer { protocol: Some(Protocol::Generate), ..layer() },
                "generate".into(),
            ),
            ("requests", "--requests", Layer { requests: Some(whole), ..layer() }, whole.into()),
            (
                "concurrency",
                "--concurrency",
                Layer { concurrency: Some(Bound::At(whole)), ..layer() },
                whole.into(),
            ),
            ("warmup", "--warmup", Layer { warmup: Some(whole), ..layer() }, whole.into()),
            ("seed", "--seed", Layer { seed: Some(whole.into()), ..layer() }, whole.into()),
            (
                "workload.input_tokens",
                "--input",
                Layer {
                    workload: WorkloadLayer { input_tokens: Some(whole), ..Default::default() },
                    ..layer()
                },
                whole.into(),
            ),
            (
                "workload.output_tokens",
                "--output",
                Layer {
                    workload: WorkloadLayer { output_tokens: Some(whole), ..Default::default() },
                    ..layer()
                },
                whole.into(),
            ),
            (
                "workload.lengths.uniform.range_ratio",
                "--range-ratio",
                Layer {
                    workload: WorkloadLayer { range_ratio: Some(share), ..Default::default() },
                    ..layer()
                },
                share.into(),
            ),
            ("arrival.rate", "--rate", Layer { arrival: rated(share), ..layer() }, share.into()),
            (
                "sampling.temperature",
                "--temperature",
                Layer {
                    sampling: SamplingLayer { temperature: Some(share), ..Default::default() },
                    ..layer()
                },
                share.into(),
            ),
            (
                "sampling.ignore_eos",
                "--no-ignore-eos",
                Layer {
                    sampling: SamplingLayer { ignore_eos: Some(false), ..Default::default() },
                    ..layer()
                },
                false.into(),
            ),
            (
                "slo.ttft_ms",
                "--slo",
                ms(SloLayer { ttft_ms: Some(Bound::At(share)), ..Default::default() }),
                share.into(),
            ),
            (
                "slo.tpot_ms",
                "--slo",
                ms(SloLayer { tpot_ms: Some(Bound::At(share)), ..Default::default() }),
                share.into(),
            ),
            (
                "slo.e2e_ms",
                "--slo",
                ms(SloLayer { e2e_ms: Some(Bound::At(share)), ..Default::default() }),
                share.into(),
            ),
            (
                "limits.connect_s",
                "--connect-timeout",
                limits(LimitsLayer { connect_s: Some(seconds), ..Default::default() }),
                seconds.into(),
            ),
            (
                "limits.first_token_s",
                "--first-token-timeout",
                limits(LimitsLayer { first_token_s: Some(seconds), ..Default::default() }),
                seconds.into(),
            ),
            (
                "limits.stall_s",
                "--stall-timeout",
                limits(LimitsLayer { stall_s: Some(seconds), ..Default::default() }),
                seconds.into(),
            ),
            (
                "limits.request_s",
                "--request-timeout",
                limits(LimitsLayer { request_s: Some(seconds), ..Default::default() }),
                seconds.into(),
            ),
            (
                "limits.answer_bytes",
                "--max-answer-bytes",
                limits(LimitsLayer { answer_bytes: Some(2000), ..Default::default() }),
                2000.into(),
            ),
            (
                "limits.failed_share",
                "--max-failed",
                limits(LimitsLayer { failed_share: Some(share), ..Default::default() }),
                share.into(),
            ),
            (
                "limits.retries",
                "--retries",
                limits(LimitsLayer { retries: Some(whole), ..Default::default() }),
                whole.into(),
            ),
        ];
        prop::sample::select(fields)
    })
}

/// A profile that says something else about every one of them.
const SAYS_EVERYTHING: &str = r#"
model = "profile"
protocol = "completions"
requests = 1000
concurrency = 1000
warmup = 1000
seed = 1000
[workload]
kind = "random"
input_tokens = 1000
output_tokens = 1000
lengths = "uniform"
range_ratio = 0.0
[arrival]
kind = "poisson"
rate = 1000
[sampling]
temperature = 9
ignore_eos = true
[limits]
connect_s = 1000
first_token_s = 1000
stall_s = 1000
request_s = 1000
answer_bytes = 9000
failed_share = 0.0
retries = 0
[slo]
ttft_ms = 1000
tpot_ms = 1000
e2e_ms = 1000
"#;

proptest! {
    #[test]
    fn a_flag_always_wins_and_changes_nothing_else((path, flag, flags, value) in single_fields()) {
        let profile = profile(SAYS_EVERYTHING);
        let before = serde_json::to_value(with(Some(&profile), &Layer::default()).unwrap().plan).unwrap();
        let resolved = with(Some(&profile), &flags).unwrap();
        let mut after = serde_json::to_value(&resolved.plan).unwrap();
        let pointer = format!("/{}", path.replace('.', "/"));
        prop_assert_eq!(after.pointer(&pointer), Some(&value));
        prop_assert_eq!(origin(&resolved, path), format!("flag {flag}"));
        let others = resolved.origins.paths().filter(|other| *other != path && *other != "profile");
        for other in others {
            prop_assert_eq!(origin(&resolved, other), "profile mine", "{}", other);
        }
        *after.pointer_mut(&pointer).unwrap() = before.pointer(&pointer).unwrap().clone();
        prop_assert_eq!(after, before);
        // Without a profile it wins over the default.
        let bare = with(None, &flags).unwrap();
        let bare = serde_json::to_value(&bare.plan).unwrap();
        prop_assert_eq!(bare.pointer(&pointer), Some(&value));
    }
}
