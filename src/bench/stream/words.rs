//! Foreign text, made fit for a message: bounded, on one line, without anything a terminal would obey.

/// Characters of a server's own words that are kept.
pub(in crate::bench) const WORDS: usize = 500;

/// Characters of bytes that are no stream, or no JSON, shown as they came.
pub(in crate::bench) const EXCERPT: usize = 160;

/// The beginning of `bytes`, at most `limit` characters. What is no UTF-8 becomes U+FFFD.
pub(in crate::bench) fn harmless(bytes: &[u8], limit: usize) -> String {
    // A character has at most four bytes.
    let beginning = bytes.get(..limit.saturating_mul(4)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(beginning);
    let mut characters = text.trim().chars();
    let mut kept: String = characters.by_ref().take(limit).map(plain).collect();
    if characters.next().is_some() || beginning.len() < bytes.len() {
        kept.push('…');
    }
    kept
}

/// The character, or a space in place of one that breaks a line, moves a cursor or turns the reading order
/// (Unicode's line separators and bidirectional controls).
fn plain(character: char) -> char {
    match character {
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => ' ',
        control if control.is_control() => ' ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_nothing_in_them_moves_a_terminal() {
        assert_eq!(harmless(b"out of memory", WORDS), "out of memory");
        assert_eq!(harmless("a\u{1b}[31mb\r\nc\u{202e}d".as_bytes(), WORDS), "a [31mb  c d");
        assert_eq!(harmless("ä".repeat(600).as_bytes(), 500), format!("{}…", "ä".repeat(500)));
        assert_eq!(harmless(&[0x6f, 0xff, 0x6b], WORDS), "o\u{fffd}k");
        assert_eq!(harmless(b"", WORDS), "");
    }
}
