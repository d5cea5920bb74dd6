//! Words on stderr. A reader that went away costs the words and nothing else.

use std::io::Write;

/// Write `text` and end the line.
pub(super) fn line(text: &str) {
    // In one piece: other processes may write there too.
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Write `text`, behind which an answer is typed.
pub(super) fn question(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
