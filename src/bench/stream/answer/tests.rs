use super::*;
use crate::bench::record::TokenSource;

mod failures;
mod splits;

const SGLANG_CHAT: &str = include_str!("../../../../tests/fixtures/streams/sglang-chat.sse");
const VLLM_CHAT: &str = include_str!("../../../../tests/fixtures/streams/vllm-chat.sse");
const LLAMA_CHAT: &str = include_str!("../../../../tests/fixtures/streams/llama-chat.sse");
const VLLM_COMPLETIONS: &str = include_str!("../../../../tests/fixtures/streams/vllm-completions.sse");
const SGLANG_GENERATE: &str = include_str!("../../../../tests/fixtures/streams/sglang-generate.sse");
const SGLANG_PIECES: &str = include_str!("../../../../tests/fixtures/streams/sglang-generate-pieces.sse");

const TRANSCRIPTS: [(Protocol, &str); 6] = [
    (Protocol::Chat, SGLANG_CHAT),
    (Protocol::Chat, VLLM_CHAT),
    (Protocol::Chat, LLAMA_CHAT),
    (Protocol::Completions, VLLM_COMPLETIONS),
    (Protocol::Generate, SGLANG_GENERATE),
    (Protocol::Generate, SGLANG_PIECES),
];

/// One feed an event: event 0 came after 100 microseconds, event 1 after 200.
fn by_event(protocol: Protocol, stream: &str) -> (Answer, Outcome) {
    let mut reader = AnswerReader::new(protocol, true);
    for (event, at_us) in stream.split_inclusive("\n\n").zip((100..).step_by(100)) {
        reader.feed(event.as_bytes(), at_us).unwrap();
    }
    reader.finish()
}

/// All in one feed.
fn at_once(protocol: Protocol, stream: &[u8]) -> (Answer, Outcome) {
    let mut reader = AnswerReader::new(protocol, true);
    // What broke it is also in the outcome.
    let _ = reader.feed(stream, 5);
    reader.finish()
}

fn done(protocol: Protocol, stream: &str) -> Answer {
    let (answer, outcome) = by_event(protocol, stream);
    assert_eq!(outcome, Outcome::Done);
    answer
}

#[test]
fn sglang_splits_a_step_into_reasoning_and_content_and_counts_the_end_of_text() {
    let expected = Answer {
        input_tokens: Some(12),
        cached_tokens: Some(8),
        output_tokens: 11,
        reasoning_tokens: Some(5),
        token_source: TokenSource::Cumulative,
        chunk_us: vec![200, 300, 400, 500, 600],
        chunk_tokens: vec![3.0, 3.0, 0.0, 4.0, 1.0],
        accept_length: Some(2.75),
        finish_reason: Some("stop".into()),
        text: Some("Hallo \"Welt\" 👋".into()),
    };
    assert_eq!(done(Protocol::Chat, SGLANG_CHAT), expected);
}

#[test]
fn vllm_counts_reasoning_and_tool_calls_in_every_event() {
    let expected = Answer {
        input_tokens: Some(9),
        output_tokens: 12,
        token_source: TokenSource::Cumulative,
        chunk_us: vec![200, 300, 400, 500],
        chunk_tokens: vec![1.0, 4.0, 6.0, 1.0],
        finish_reason: Some("tool_calls".into()),
        text: Some(String::new()),
        ..Answer::default()
    };
    assert_eq!(done(Protocol::Chat, VLLM_CHAT), expected);
}

#[test]
fn llama_cpp_gives_one_total_which_is_spread() {
    let expected = Answer {
        input_tokens: Some(24),
        cached_tokens: Some(16),
        output_tokens: 6,
        token_source: TokenSource::Spread,
        chunk_us: vec![200, 300, 400],
        chunk_tokens: vec![2.0, 2.0, 2.0],
        // Six tokens, of which three were accepted drafts: three steps.
        accept_length: Some(2.0),
        finish_reason: Some("length".into()),
        text: Some("a\u{fffd}\u{fffd}\n\u{1}".into()),
        ..Answer::default()
    };
    assert_eq!(done(Protocol::Chat, LLAMA_CHAT), expected);
}

#[test]
fn a_completions_event_without_text_carries_tokens() {
    let expected = Answer {
        input_tokens: Some(4),
        output_tokens: 4,
        token_source: TokenSource::Cumulative,
        chunk_us: vec![100, 200, 300],
        chunk_tokens: vec![1.0, 1.0, 2.0],
        finish_reason: Some("length".into()),
        text: Some(" eins 二".into()),
        ..Answer::default()
    };
    assert_eq!(done(Protocol::Completions, VLLM_COMPLETIONS), expected);
}

#[test]
fn generate_repeats_its_text_or_gives_pieces() {
    let expected = Answer {
        input_tokens: Some(6),
        cached_tokens: Some(4),
        output_tokens: 7,
        token_source: TokenSource::Cumulative,
        chunk_us: vec![100, 200, 300],
        chunk_tokens: vec![2.0, 2.0, 3.0],
        accept_length: Some(7.0 / 3.0),
        finish_reason: Some("length".into()),
        text: Some("Ja 🚀!".into()),
        ..Answer::default()
    };
    assert_eq!(done(Protocol::Generate, SGLANG_GENERATE), expected);
    let pieces = done(Protocol::Generate, SGLANG_PIECES);
    assert_eq!((pieces.text.as_deref(), pieces.output_tokens), (Some("Ja doch!"), 5));
    assert_eq!(pieces.chunk_tokens, [2.0, 1.0, 2.0]);
}

#[test]
fn without_keeping_text_the_answer_is_the_same_but_for_it() {
    for (protocol, stream) in TRANSCRIPTS {
        let mut reader = AnswerReader::new(protocol, false);
        reader.feed(stream.as_bytes(), 5).unwrap();
        let (kept, outcome) = at_once(protocol, stream.as_bytes());
        assert_eq!(reader.finish(), (Answer { text: None, ..kept }, outcome));
    }
}

#[test]
fn while_it_streams_it_says_how_far_it_is() {
    let mut reader = AnswerReader::new(Protocol::Chat, false);
    let mut seen = Vec::new();
    for event in SGLANG_CHAT.split_inclusive("\n\n") {
        reader.feed(event.as_bytes(), 1).unwrap();
        seen.push((reader.has_output(), reader.tokens_so_far(), reader.is_finished()));
    }
    let early = [(false, 0, false), (true, 3, false), (true, 6, false), (true, 6, false), (true, 10, false)];
    assert_eq!(seen[..5], early);
    assert_eq!(seen[5..], [(true, 10, false), (true, 10, false), (true, 11, false), (true, 11, true)]);
}

#[test]
fn a_role_and_an_empty_finish_are_no_output() {
    let stream = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "\n\n",
    );
    let answer = done(Protocol::Chat, stream);
    assert_eq!((answer.output_tokens, answer.token_source), (1, TokenSource::Events));
    assert_eq!((answer.chunk_us, answer.chunk_tokens), (vec![200], vec![1.0]));
}

#[test]
fn every_kind_of_delta_is_output_and_other_answers_are_not() {
    for (delta, output) in [
        (r#""content":"x""#, true),
        (r#""reasoning_content":"x""#, true),
        (r#""reasoning":"x""#, true),
        (r#""tool_calls":[{"index":0}]"#, true),
        (r#""function_call":{"name":"f"}"#, true),
        (r#""refusal":"no""#, true),
        (r#""tool_calls":[{"index":0,"function":{"arguments":"{\"a\": [1]}"}},{"function":null}]"#, true),
        (r#""role":"assistant""#, false),
        (r#""tool_calls":null"#, false),
        (r#""content":null,"tool_calls":[ ],"function_call":{}"#, false),
    ] {
        for (index, read) in [(0, true), (1, false)] {
            let mut reader = AnswerReader::new(Protocol::Chat, true);
            let event = format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{{delta}}}}}]}}\n\n");
            reader.feed(event.as_bytes(), 1).unwrap();
            assert_eq!(reader.has_output(), output && read, "{delta}");
        }
    }
}

#[test]
fn figures_that_are_no_counts_count_nothing() {
    for tokens in ["-3", "1.5", "\"7\"", "[1]", "{\"a\":1}", "true", "null"] {
        let stream = format!(
            "data: {{\"choices\":[{{\"text\":\"x\",\"finish_reason\":\"stop\"}}],\
             \"usage\":{{\"completion_tokens\":{tokens},\"prompt_tokens\":5e0}}}}\n\n"
        );
        let answer = done(Protocol::Completions, &stream);
        assert_eq!((answer.output_tokens, answer.input_tokens), (1, Some(5)), "{tokens}");
        assert_eq!(answer.token_source, TokenSource::Events, "{tokens}");
    }
    let huge = "data: {\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}],\
                \"usage\":{\"completion_tokens\":99999999999999999999}}\n\n";
    assert_eq!(done(Protocol::Completions, huge).output_tokens, u32::MAX);
}

#[test]
fn nothing_after_done_is_read() {
    for (protocol, stream) in TRANSCRIPTS {
        let (answer, outcome) = at_once(protocol, stream.as_bytes());
        let mut reader = AnswerReader::new(protocol, true);
        reader.feed(format!("{stream}data: {{\"error\":\"late\"}}\n\ngarbage").as_bytes(), 5).unwrap();
        assert!(reader.is_finished());
        reader.feed(b"data: more\n\n", 9).unwrap();
        assert_eq!(reader.finish(), (answer, outcome));
    }
}
