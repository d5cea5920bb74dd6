//! Spans of time as people write them: `50ms`, `1.5s`, `10m`, `1h30m`.

use std::time::Duration;

/// Read a span of time. None for what is none, for negative ones and for bare numbers.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(span).ok()
}

/// Write a span so that [`parse`] reads the same.
pub(crate) fn write(span: Duration) -> String {
    let span = jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX);
    format!("{span:#}")
}

/// So many seconds for people, as exactly as they care: `2 h 13 min`, `7 min`, `42 s`, `0.3 s`.
pub(crate) fn in_words(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Spans as text in files: `#[serde(with = "crate::span::text")]`.
pub(crate) mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Write a span.
    pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::write(*span))
    }

    /// Read a span.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let given = String::deserialize(deserializer)?;
        super::parse(&given).ok_or_else(|| {
            D::Error::custom(format!("`{given}` is no span of time; give one such as 50ms or 2s"))
        })
    }
}

/// Spans that may be missing: `#[serde(default, with = "crate::span::optional")]`.
pub(crate) mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Text(#[serde(with = "super::text")] Duration);

    /// Write a span, or that there is none.
    pub(crate) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        span.map(Text).serialize(serializer)
    }

    /// Read a span, or that there is none.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(span)| span))
    }
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

    #[test]
    fn people_read_what_they_care_for() {
        for (seconds, words) in [
            (-1.0, "0.0 s"),
            (0.26, "0.3 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (421.0, "7 min"),
            (7980.0, "2 h 13 min"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for us in [0, 1, 50_000, 1_500_000, 5_400_000_000, 86_400_000_000] {
            let span = Duration::from_micros(us);
            assert_eq!(parse(&write(span)), Some(span), "{}", write(span));
        }
        assert_eq!(write(Duration::from_millis(50)), "50ms");
    }
}
