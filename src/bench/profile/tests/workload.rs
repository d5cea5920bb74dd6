use super::*;

#[test]
fn the_workload_follows_the_rules() {
    let random = profile(
        "[workload]\nkind = \"random\"\ninput_tokens = 7\noutput_tokens = 9\nlengths = \"uniform\"\nrange_ratio = 0.5",
    );
    let file = profile("[workload]\nkind = \"jsonl\"\nfile = \"a.jsonl\"\noutput_tokens = 9");
    let turns =
        profile("requests = 8\n[workload]\nkind = \"multi-turn\"\nturns = 4\nthink_ms = 5\ninput_tokens = 7");
    let half = Lengths::Uniform { range_ratio: 0.5 };
    let say = WorkloadLayer::default;
    let data = |path: &str| named(Path::new(path)).unwrap();
    let dataset = |kind| WorkloadLayer { kind: Some(kind), file: Some("b.json".into()), ..say() };
    for (name, profile, flags, wanted) in [
        (
            "-i",
            Some(&random),
            WorkloadLayer { input_tokens: Some(3), ..say() },
            Workload::Random { input_tokens: 3, output_tokens: 9, lengths: half },
        ),
        (
            "--lengths exact",
            Some(&random),
            WorkloadLayer { lengths: Some(LengthKind::Exact), ..say() },
            Workload::Random { input_tokens: 7, output_tokens: 9, lengths: Lengths::Exact },
        ),
        (
            "--range-ratio",
            None,
            WorkloadLayer { range_ratio: Some(0.25), ..say() },
            Workload::Random {
                input_tokens: 512,
                output_tokens: 512,
                lengths: Lengths::Uniform { range_ratio: 0.25 },
            },
        ),
        (
            "--lengths uniform",
            None,
            WorkloadLayer { lengths: Some(LengthKind::Uniform), ..say() },
            Workload::Random {
                input_tokens: 512,
                output_tokens: 512,
                lengths: Lengths::Uniform { range_ratio: 0.0 },
            },
        ),
        (
            "--shared-prefix",
            Some(&random),
            WorkloadLayer { groups: Some(2), prefix_tokens: Some(100), ..say() },
            Workload::SharedPrefix {
                groups: 2,
                prefix_tokens: 100,
                input_tokens: 7,
                output_tokens: 9,
                lengths: half,
            },
        ),
        (
            "--turns",
            Some(&random),
            WorkloadLayer { turns: Some(3), ..say() },
            Workload::MultiTurn { turns: 3, input_tokens: 7, output_tokens: 9, lengths: half, think_ms: 0 },
        ),
        (
            "--think",
            Some(&turns),
            WorkloadLayer { think_ms: Some(9), ..say() },
            Workload::MultiTurn {
                turns: 4,
                input_tokens: 7,
                output_tokens: 512,
                lengths: Lengths::Exact,
                think_ms: 9,
            },
        ),
        // A profile of random prompts says nothing about a file's answers, nor the other way round.
        (
            "--dataset",
            Some(&random),
            dataset(WorkloadKind::Sharegpt),
            Workload::Sharegpt { file: data("b.json"), output_tokens: None },
        ),
        (
            "--dataset -o",
            Some(&random),
            WorkloadLayer { output_tokens: Some(5), ..dataset(WorkloadKind::Jsonl) },
            Workload::Jsonl { file: data("b.json"), output_tokens: Some(5) },
        ),
        (
            "--turns on a file",
            Some(&file),
            WorkloadLayer { turns: Some(3), ..say() },
            Workload::MultiTurn {
                turns: 3,
                input_tokens: 512,
                output_tokens: 512,
                lengths: Lengths::Exact,
                think_ms: 0,
            },
        ),
        (
            "--dataset on a file",
            Some(&file),
            dataset(WorkloadKind::Sharegpt),
            Workload::Sharegpt { file: data("b.json"), output_tokens: Some(9) },
        ),
        // The profile's own file lies beside the profile.
        (
            "nothing on a file",
            Some(&file),
            say(),
            Workload::Jsonl { file: data("folder/a.jsonl"), output_tokens: Some(9) },
        ),
        (
            "-o on a file",
            Some(&file),
            WorkloadLayer { output_tokens: Some(5), ..say() },
            Workload::Jsonl { file: data("folder/a.jsonl"), output_tokens: Some(5) },
        ),
    ] {
        let resolved = with(profile, &Layer { workload: flags, ..Layer::default() });
        let resolved = resolved.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(resolved.plan.workload, wanted, "{name}");
    }
}

#[test]
fn workloads_that_contradict_or_lack_something_are_refused() {
    let file = profile("[workload]\nkind = \"jsonl\"\nfile = \"a.jsonl\"");
    let say = WorkloadLayer::default;
    let dataset = WorkloadLayer { kind: Some(WorkloadKind::Jsonl), file: Some("b".into()), ..say() };
    for (profile, flags, words) in [
        (None, WorkloadLayer { input_tokens: Some(3), ..dataset.clone() }, vec!["--dataset", "--input"]),
        (None, WorkloadLayer { turns: Some(3), ..dataset.clone() }, vec!["--dataset", "--turns"]),
        (None, WorkloadLayer { range_ratio: Some(0.5), ..dataset }, vec!["--dataset", "--range-ratio"]),
        (
            None,
            WorkloadLayer { turns: Some(3), groups: Some(1), prefix_tokens: Some(1), ..say() },
            vec!["--shared-prefix", "--turns"],
        ),
        (
            None,
            WorkloadLayer { range_ratio: Some(0.5), lengths: Some(LengthKind::Exact), ..say() },
            vec!["--lengths exact", "--range-ratio"],
        ),
        (None, WorkloadLayer { think_ms: Some(5), ..say() }, vec!["multi-turn", "--turns"]),
        (None, WorkloadLayer { turns: Some(101), ..say() }, vec!["--turns", "101", "100"]),
        (
            None,
            WorkloadLayer { groups: Some(101), prefix_tokens: Some(1), ..say() },
            vec!["--shared-prefix", "101", "100"],
        ),
        (
            Some(&file),
            WorkloadLayer { input_tokens: Some(3), ..say() },
            vec!["--input", "--profile mine", "jsonl"],
        ),
        (
            Some(&file),
            WorkloadLayer { lengths: Some(LengthKind::Exact), ..say() },
            vec!["--lengths", "--profile mine"],
        ),
    ] {
        let error = with(profile, &Layer { workload: flags, ..Layer::default() }).unwrap_err();
        for word in words {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
    }
}
