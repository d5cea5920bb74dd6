use super::*;
use crate::bench::profile::{Layer, Layers, WorkloadKind, WorkloadLayer, resolve};

fn resolved(flags: &Layer) -> ResolvedPlan {
    let named = |path: &std::path::Path| {
        Ok(crate::bench::plan::DataFile { name: path.display().to_string(), sha256: "0".into() })
    };
    resolve(Layers { profile: None, flags }, &named).unwrap()
}

fn workload(requests: u32, workload: WorkloadLayer) -> Layer {
    Layer { requests: Some(requests), workload, ..Layer::default() }
}

#[test]
fn every_value_of_a_plan_has_an_origin() {
    let extra_body = json!({ "deep": { "er": [1] } }).as_object().unwrap().clone();
    let mut layers = vec![Layer::default()];
    for kind in [WorkloadKind::Jsonl, WorkloadKind::Sharegpt] {
        let of = WorkloadLayer { kind: Some(kind), file: Some("f".into()), ..Default::default() };
        layers.push(workload(5, of));
    }
    layers.push(workload(5, WorkloadLayer { turns: Some(2), range_ratio: Some(0.5), ..Default::default() }));
    let shared = WorkloadLayer { groups: Some(2), prefix_tokens: Some(7), ..Default::default() };
    layers.push(workload(5, shared));
    for mut layer in layers {
        layer.sampling.extra_body = extra_body.clone();
        for arrival in ["all-at-once", "rate", "gamma", "ramp", "trace"] {
            let said = &mut layer.arrival;
            *said = Default::default();
            match arrival {
                "rate" => said.rate = Some(crate::bench::profile::Rate::PerSecond(2.0)),
                "gamma" => {
                    said.rate = Some(crate::bench::profile::Rate::PerSecond(2.0));
                    said.burstiness = Some(2.0);
                }
                "ramp" => (said.from_rate, said.to_rate) = (Some(1.0), Some(2.0)),
                "trace" => said.file = Some("t".into()),
                _ => {}
            }
            let resolved = resolved(&layer);
            let plan = serde_json::to_value(&resolved.plan).unwrap();
            leaves("", &plan, &mut |path, _| {
                assert!(resolved.origins.of(path).is_some(), "{path} of {arrival}");
            });
            assert!(rows(&resolved).iter().any(|row| row[0] == "sampling.extra_body.deep"));
        }
    }
}

#[test]
fn sums_count_prefixes_history_and_ranges() {
    let sums = |flags: &Layer| {
        let expected = expected(&resolved(flags).plan);
        (expected.conversations, expected.input_tokens, expected.output_tokens)
    };
    let lengths = WorkloadLayer { input_tokens: Some(10), output_tokens: Some(4), ..Default::default() };
    assert_eq!(sums(&workload(5, lengths.clone())), (5, Some(50.0), Some(20.0)));
    // Uniform from 1 to 10 and from 1 to 4.
    let uniform = WorkloadLayer { range_ratio: Some(0.0), ..lengths.clone() };
    assert_eq!(sums(&workload(2, uniform)), (2, Some(11.0), Some(5.0)));
    let shared = WorkloadLayer { groups: Some(2), prefix_tokens: Some(100), ..lengths.clone() };
    assert_eq!(sums(&workload(5, shared)), (5, Some(550.0), Some(20.0)));
    // Prompts of 10, 10+4+10 and 10+4+10+4+10 tokens; then one conversation of a single turn.
    let turns = WorkloadLayer { turns: Some(3), ..lengths };
    assert_eq!(sums(&workload(4, turns)), (2, Some(82.0), Some(16.0)));
    let file =
        WorkloadLayer { kind: Some(WorkloadKind::Jsonl), file: Some("f".into()), ..Default::default() };
    assert_eq!(sums(&workload(4, file)), (4, None, None));
}

#[test]
fn the_schedule_is_known_where_a_rate_is() {
    let mut flags = workload(11, WorkloadLayer::default());
    assert_eq!(expected(&resolved(&flags).plan).schedule_s, None);
    flags.arrival.rate = Some(crate::bench::profile::Rate::PerSecond(2.0));
    assert_eq!(expected(&resolved(&flags).plan).schedule_s, Some(5.0));
    // A rate counts conversations: 6 of at most two turns have 5 gaps.
    flags.workload.turns = Some(2);
    assert_eq!(expected(&resolved(&flags).plan).schedule_s, Some(2.5));
    flags.arrival = Default::default();
    (flags.arrival.from_rate, flags.arrival.to_rate) = (Some(1.0), Some(4.0));
    assert_eq!(expected(&resolved(&flags).plan).schedule_s, Some(2.0));
}

#[test]
fn a_shell_takes_the_body_for_one_word() {
    assert_eq!(quoted(r#"{"a":"it's $HOME"}"#), r#"'{"a":"it'\''s $HOME"}'"#);
}
