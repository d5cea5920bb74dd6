//! SVG text that only a plot can make, so that a page may take it in without escaping it.

use std::fmt;

/// A whole `<svg>` element, well formed, every text in it escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    pub(super) fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The element as text; also a valid `.svg` file.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The element as text, without a copy.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
