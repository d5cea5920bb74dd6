//! Spans of time as people write them: `50ms`, `1.5s`, `10m`, `1h30m`.

use std::time::Duration;

/// Read a span of time. None for what is none, for negative ones and for bare numbers.
pub fn parse(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_nothing_else() {
        assert_eq!(parse("50ms"), Some(Duration::from_millis(50)));
        assert_eq!(parse(" 1.5s "), Some(Duration::from_millis(1500)));
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        for bad in ["", "50", "-1s", "soon", "1 fortnight"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
