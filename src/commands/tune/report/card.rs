//! A figure at the head of the page.

use crate::report::html::{Card, Tone};

/// One that is neither good nor bad.
pub(super) fn card(label: &str, value: &str, note: &str) -> Card {
    Card { label: label.into(), value: value.into(), note: note.into(), tone: Tone::Neutral }
}
