use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::json;

use super::oracle::{Counting, CountingCost, Oracle, settle};
use super::*;
use crate::bench::conversation::Prompt;

/// Counts by a function, and remembers what it was asked.
struct Toy {
    count: fn(&str) -> u32,
    cost: CountingCost,
    asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Oracle for Toy {
    fn name(&self) -> &'static str {
        "a toy"
    }
    fn cost(&self) -> CountingCost {
        self.cost
    }
    fn count<'a>(&'a self, texts: &'a [String]) -> Counting<'a> {
        self.asked.lock().unwrap().extend(texts.iter().cloned());
        Box::pin(async move { Ok(texts.iter().map(|text| (self.count)(text)).collect()) })
    }
}

fn toy(count: fn(&str) -> u32, cost: CountingCost) -> Box<dyn Oracle> {
    Box::new(Toy { count, cost, asked: Default::default() })
}

fn words(text: &str) -> u32 {
    text.split_whitespace().count() as u32
}

/// Words of a beginning token and a chat template around them.
fn templated(text: &str) -> u32 {
    words(text) + 17
}

fn bytes(text: &str) -> u32 {
    text.len() as u32 + 1
}

/// Pieces of three letters, the blank with the first.
fn pieces(text: &str) -> u32 {
    text.split_whitespace().map(|word| word.len().div_ceil(3) as u32).sum::<u32>() + 2
}

/// Two words that end and begin alike are one token, like "that the".
fn merging(text: &str) -> u32 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let merged = words.windows(2).filter(|two| two[0].bytes().last() == two[1].bytes().next()).count();
    (words.len() - merged) as u32 + 1
}

type Count = fn(&str) -> u32;

const TOYS: [(&str, Count); 5] =
    [("words", words), ("templated", templated), ("bytes", bytes), ("pieces", pieces), ("merging", merging)];

fn plan(workload: serde_json::Value, requests: u32, warmup: u32, seed: u64) -> LoadPlan {
    serde_json::from_value(json!({
        "profile": "custom", "model": "m", "protocol": "chat", "requests": requests, "workload": workload,
        "arrival": {"kind": "closed-loop"}, "concurrency": 1, "warmup": warmup, "seed": seed,
        "sampling": {"temperature": 0.0, "ignore_eos": true},
        "limits": {"connect_s": 1.0, "first_token_s": 1.0, "stall_s": 1.0, "request_s": 1.0,
                   "answer_bytes": 1, "failed_share": 0.0, "retries": 0},
        "slo": {},
    }))
    .unwrap()
}

fn random(tokens: u32, lengths: serde_json::Value) -> serde_json::Value {
    json!({"kind": "random", "input_tokens": tokens, "output_tokens": 8, "lengths": lengths})
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn made(plan: &LoadPlan, count: fn(&str) -> u32, cost: CountingCost) -> Prepared {
    run(async {
        let settled = settle(Some(toy(count, cost)), None).await.unwrap_or_else(|error| panic!("{error}"));
        let wanted = WorkloadSpec { plan, file: None, context: None };
        prepare(&wanted, settled.as_ref()).await.unwrap_or_else(|error| panic!("{error}"))
    })
}

fn text(conversation: &Conversation, turn: usize) -> &str {
    match &conversation.turns[turn].prompt {
        Prompt::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lengths_are_exact_whatever_the_tokenizer(toy in 0..TOYS.len(), tokens in 40_u32..400, seed: u64) {
        let (name, count) = TOYS[toy];
        let prepared = made(&plan(random(tokens, json!("exact")), 8, 2, seed), count, CountingCost::Cheap);
        let all: Vec<_> = prepared.conversations.iter().chain(&prepared.warmup).collect();
        prop_assert_eq!(all.len(), 10);
        for conversation in &all {
            prop_assert_eq!(count(text(conversation, 0)), tokens, "{}", name);
            prop_assert_eq!(conversation.turns[0].input_tokens, Some(tokens));
        }
        let report = prepared.report;
        prop_assert_eq!((report.verified, report.length_error.unwrap().off), (10, 0), "{}", name);
    }
}

#[test]
fn a_dear_oracle_never_sees_a_measured_prompt_nor_its_beginning() {
    for (name, count) in TOYS {
        let asked = std::sync::Arc::default();
        let oracle = Toy { count, cost: CountingCost::Dear, asked: std::sync::Arc::clone(&asked) };
        let plan = plan(random(60, json!("exact")), 40, 0, 3);
        let prepared = run(async {
            let settled =
                settle(None, Some(Box::new(oracle))).await.unwrap_or_else(|error| panic!("{error}"));
            let wanted = WorkloadSpec { plan: &plan, file: None, context: None };
            prepare(&wanted, settled.as_ref()).await.unwrap()
        });
        let asked = asked.lock().unwrap();
        for conversation in &prepared.conversations {
            let prompt: Vec<&str> = text(conversation, 0).split(' ').collect();
            let shared = |other: &String| other.split(' ').zip(&prompt).take_while(|(a, b)| a == *b).count();
            let most = asked.iter().map(shared).max().unwrap_or(0);
            assert!(most <= 2, "{name}: {most} words of {prompt:?} are known");
            if name != "merging" {
                assert_eq!(count(text(conversation, 0)), 60, "{name}");
            }
        }
        assert!(asked.len() < 300, "{name}: {} requests", asked.len());
    }
}

#[test]
fn prompts_part_with_their_first_words() {
    let prepared = made(&plan(random(30, json!("exact")), 2000, 50, 1), words, CountingCost::Cheap);
    let all: Vec<_> = prepared.conversations.iter().chain(&prepared.warmup).map(|c| text(c, 0)).collect();
    let beginnings: HashSet<Vec<&str>> = all.iter().map(|text| text.split(' ').take(3).collect()).collect();
    assert_eq!(beginnings.len(), all.len());
    let first: HashSet<&str> = all[..500].iter().filter_map(|text| text.split(' ').next()).collect();
    assert_eq!(first.len(), 500);
}

#[test]
fn a_seed_fixes_prompts_and_more_requests_change_none() {
    let of = |requests, seed, lengths| {
        made(&plan(random(50, lengths), requests, 3, seed), templated, CountingCost::Cheap)
    };
    assert_eq!(of(5, 1, json!("exact")), of(5, 1, json!("exact")));
    assert_ne!(of(5, 1, json!("exact")).conversations, of(5, 2, json!("exact")).conversations);
    let (few, many) = (of(5, 1, json!("exact")), of(50, 1, json!("exact")));
    assert_eq!(few.conversations[..], many.conversations[..5]);
    let warm = text(&few.warmup[0], 0);
    assert!(few.conversations.iter().all(|measured| text(measured, 0) != warm));
}

#[test]
fn uniform_lengths_span_their_range_and_what_is_too_short_is_raised() {
    let lengths = json!({"uniform": {"range_ratio": 0.5}});
    let prepared = made(&plan(random(100, lengths), 600, 0, 9), words, CountingCost::Cheap);
    let inputs: Vec<u32> = prepared.conversations.iter().filter_map(|c| c.turns[0].input_tokens).collect();
    let outputs: Vec<u32> = prepared.conversations.iter().map(|c| c.turns[0].output_tokens).collect();
    assert_eq!((inputs.iter().min(), inputs.iter().max()), (Some(&50), Some(&100)));
    assert_eq!((outputs.iter().min(), outputs.iter().max()), (Some(&4), Some(&8)));
    let mean = inputs.iter().sum::<u32>() as f64 / 600.0;
    assert!((mean - 75.0).abs() < 2.0, "{mean}");
    for (conversation, input) in prepared.conversations.iter().zip(inputs) {
        assert_eq!(words(text(conversation, 0)), input);
    }
    // From 1 up, of which a template of 17 tokens leaves no room for the shortest.
    let prepared = made(
        &plan(random(100, json!({"uniform": {"range_ratio": 0.0}})), 300, 0, 9),
        templated,
        CountingCost::Cheap,
    );
    let least = prepared.conversations.iter().filter_map(|c| c.turns[0].input_tokens).min();
    assert_eq!(least, Some(18));
    assert_eq!(prepared.report.overhead_tokens, Some(17));
    assert!(
        prepared.report.raised > 20 && prepared.report.notes.iter().any(|note| note.contains("17 tokens"))
    );
}

#[test]
fn groups_share_their_prefix_and_nothing_behind_it() {
    let workload = json!({"kind": "shared-prefix", "groups": 3, "prefix_tokens": 100, "input_tokens": 40,
                          "output_tokens": 5, "lengths": "exact"});
    for (name, count) in [TOYS[0], TOYS[1], TOYS[3]] {
        let prepared = made(&plan(workload.clone(), 30, 2, 2), count, CountingCost::Cheap);
        let texts: Vec<Vec<&str>> =
            prepared.conversations.iter().map(|c| text(c, 0).split(' ').collect()).collect();
        for (place, prompt) in texts.iter().enumerate() {
            assert_eq!(count(&prompt.join(" ")), 140, "{name}");
            for (other, theirs) in texts.iter().enumerate().take(place) {
                let shared = prompt.iter().zip(theirs).take_while(|(a, b)| a == b).count();
                let common = count(&prompt[..shared].join(" "));
                match place % 3 == other % 3 {
                    true => assert!((96..=104).contains(&common), "{name}: {common}"),
                    false => assert_eq!(shared, 0, "{name}"),
                }
            }
        }
        // Warm-up leaves no measured prefix in the server's cache.
        for warm in &prepared.warmup {
            let first = text(warm, 0).split(' ').next();
            assert_eq!(count(text(warm, 0)), 140, "{name}");
            assert!(texts.iter().all(|prompt| prompt.first().copied() != first), "{name}: {first:?}");
        }
    }
}

#[test]
fn turns_make_conversations_and_requests_count_them_all() {
    let workload = json!({"kind": "multi-turn", "turns": 3, "input_tokens": 30, "output_tokens": 5,
                          "lengths": "exact", "think_ms": 250});
    let mut plan = plan(workload, 7, 2, 2);
    assert_eq!(plan.conversations(), 3);
    let prepared = made(&plan, templated, CountingCost::Cheap);
    let turns: Vec<usize> = prepared.conversations.iter().map(|c| c.turns.len()).collect();
    assert_eq!(turns, [3, 3, 1]);
    let first = &prepared.conversations[0];
    assert_eq!((first.turns[0].input_tokens, first.turns[1].input_tokens), (Some(30), None));
    assert_eq!((words(text(first, 0)), words(text(first, 1))), (13, 30));
    assert_eq!((first.turns[0].pause.as_millis(), first.turns[2].pause.as_millis()), (0, 250));
    assert!(!text(first, 1).starts_with(' '));
    assert!(prepared.warmup.iter().all(|warm| warm.turns.len() == 1) && prepared.warmup.len() == 2);
    plan.protocol = crate::bench::plan::Protocol::Completions;
    assert!(text(&made(&plan, words, CountingCost::Cheap).conversations[0], 1).starts_with(' '));
}

#[test]
fn an_oracle_that_lies_is_found_out() {
    run(async {
        // Off by a constant: what a template adds.
        let settled =
            settle(Some(toy(words, CountingCost::Cheap)), Some(toy(templated, CountingCost::Dear))).await;
        let settled = settled.ok().flatten().unwrap();
        assert!(
            settled.cost() == CountingCost::Cheap && settled.agrees_with_usage && settled.notes.is_empty()
        );
        let plan = plan(random(64, json!("exact")), 4, 0, 5);
        let wanted = WorkloadSpec { plan: &plan, file: None, context: None };
        let prepared = prepare(&wanted, Some(&settled)).await.unwrap();
        assert!(prepared.conversations.iter().all(|made| templated(text(made, 0)) == 64));
        assert_eq!(prepared.report.overhead_tokens, Some(17));
        // Off by more the longer the text is: not the server's tokenizer.
        let settled =
            settle(Some(toy(bytes, CountingCost::Cheap)), Some(toy(templated, CountingCost::Dear))).await;
        let settled = settled.ok().flatten().unwrap();
        assert!(settled.cost() == CountingCost::Dear && settled.notes[0].contains("not used"));
        let prepared = prepare(&wanted, Some(&settled)).await.unwrap();
        assert!(prepared.conversations.iter().all(|made| templated(text(made, 0)) == 64));
        assert!(prepared.report.notes[0].contains("not used"));
        // The same for everything.
        for cost in [CountingCost::Cheap, CountingCost::Dear] {
            let settled = settle(Some(toy(|_| 7, cost)), None).await.ok().flatten().unwrap();
            let error = prepare(&wanted, Some(&settled)).await.unwrap_err();
            assert!(error.to_string().contains("a toy") && error.kind() == Kind::Environment, "{error}");
        }
        // Nobody at all.
        let prepared = prepare(&wanted, None).await.unwrap();
        assert_eq!(prepared.conversations[0].turns[0].input_tokens, None);
        assert!(prepared.report.notes[0].contains("nobody") && prepared.report.counted_by.is_none());
    });
}

fn refused(workload: serde_json::Value, context: Option<u32>) -> WorkloadError {
    let plan = plan(workload, 3, 0, 1);
    run(async { prepare(&WorkloadSpec { plan: &plan, file: None, context }, None).await.unwrap_err() })
}

#[test]
fn figures_that_make_no_workload_are_named() {
    for (workload, word) in [
        (random(0, json!("exact")), "input_tokens is 0"),
        (random(5, json!({"uniform": {"range_ratio": 1.5}})), "range_ratio is 1.5"),
        (random(5, json!({"uniform": {"range_ratio": -0.1}})), "range_ratio is -0.1"),
        (
            json!({"kind": "shared-prefix", "groups": 0, "prefix_tokens": 1, "input_tokens": 1,
                "output_tokens": 1, "lengths": "exact"}),
            "groups is 0",
        ),
        (
            json!({"kind": "multi-turn", "turns": 0, "input_tokens": 1, "output_tokens": 1,
                "lengths": "exact", "think_ms": 0}),
            "turns is 0",
        ),
        (
            json!({"kind": "jsonl", "file": {"name": "f.jsonl", "sha256": ""}, "output_tokens": null}),
            "`f.jsonl`",
        ),
    ] {
        let error = refused(workload, None);
        assert!(error.to_string().contains(word) && error.kind() == Kind::Input, "{error}");
    }
    let error = refused(random(5000, json!("exact")), Some(4096)).to_string();
    assert!(error.contains("5008") && error.contains("4096"), "{error}");
}

fn from_file(
    workload: &str,
    protocol: &str,
    requests: u32,
    warmup: u32,
    content: &[u8],
) -> Result<Prepared, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    fs_err::write(&path, content).unwrap();
    let file = crate::bench::plan::DataFile { name: "data".into(), sha256: crate::fs::sha256_hex(content) };
    let mut plan = plan(json!({"kind": workload, "file": file, "output_tokens": null}), requests, warmup, 1);
    plan.protocol = serde_json::from_value(json!(protocol)).unwrap();
    run(async {
        let settled = settle(Some(toy(templated, CountingCost::Cheap)), None).await.ok().flatten();
        let wanted = WorkloadSpec { plan: &plan, file: Some(&path), context: Some(100) };
        prepare(&wanted, settled.as_ref()).await.map_err(|error| {
            assert_eq!(error.kind(), Kind::Input, "{error}");
            format!("{error} ({})", error.hint().unwrap_or_default())
        })
    })
}

#[test]
fn json_lines_are_taken_in_order() {
    let content = br#"{"prompt": "one", "output_tokens": 5}

{"prompt": [1, 2], "max_tokens": 6, "other": 1}
{"custom_id": "x", "body": {"prompt": "three", "max_completion_tokens": 7}}
"#;
    let made = from_file("jsonl", "completions", 2, 1, content).unwrap();
    assert_eq!(text(&made.conversations[0], 0), "one");
    assert_eq!(made.conversations[1].turns[0].prompt, Prompt::Tokens(vec![1, 2]));
    assert_eq!(made.conversations[1].turns[0].output_tokens, 6);
    assert_eq!((text(&made.warmup[0], 0), made.warmup[0].turns[0].output_tokens), ("three", 7));
    assert!(made.report.notes.iter().all(|note| !note.contains("warm-up")));
    let parts =
        br#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "max_tokens": 1}"#;
    let made = from_file("jsonl", "chat", 1, 3, parts).unwrap();
    let Prompt::Messages(said) = &made.conversations[0].turns[0].prompt else { panic!("no messages") };
    assert_eq!((said[0].role.as_str(), said[0].content.as_str()), ("user", "hi"));
    assert!(made.warmup.len() == 3 && made.report.notes.iter().any(|note| note.contains("repeats")));
}

#[test]
fn one_bad_line_among_ten_thousand_is_named() {
    for (protocol, line, problem) in [
        ("chat", "{\"prompt\": 5, \"max_tokens\": 1}", "`prompt` is 5"),
        ("chat", "{\"prompt\": \"a\"", "EOF"),
        ("chat", "{\"prompt\": \"a\", \"max_tokens\": -1}", "max_tokens"),
        ("chat", "{\"prompt\": \"a\", \"max_tokens\": 0}", "at least 1"),
        ("chat", "{\"prompt\": \"a\"}", "output_tokens"),
        ("chat", "{\"promt\": \"a\", \"max_tokens\": 1}", "neither"),
        ("chat", "{\"prompt\": \"\", \"max_tokens\": 1}", "empty"),
        ("chat", "{\"prompt\": [1], \"max_tokens\": 1}", "token ids"),
        ("chat", "{\"prompt\": \"a\", \"messages\": [], \"max_tokens\": 1}", "both"),
        ("chat", "{\"messages\": [{\"role\": \"robot\", \"content\": \"\"}], \"max_tokens\": 1}", "`robot`"),
        ("chat", "{\"messages\": [{\"role\": \"user\"}], \"max_tokens\": 1}", "content"),
        ("completions", "{\"prompt\": [1, -2], \"max_tokens\": 1}", "-2"),
        (
            "completions",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"max_tokens\": 1}",
            "chat",
        ),
        ("chat", "{\"prompt\": \"a\", \"max_tokens\": 1} x", "trailing"),
    ] {
        let fine = "{\"prompt\": \"fine\", \"max_tokens\": 1}\n";
        let mut content = fine.repeat(10_000);
        content.insert_str(fine.len() * 7_000, &format!("{line}\n"));
        let error = from_file("jsonl", protocol, 5, 0, content.as_bytes()).unwrap_err();
        assert!(error.contains("data:7001:") && error.contains(problem), "{line}: {error}");
    }
    let error = from_file("jsonl", "chat", 3, 0, b"{\"prompt\": \"a\", \"max_tokens\": 1}\n").unwrap_err();
    assert!(
        error.contains("holds 1 ") && error.contains("wants 3") && error.contains("ask for 1"),
        "{error}"
    );
}

#[test]
fn sharegpt_conversations_are_sampled_by_seed_and_answers_counted() {
    let mut entries: Vec<_> = (0..200)
        .map(|n| json!({"id": n, "conversations": [{"from": "system", "value": "s"},
            {"from": "human", "value": format!("question {n}")}, {"from": "gpt", "value": "so ".repeat(n % 9 + 1)}]}))
        .collect();
    entries.push(json!({"conversations": []}));
    entries.push(
        json!({"conversations": [{"from": "gpt", "value": "first"}, {"from": "human", "value": null}]}),
    );
    entries.push(json!({"conversations": [{"from": "human", "value": "long ".repeat(99)}, {"from": "gpt", "value": "a"}]}));
    let content = serde_json::to_vec(&entries).unwrap();
    let made = from_file("sharegpt", "chat", 150, 20, &content).unwrap();
    assert_eq!((made.conversations.len(), made.warmup.len()), (150, 20));
    let asked: HashSet<&str> = made.conversations.iter().chain(&made.warmup).map(|c| text(c, 0)).collect();
    assert_eq!(asked.len(), 170);
    for conversation in &made.conversations {
        let number: u32 = text(conversation, 0).strip_prefix("question ").unwrap().parse().unwrap();
        assert_eq!(conversation.turns[0].output_tokens, number % 9 + 1);
    }
    assert_eq!(made.report.skipped, 3);
    assert_eq!(made, from_file("sharegpt", "chat", 150, 20, &content).unwrap());
    let error = from_file("sharegpt", "chat", 201, 0, &content).unwrap_err();
    assert!(error.contains("holds 200") && error.contains("wants 201"), "{error}");
}

#[test]
fn what_is_no_sharegpt_file_says_where() {
    for (content, words) in [
        (&b"{}"[..], ["conversation 1", "a list"]),
        (
            b"[{\"conversations\": []}, {\"conversations\": [{\"from\": \"human\", \"value\": 5}]}]",
            ["conversation 2", "line 1"],
        ),
        (b"[{\"conversations\": []}", ["conversation 2", "EOF"]),
        (b"", ["conversation 1", "EOF"]),
    ] {
        let error = from_file("sharegpt", "chat", 1, 0, content).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn a_tokenizer_file_counts_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let error = oracle::Local::read(&path).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("--tokenizer"), "{error}");
    fs_err::write(&path, "{\"model\": 5}").unwrap();
    assert_eq!(oracle::Local::read(&path).unwrap_err().kind(), Kind::Input);
    let tokenizer = json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
    });
    fs_err::write(&path, tokenizer.to_string()).unwrap();
    let local = oracle::Local::read(&path).unwrap();
    let counts = run(local.count(&["one two, three four five".to_owned()]));
    assert_eq!(counts.unwrap_or_else(|error| panic!("{error}")), [6]);
}
