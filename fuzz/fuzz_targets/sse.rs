//! Events are the same wherever the bytes are split. The first byte says where.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spark::bench::stream::sse::{EventTooLarge, SseParser};

type Parsed = Result<(Vec<(Vec<u8>, Vec<u8>)>, Option<Vec<u8>>), EventTooLarge>;

fn parsed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Parsed {
    let mut parser = SseParser::new(256);
    let mut events = Vec::new();
    for piece in pieces {
        parser.feed(piece, |event| {
            events.push((event.name.to_vec(), event.data.to_vec()));
            Ok::<_, EventTooLarge>(())
        })?;
    }
    let left = parser.finish().map(|event| event.data.to_vec());
    Ok((events, left))
}

fuzz_target!(|input: &[u8]| {
    let Some((&size, bytes)) = input.split_first() else { return };
    assert_eq!(parsed([bytes]), parsed(bytes.chunks(usize::from(size).max(1))));
});
