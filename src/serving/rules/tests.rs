use std::path::Path;

use super::*;

fn rules(text: &str) -> Result<Rules, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/own.toml"), text).unwrap();
    Rules::load(Some(folder.path())).map_err(|error| error.to_string())
}

/// gpt-oss-120b over two Sparks.
fn situation<'a>(release: Option<&'a Release>) -> Situation<'a> {
    Situation {
        engine: ServingEngine::Sglang,
        release,
        nodes: 2,
        split: Split { tp: 2, pp: 1, ep: 1 },
        context: Some(32_000),
        speculative: None,
        gpus: vec!["NVIDIA GB10", "NVIDIA GB10"],
        architecture: Some("GptOssForCausalLM"),
        ray: false,
        arguments: &[],
    }
}

fn release(text: &str) -> Release {
    text.parse().unwrap()
}

fn held(at: &Situation<'_>) -> Vec<String> {
    Rules::load(None).unwrap().judge(at, &[]).notices.into_iter().map(|notice| notice.rule).collect()
}

#[test]
fn a_rule_holds_for_its_releases_only() {
    let of = |text: &str| held(&situation(Some(&release(text))));
    assert_eq!(of("0.5.4.post2"), ["cuda-graphs-across-nodes", "flashinfer-fusion-across-nodes"]);
    assert_eq!(of("0.5.9"), ["flashinfer-fusion-across-nodes"]);
    assert_eq!(of("0.5.10"), ["flashinfer-fusion-by-its-flag"]);
    assert_eq!(of("0.5.22"), ["flashinfer-fusion-by-its-flag"]);
    assert!(of("0.5.23").is_empty());
}

#[test]
fn every_condition_counts() {
    let old = release("0.5.4.post2");
    let whole = situation(Some(&old));
    let graphs = |at: &Situation<'_>| held(at).contains(&"cuda-graphs-across-nodes".to_owned());
    assert!(graphs(&whole));
    assert!(!graphs(&Situation { nodes: 1, ..whole.clone() }));
    assert!(!graphs(&Situation { split: Split { tp: 1, pp: 2, ep: 1 }, ..whole.clone() }));
    assert!(!graphs(&Situation { gpus: vec!["NVIDIA Thor"], ..whole.clone() }));
    // Of a GPU that nobody knows it is said, and nothing is done.
    let unknown = Situation { gpus: Vec::new(), ..whole.clone() };
    let verdicts = Rules::load(None).unwrap().judge(&unknown, &[]);
    assert_eq!(verdicts.notices[0].kind, NoticeKind::Warned);
    assert!(verdicts.notices[0].says.ends_with("(with NVIDIA GB10; no node's GPU is known)"), "{verdicts:?}");
    assert_eq!(verdicts.arguments, ["--enable-dp-attention"]);
    assert!(!graphs(&Situation { engine: ServingEngine::Vllm, ..whole.clone() }));
    let given = ["--disable-cuda-graph".to_owned()];
    assert!(!graphs(&Situation { arguments: &given, ..whole.clone() }));
    let other = Situation { architecture: Some("Qwen3MoeForCausalLM"), ..whole.clone() };
    assert_eq!(held(&other), ["cuda-graphs-across-nodes"]);
    let none = Situation { architecture: None, ..whole.clone() };
    assert_eq!(held(&none), ["cuda-graphs-across-nodes"]);

    let mixed = Situation { gpus: vec!["NVIDIA GB10", "NVIDIA Thor"], ..whole.clone() };
    let verdicts = Rules::load(None).unwrap().judge(&mixed, &[]);
    assert_eq!(verdicts.environment["NCCL_IB_DISABLE"], "1");
    assert!(Rules::load(None).unwrap().judge(&whole, &[]).environment.is_empty());
    let alike = Situation { gpus: vec!["NVIDIA Thor"; 2], ..whole };
    assert!(Rules::load(None).unwrap().judge(&alike, &[]).environment.is_empty());
}

#[test]
fn eagle3_on_vllm_is_refused_in_a_pipeline_and_warned_of_beyond_8k() {
    let old = release("0.17.0");
    let at = Situation {
        engine: ServingEngine::Vllm,
        speculative: Some("EAGLE3"),
        gpus: vec!["NVIDIA H100"],
        ..situation(Some(&old))
    };
    let of = |at: &Situation<'_>| -> Vec<(String, NoticeKind)> {
        let notices = Rules::load(None).unwrap().judge(at, &[]).notices;
        notices.into_iter().map(|notice| (notice.rule, notice.kind)).collect()
    };
    let beyond = [("eagle3-beyond-8k".to_owned(), NoticeKind::Warned)];
    assert_eq!(of(&at), beyond);
    // The model's own context, which is longer.
    assert_eq!(of(&Situation { context: None, ..at.clone() }), beyond);
    assert!(of(&Situation { context: Some(8192), ..at.clone() }).is_empty());
    let pipeline = Situation { split: Split { tp: 1, pp: 2, ep: 1 }, ..at };
    assert_eq!(of(&pipeline), [("eagle3-in-a-pipeline".to_owned(), NoticeKind::Refused)]);
    // Of a release that nobody knows nothing is refused, and it is said for which it would be true.
    let unknown = Situation { release: None, ..pipeline.clone() };
    let notices = Rules::load(None).unwrap().judge(&unknown, &[]).notices;
    assert_eq!(notices[0].kind, NoticeKind::Warned);
    assert!(notices[0].says.ends_with("(vLLM before 0.33.0, if it is that)"), "{}", notices[0].says);
    let new = release("0.33.0");
    assert!(of(&Situation { release: Some(&new), ..pipeline }).is_empty());
}

#[test]
fn a_waived_rule_says_nothing() {
    let old = release("0.5.4.post2");
    let waived = ["cuda-graphs-across-nodes".to_owned()];
    let verdicts = Rules::load(None).unwrap().judge(&situation(Some(&old)), &waived);
    assert_eq!(verdicts.arguments, ["--enable-dp-attention"]);
}

#[test]
fn a_rule_of_ones_own_takes_the_place_of_the_embedded_one() {
    let own = "[[rule]]\nid = \"cuda-graphs-across-nodes\"\nengine = \"sglang\"\ndo = \"warn\"\nsays = \"s\"\nsource = \"t\"\n";
    let old = release("0.5.4.post2");
    let notices = rules(own).unwrap().judge(&situation(Some(&old)), &[]).notices;
    let mine = notices.iter().find(|notice| notice.rule == "cuda-graphs-across-nodes").unwrap();
    assert_eq!((mine.kind, mine.says.as_str(), mine.added.len()), (NoticeKind::Warned, "s", 0));
}

#[test]
fn what_is_wrong_with_rules_is_named() {
    const RULE: &str = "[[rule]]\nid = \"a\"\nengine = \"sglang\"\nsince = \"0.5.4\"\ndo = \"add\"\n\
                        arguments = [\"--x\"]\nsays = \"s\"\nsource = \"t\"\nwhen = { nodes_above = 1 }\n";
    rules(RULE).unwrap();
    for (from, to, says) in [
        ("do = \"add\"", "do = \"warn\"", "rule `a`: `arguments` or `environment` go with do = \"add\""),
        ("arguments = [\"--x\"]\n", "", "rule `a`: `arguments` or `environment` go with do = \"add\""),
        ("--x", "--tp-size", "rule `a`: `arguments`: what the key `tp`"),
        ("--x", "--tp-size=9", "rule `a`: `arguments`: what the key `tp`"),
        (
            "arguments = [\"--x\"]",
            "environment = { \"A B\" = \"c\" }",
            "rule `a`: `environment`: `A B` is no name of a variable",
        ),
        ("since = \"0.5.4\"", "since = \"0.5.4\"\nbefore = \"0.5.4\"", "it holds for no release"),
        ("0.5.4", "new", "`new` is no release"),
        ("nodes_above", "node_above", "unknown field `node_above` (did you mean `nodes_above`?)"),
        ("source = \"t\"\n", "", "missing field `source`"),
        ("sglang", "sgl", "unknown variant `sgl`"),
    ] {
        let error = rules(&RULE.replace(from, to)).unwrap_err();
        assert!(error.contains("rules/own.toml`") && error.contains(says), "{to}: {error}");
    }
    let error = rules(&format!("{RULE}{RULE}")).unwrap_err();
    assert!(error.contains("field `id`: `a` is another rule's too"), "{error}");
    assert!(Rules::load(Some(Path::new("/none/there"))).is_err());
}
