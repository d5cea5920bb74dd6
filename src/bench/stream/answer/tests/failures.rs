//! Every way an answer fails by its bytes.

use super::*;

const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"text\":\"x\"}]}\n\n";

fn failed(protocol: Protocol, stream: &[u8]) -> (Answer, FailureClass, String) {
    match at_once(protocol, stream) {
        (answer, Outcome::Failed { class, message }) => (answer, class, message),
        (_, outcome) => panic!("{outcome:?} for {}", String::from_utf8_lossy(stream)),
    }
}

#[test]
fn the_servers_errors_are_told_in_its_words() {
    for (event, words) in [
        (r#"data: {"error":{"message":"out of memory"}}"#, "the server: out of memory"),
        (
            r#"data: {"error":{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}}"#,
            "the server: too long (BadRequestError, 400)",
        ),
        (
            r#"data: {"error":{"message":"m","type":"t","code":400,"retryable":false}}"#,
            "the server: m (t, 400)",
        ),
        (
            r#"data: {"object":"error","message":"gone","type":"NotFoundError","code":404}"#,
            "gone (NotFoundError, 404)",
        ),
        (r#"data: {"message":"busy","code":503}"#, "the server: busy (503)"),
        (r#"data: {"detail":"Not Found"}"#, "the server: Not Found"),
        (r#"data: {"error":"plain"}"#, "the server: plain"),
        (r#"data: {"error":{"reason":7}}"#, r#"the server: {"reason":7}"#),
        ("event: error\ndata: it broke", "the server: it broke"),
        ("event: error\ndata: {\"message\":\"it broke\"}", "the server: it broke"),
        ("event: error\ndata:", "the server:"),
    ] {
        for protocol in [Protocol::Chat, Protocol::Completions, Protocol::Generate] {
            let stream = format!("{TEXT}{event}\n\ndata: [DONE]\n\n");
            let (answer, class, message) = failed(protocol, stream.as_bytes());
            assert_eq!(class, FailureClass::ServerError, "{event}");
            assert!(message.contains(words), "{message} for {event}");
            // What came before is kept.
            assert_eq!(answer.output_tokens, u32::from(protocol != Protocol::Generate));
        }
    }
}

#[test]
fn a_servers_words_are_bounded_and_harmless() {
    let stream = format!("data: {{\"error\":{{\"message\":\"\\u001b[2J{}\"}}}}\n\n", "x".repeat(10_000));
    let (_, _, message) = failed(Protocol::Chat, stream.as_bytes());
    assert!(
        message.chars().count() < 600 && !message.contains('\u{1b}') && message.ends_with('…'),
        "{message}"
    );
}

#[test]
fn an_abort_is_the_servers_failure() {
    let chat = r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"abort"}]}"#;
    let (answer, class, message) = failed(Protocol::Chat, format!("data: {chat}\n\n").as_bytes());
    assert_eq!((class, answer.finish_reason.as_deref()), (FailureClass::ServerError, Some("abort")));
    assert!(message.contains("gave the request up"), "{message}");
    let generate = r#"{"text":"a","meta_info":{"completion_tokens":1,
        "finish_reason":{"type":"abort","message":"Aborted by health check","status_code":500}}}"#
        .replace('\n', "");
    let (answer, class, message) = failed(Protocol::Generate, format!("data: {generate}\n\n").as_bytes());
    assert_eq!((class, answer.output_tokens), (FailureClass::ServerError, 1));
    assert!(message.contains("Aborted by health check"), "{message}");
}

#[test]
fn a_finish_reason_or_done_makes_an_answer_whole_and_nothing_else_does() {
    let finish = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for end in ["data: [DONE]\n\n", "data: [DONE]", "data:[DONE]\n", finish, finish.trim_end()] {
        assert_eq!(at_once(Protocol::Chat, format!("{TEXT}{end}").as_bytes()).1, Outcome::Done, "{end:?}");
    }
    let unnamed = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"\"}]}\n\n";
    for end in ["", ": ping\n\n", "data: [DO", "data: {\"choices\":[]}", unnamed, &finish[..30]] {
        let (answer, class, message) = failed(Protocol::Chat, format!("{TEXT}{end}").as_bytes());
        assert_eq!((class, answer.output_tokens), (FailureClass::CutOff, 1), "{end:?}: {message}");
    }
    // Finished, but the event after it was torn: its figures are missing.
    let torn = format!("{TEXT}{finish}data: {{\"choices\":[],\"usage\":{{\"completion");
    assert_eq!(failed(Protocol::Chat, torn.as_bytes()).1, FailureClass::CutOff);
}

#[test]
fn a_last_event_without_its_blank_line_counts() {
    let stream = format!("{TEXT}{}", TEXT.trim_end());
    let (answer, class, _) = failed(Protocol::Chat, stream.as_bytes());
    assert_eq!((answer.output_tokens, answer.chunk_us, class), (2, vec![5, 5], FailureClass::CutOff));
    let (_, class, message) = failed(Protocol::Chat, b"data: {\"error\":\"late\"}");
    assert_eq!((class, message.as_str()), (FailureClass::ServerError, "the server: late"));
}

#[test]
fn an_answer_that_ends_well_without_a_token_has_failed() {
    for stream in [
        "data: [DONE]\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"completion_tokens\":0}}\n\ndata: [DONE]\n\n",
    ] {
        assert_eq!(failed(Protocol::Chat, stream.as_bytes()).1, FailureClass::NoTokens, "{stream}");
    }
}

#[test]
fn a_body_without_an_event_is_no_stream() {
    for body in [
        "<!DOCTYPE html>\n<html><body>Bad gateway</body></html>\n",
        "{\n  \"error\": {\"message\": \"Bad gateway\"}\n}\n",
        "{\"message\":\"Bad gateway\"}",
        "Bad gateway",
    ] {
        let (_, class, message) = failed(Protocol::Chat, body.as_bytes());
        assert_eq!(class, FailureClass::NotAStream, "{body}");
        assert!(message.contains("Bad gateway") && !message.contains('\n'), "{message}");
    }
    let page = "<p>".repeat(100_000);
    assert!(failed(Protocol::Chat, page.as_bytes()).2.chars().count() < 300);
}

#[test]
fn a_stream_without_an_event_was_cut_off() {
    for body in ["", ": ping\n\n", "event: message\n\n", "\n\n"] {
        let (_, class, message) = failed(Protocol::Chat, body.as_bytes());
        let expected = if body == "\n\n" { FailureClass::NotAStream } else { FailureClass::CutOff };
        assert_eq!(class, expected, "{body:?}: {message}");
    }
}

#[test]
fn what_is_no_json_of_the_protocol_is_malformed() {
    for data in [
        "{\"choices\":[{]}",
        "hello",
        "[1]",
        "\"x\"",
        "12",
        "null",
        "{\"choices\":7}",
        "{\"choices\":{}}",
        "{\"choices\":[{\"index\":0,\"delta\":\"x\"}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\u{1}\"}}]}",
        "{\"usage\":3}",
        "{} {}",
    ] {
        let stream = format!("{TEXT}data: {data}\n\n{TEXT}data: [DONE]\n\n");
        let (answer, class, message) = failed(Protocol::Chat, stream.as_bytes());
        assert_eq!((class, answer.output_tokens), (FailureClass::Malformed, 1), "{data}");
        assert!(message.contains(data.trim_end_matches("\u{1}\"}}]}")), "{message}");
    }
    let broken = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\"}}]}\n\n";
    assert_eq!(failed(Protocol::Chat, broken).1, FailureClass::Malformed);
    // JSON is UTF-8, also where nobody looks at it.
    let unseen = b"data: {\"id\":\"\xff\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let (_, class, message) = failed(Protocol::Chat, unseen);
    assert!(class == FailureClass::Malformed && message.contains("UTF-8"), "{message}");
}

#[test]
fn an_event_without_end_is_too_large() {
    let mut reader = AnswerReader::new(Protocol::Chat, true);
    reader.feed(TEXT.as_bytes(), 1).unwrap();
    reader.feed(b"data: ", 2).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let broken = (0..64).find_map(|_| reader.feed(&piece, 3).err()).unwrap();
    assert_eq!(broken.class, FailureClass::TooLarge);
    assert_eq!(reader.feed(b"data: [DONE]\n\n", 4), Err(broken.clone()));
    let (answer, outcome) = reader.finish();
    assert_eq!(answer.output_tokens, 1);
    assert_eq!(outcome, Outcome::Failed { class: broken.class, message: broken.message });
}
