//! Wherever bytes are split, the answer is the same; whatever bytes come, there is one.

use proptest::prelude::*;

use super::*;

fn in_pieces<'a>(protocol: Protocol, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Answer, Outcome) {
    let mut reader = AnswerReader::new(protocol, true);
    for piece in pieces {
        if reader.feed(piece, 5).is_err() {
            break;
        }
    }
    reader.finish()
}

/// The same stream as other servers and proxies would write it: line ends, comments, no space after the
/// colon, an event's JSON over several data lines.
fn dressed(stream: &str, end: &str, comment: bool, space: bool, lines: bool) -> String {
    let mut written = String::from(if comment { "\u{feff}" } else { "" });
    for event in stream.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").unwrap();
        // JSON may be broken before this key, and stays the same.
        let data = if lines { data.replacen(",\"choices\"", "\n,\"choices\"", 1) } else { data.to_owned() };
        if comment {
            written += &format!(": ping{end}id: 7{end}");
        }
        for line in data.lines() {
            written += &format!("data:{}{line}{end}", if space { " " } else { "" });
        }
        written += end;
    }
    written
}

#[test]
fn the_answer_is_the_same_wherever_a_stream_is_split_and_however_it_is_written() {
    for (protocol, stream) in TRANSCRIPTS {
        let expected = at_once(protocol, stream.as_bytes());
        assert_eq!(expected.1, Outcome::Done);
        for end in ["\n", "\r\n", "\r"] {
            for way in 0..8 {
                let written = dressed(stream, end, way & 1 > 0, way & 2 > 0, way & 4 > 0);
                assert_eq!(at_once(protocol, written.as_bytes()), expected, "{written}");
            }
            let written = dressed(stream, end, true, true, true);
            let bytes = written.as_bytes();
            assert_eq!(in_pieces(protocol, bytes.chunks(1)), expected);
            for at in 0..=bytes.len() {
                let (before, after) = bytes.split_at(at);
                assert_eq!(in_pieces(protocol, [before, after]), expected, "split at {at}");
            }
        }
    }
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Chat), Just(Protocol::Completions), Just(Protocol::Generate)]
}

/// Bytes that get past the first checks: pieces of real streams, damaged.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0..TRANSCRIPTS.len(), any::<prop::sample::Index>(), 0..4usize).prop_map(|(which, start, events)| {
            let stream = TRANSCRIPTS[which].1;
            let all: Vec<&str> = stream.split_inclusive("\n\n").collect();
            let start = start.index(all.len());
            all[start..(start + events).min(all.len())].concat().into_bytes()
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(b"data: {\"choices\":[{\"delta\":{\"content\":\"".to_vec()),
        1 => Just(b"\n\n".to_vec()),
        1 => Just(b"event: error\ndata: ".to_vec()),
    ];
    let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (proptest::collection::vec(piece, 0..8), flips).prop_map(|(pieces, flips)| {
        let mut bytes = pieces.concat();
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn whatever_comes_the_answer_holds_together_and_splits_change_nothing(
        protocol in protocols(),
        bytes in damaged(),
        size in 1..200usize,
    ) {
        let (answer, outcome) = at_once(protocol, &bytes);
        prop_assert_eq!(answer.chunk_us.len(), answer.chunk_tokens.len());
        let sum: f64 = answer.chunk_tokens.iter().map(|&tokens| f64::from(tokens)).sum();
        let whole = f64::from(answer.output_tokens);
        prop_assert!((sum - whole).abs() <= 1e-5 * whole.max(1.0), "{} is not {}", sum, whole);
        if let Outcome::Failed { message, .. } = &outcome {
            let harmless = !message.contains(char::is_control);
            prop_assert!(harmless && message.chars().count() < 1000, "{:?}", message);
        } else {
            prop_assert!(answer.output_tokens > 0);
        }
        prop_assert_eq!(in_pieces(protocol, bytes.chunks(size)), (answer, outcome));
    }

    #[test]
    fn arbitrary_bytes_never_panic(protocol in protocols(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, outcome) = at_once(protocol, &bytes);
        prop_assert_ne!(outcome, Outcome::Done);
    }
}
