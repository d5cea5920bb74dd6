//! Whatever comes there is an answer that holds together, the same wherever the bytes are split. The first
//! byte chooses the protocol and where.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spark::bench::plan::Protocol;
use spark::bench::record::{Answer, Outcome};
use spark::bench::stream::AnswerReader;

fn read<'a>(protocol: Protocol, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Answer, Outcome) {
    let mut reader = AnswerReader::new(protocol, true);
    for piece in pieces {
        if reader.feed(piece, 1).is_err() {
            break;
        }
    }
    reader.finish()
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let protocol = match choice % 3 {
        0 => Protocol::Chat,
        1 => Protocol::Completions,
        _ => Protocol::Generate,
    };
    let (answer, outcome) = read(protocol, [bytes]);
    assert_eq!(answer.chunk_us.len(), answer.chunk_tokens.len());
    assert!(outcome != Outcome::Done || answer.output_tokens > 0);
    let sum: f64 = answer.chunk_tokens.iter().map(|&tokens| f64::from(tokens)).sum();
    assert!((sum - f64::from(answer.output_tokens)).abs() <= 1e-5 * sum.max(1.0));
    let size = usize::from(choice / 3).max(1);
    assert_eq!((answer, outcome), read(protocol, bytes.chunks(size)));
});
