use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    name: Vec<u8>,
    data: Vec<u8>,
}

impl From<SseEvent<'_>> for Owned {
    fn from(event: SseEvent<'_>) -> Self {
        Owned { name: event.name.to_vec(), data: event.data.to_vec() }
    }
}

/// The events, and what was left at the end.
fn parsed<'a>(
    feeds: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<Owned>, Option<Owned>), EventTooLarge> {
    let mut parser = SseParser::new(LIMIT);
    let mut events = Vec::new();
    for bytes in feeds {
        parser.feed(bytes, |event| {
            events.push(Owned::from(event));
            Ok::<_, EventTooLarge>(())
        })?;
        assert!(parser.partial.len() <= LIMIT && parser.data.len() <= LIMIT && parser.name.len() <= LIMIT);
    }
    let left = parser.finish().map(Owned::from);
    Ok((events, left))
}

fn data(stream: &[u8]) -> Vec<String> {
    let (events, _) = parsed([stream]).unwrap();
    events.into_iter().map(|event| String::from_utf8(event.data).unwrap()).collect()
}

#[test]
fn the_standards_own_examples() {
    assert_eq!(data(b"data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    let stream =
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    assert_eq!(data(stream), ["first event", "second event", " third event"]);
    assert_eq!(data(b"data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(data(b"data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn every_line_end_works_and_none_makes_events_of_its_own() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["data: a", "data: b", "", "", ": c", "", "data: d", "", ""].join(end);
        assert_eq!(data(stream.as_bytes()), ["a\nb", "d"], "{end:?}");
    }
    assert_eq!(data(b"data: a\r\rdata: b\n\r\ndata: c\r\n\r"), ["a", "b", "c"]);
}

#[test]
fn fields_beside_data() {
    let (events, left) = parsed([b"event: error\ndata: x\n\nevent: lost\n\ndata: y\n\n".as_slice()]).unwrap();
    assert_eq!(events[0], Owned { name: b"error".to_vec(), data: b"x".to_vec() });
    assert_eq!(events[1], Owned { name: Vec::new(), data: b"y".to_vec() });
    assert_eq!((events.len(), left), (2, None));
    assert_eq!(data(b"date: a\ndata2: b\n data: c\nDATA: d\nretry: 1\n\n"), Vec::<String>::new());
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(data(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n"), ["a"]);
    assert_eq!(data(b"\xef\xbbdata: a\n\n"), Vec::<String>::new());
    let pieces: [&[u8]; 4] = [b"\xef", b"\xbb", b"\xbfdata:", b"a\n\n"];
    assert_eq!(parsed(pieces).unwrap().0.len(), 1);
    assert_eq!(parsed([b"\xef\xbb".as_slice()]).unwrap(), (Vec::new(), None));
}

#[test]
fn what_no_blank_line_ended_is_left() {
    for (stream, expected) in [
        ("data: a", Some("a")),
        ("data: a\n", Some("a")),
        ("data: a\r", Some("a")),
        ("data: a\ndata: b", Some("a\nb")),
        ("data: a\n\nevent: x", None),
        ("dat", None),
        ("", None),
    ] {
        let (_, left) = parsed([stream.as_bytes()]).unwrap();
        assert_eq!(left.map(|event| event.data), expected.map(|text| text.as_bytes().to_vec()), "{stream:?}");
    }
}

#[test]
fn an_event_lying_whole_in_the_bytes_is_not_copied() {
    let stream = b"data: aaa\n\ndata: bbb\r\n\r\n";
    let mut parser = SseParser::new(LIMIT);
    let mut seen = 0;
    let result = parser.feed(stream, |event| {
        seen += 1;
        assert!(stream.as_ptr_range().contains(&event.data.as_ptr()));
        Ok::<_, EventTooLarge>(())
    });
    assert_eq!((result, seen), (Ok(()), 2));
    assert_eq!((parser.data.capacity(), parser.partial.capacity()), (0, 0));
}

#[test]
fn a_line_or_an_event_beyond_the_limit_is_refused() {
    let long = format!("data:{}", "x".repeat(LIMIT));
    assert_eq!(parsed([long.as_bytes()]), Err(EventTooLarge { limit: LIMIT }));
    assert_eq!(parsed([format!("{long}\n\n").as_bytes()]), Err(EventTooLarge { limit: LIMIT }));
    let several = format!("data:{}\n", "x".repeat(20)).repeat(4);
    assert_eq!(parsed([several.as_bytes()]), Err(EventTooLarge { limit: LIMIT }));
    let comment = format!(":{}\n", "x".repeat(LIMIT));
    assert_eq!(parsed([comment.as_bytes()]), Err(EventTooLarge { limit: LIMIT }));
    let most = format!("data:{}\n\n", "x".repeat(LIMIT - 5));
    assert_eq!(parsed([most.as_bytes()]).unwrap().0.len(), 1);
}

#[test]
fn the_callbacks_error_ends_the_feed() {
    #[derive(Debug, PartialEq)]
    struct Enough;
    impl From<EventTooLarge> for Enough {
        fn from(_: EventTooLarge) -> Self {
            Enough
        }
    }
    let mut seen = 0;
    let result = SseParser::new(LIMIT).feed(b"data: a\n\ndata: b\n\n", |_| {
        seen += 1;
        Err(Enough)
    });
    assert_eq!((result, seen), (Err(Enough), 1));
}

/// Streams of what parsers stumble over: line ends, colons, spaces, marks, fields.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"data: ".to_vec()),
        Just(b"data".to_vec()),
        Just(b"event: error".to_vec()),
        Just(b": comment".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b":".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just("日本".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

/// The standard's algorithm written down once more, slowly: all lines first, then each.
fn by_the_book(stream: &[u8]) -> Vec<Owned> {
    let stream = stream.strip_prefix(&BOM).unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut bytes = stream.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            byte => lines.last_mut().unwrap().push(byte),
        }
    }
    lines.pop();
    let (mut events, mut name, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (&line[..], &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match (line.is_empty(), field) {
            (true, _) => {
                let (name, mut data) = (std::mem::take(&mut name), std::mem::take(&mut data));
                if data.pop().is_some() {
                    events.push(Owned { name, data });
                }
            }
            (false, b"data") => {
                data.extend_from_slice(value);
                data.push(b'\n');
            }
            (false, b"event") => name = value.to_vec(),
            (false, _) => {}
        }
    }
    events
}

proptest! {
    #[test]
    fn events_are_the_standards_wherever_bytes_are_split(stream in streams(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let whole = parsed([stream.as_slice()]);
        if let Ok((events, _)) = &whole {
            prop_assert_eq!(events, &by_the_book(&stream));
        }
        prop_assert_eq!(&parsed(stream.chunks(1)), &whole);
        for at in 0..=stream.len() {
            prop_assert_eq!(&parsed([&stream[..at], &stream[at..]]), &whole);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&parsed(pieces), &whole);
    }
}
