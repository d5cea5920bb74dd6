use super::*;
use crate::failure::Kind;

#[test]
fn a_profile_says_what_is_wrong_and_where() {
    for (text, words) in [
        ("request = 5", vec!["`request`", "did you mean `requests`", "line 1"]),
        (
            "\n[workload]\nkind = \"random\"\ninput = 5",
            vec!["workload.input", "did you mean `input_tokens`", "line 4"],
        ),
        ("[arrival]\nkind = \"poison\"", vec!["arrival.kind", "did you mean `poisson`"]),
        ("[slo]\nitl_ms = 5", vec!["slo.itl_ms", "`tpot_ms`"]),
        ("[zzz]", vec!["`zzz`", "expected one of `about`"]),
        ("requests = 0", vec!["`requests`", "0 is not accepted", "from 1 to"]),
        ("requests = -5", vec!["`requests`", "-5", "whole number"]),
        ("requests = 1.5", vec!["`requests`", "whole number"]),
        ("requests = \"ten\"", vec!["`requests`", "\"ten\""]),
        ("requests = 5000000000", vec!["`requests`", "5000000000"]),
        ("requests = ", vec!["line 1"]),
        ("concurrency = 0", vec!["`concurrency`", "from 1 to 65535"]),
        ("[workload]\ninput_tokens = 0", vec!["`workload.input_tokens`", "0 is not accepted"]),
        ("[workload]\noutput_tokens = 0", vec!["`workload.output_tokens`", "0 is not accepted"]),
        (
            "[workload]\nlengths = \"uniform\"\nrange_ratio = 1.5",
            vec!["`workload.range_ratio`", "1.5", "0 to 1"],
        ),
        ("[workload]\nlengths = \"uniform\"\nrange_ratio = nan", vec!["`workload.range_ratio`", "NaN"]),
        ("[workload]\nlengths = \"exact\"\nrange_ratio = 0.5", vec!["`workload.lengths`", "`uniform`"]),
        ("[workload]\nturns = 3", vec!["`workload.kind`", "`random`", "multi-turn", "`workload.turns`"]),
        (
            "[workload]\nkind = \"sharegpt\"\nfile = \"x\"\ninput_tokens = 3",
            vec!["`workload.input_tokens`", "random, shared-prefix or multi-turn"],
        ),
        ("[workload]\nkind = \"sharegpt\"", vec!["`workload.file`", "needs it"]),
        ("[workload]\nkind = \"multi-turn\"\nturns = 0", vec!["`workload.turns`", "from 1"]),
        (
            "requests = 2\n[workload]\nkind = \"multi-turn\"\nturns = 3",
            vec!["`workload.turns`", "at most the 2"],
        ),
        ("[arrival]\nkind = \"poisson\"\nrate = -1", vec!["`arrival.rate`", "-1", "above 0"]),
        ("[arrival]\nkind = \"poisson\"\nrate = 0", vec!["`arrival.rate`", "above 0"]),
        ("[arrival]\nkind = \"poisson\"\nrate = nan", vec!["`arrival.rate`", "NaN"]),
        ("[arrival]\nkind = \"poisson\"\nrate = inf", vec!["`arrival.rate`", "inf"]),
        ("[arrival]\nkind = \"poisson\"", vec!["`arrival.rate`", "needs it"]),
        ("[arrival]\nrate = 1", vec!["`arrival.kind`", "nothing", "poisson"]),
        ("[arrival]\nkind = \"closed-loop\"", vec!["`concurrency`", "needs it"]),
        (
            "[arrival]\nkind = \"all-at-once\"\nrate = 1",
            vec!["`arrival.kind`", "constant, poisson or gamma", "`arrival.rate`"],
        ),
        ("[arrival]\nkind = \"gamma\"\nrate = 1\nburstiness = 0", vec!["`arrival.burstiness`", "above 0"]),
        ("[sampling]\ntemperature = -1", vec!["`sampling.temperature`", "-1"]),
        ("[sampling.extra_body]\nstream = false", vec!["`sampling.extra_body`", "`stream`", "streamed"]),
        ("[limits]\nconnect_s = 0", vec!["`limits.connect_s`", "above 0"]),
        ("[limits]\nfailed_share = 5", vec!["`limits.failed_share`", "0 to 1"]),
        ("[limits]\nretries = 101", vec!["`limits.retries`", "100"]),
        ("[limits]\nanswer_bytes = 1", vec!["`limits.answer_bytes`", "1024"]),
        ("[slo]\nttft_ms = -5", vec!["`slo.ttft_ms`", "above 0"]),
        ("model = \"\"", vec!["`model`", "/v1/models"]),
        ("protocol = \"grpc\"", vec!["`protocol`", "`chat`"]),
    ] {
        let error = parsed("some/mine.toml", text).expect_err(text);
        assert_eq!(error.kind(), Kind::Input);
        let error = error.to_string();
        assert!(error.contains("some/mine.toml") && !error.contains('\n'), "{error}");
        for word in words {
            assert!(error.contains(word), "{text}: `{word}` is not in: {error}");
        }
    }
}
