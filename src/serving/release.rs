//! The number of a runtime's release, and which of two is the newer.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A release of SGLang or vLLM, as PEP 440 orders them as far as these projects use it: `0.5.4.post2`, `0.20.0rc1`. What
/// a build adds behind a `+` says nothing of its age.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Release {
    text: String,
    numbers: Vec<u64>,
    /// Below 0 where it goes before the release of these numbers, above where it comes behind.
    stage: (i8, u64),
}

/// A text that is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no release such as 0.5.4.post2")]
pub(crate) struct BadRelease(String);

impl FromStr for Release {
    type Err = BadRelease;

    fn from_str(text: &str) -> Result<Self, BadRelease> {
        let bad = || BadRelease(text.to_owned());
        let public = text.split('+').next().unwrap_or_default();
        let public = public.strip_prefix('v').unwrap_or(public);
        let numbers_end = public.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(public.len());
        let (numbers, rest) = public.split_at(numbers_end);
        let numbers = numbers.strip_suffix('.').filter(|_| !rest.is_empty()).unwrap_or(numbers);
        let numbers: Option<Vec<u64>> = numbers.split('.').map(|number| number.parse().ok()).collect();
        let stage = match rest {
            "" => (0, 0),
            // The order of PEP 440; the number of a development build may be missing or anything.
            _ => [("dev", -4), ("a", -3), ("b", -2), ("rc", -1), ("post", 1)]
                .into_iter()
                .find_map(|(word, stage)| {
                    let digits = rest.strip_prefix(word)?;
                    let number = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
                    Some((stage, number.parse().unwrap_or(0)))
                })
                .ok_or_else(bad)?,
        };
        Ok(Self { text: text.to_owned(), numbers: numbers.ok_or_else(bad)?, stage })
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        let most = self.numbers.len().max(other.numbers.len());
        let numbers = |release: &Self| {
            let mut numbers = release.numbers.clone();
            numbers.resize(most, 0);
            numbers
        };
        numbers(self).cmp(&numbers(other)).then(self.stage.cmp(&other.stage))
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Release {}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Release {
    type Error = BadRelease;

    fn try_from(text: String) -> Result<Self, BadRelease> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_as_they_came_out() {
        let ordered = [
            "0.5.4.dev7",
            "0.5.4rc1",
            "0.5.4",
            "0.5.4.post1",
            "0.5.4.post2",
            "0.5.10",
            "0.5.11",
            "0.20.0rc2.dev3+g1",
            "0.20.0",
            "1",
        ];
        for pair in ordered.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|text| text.parse::<Release>().unwrap());
            assert!(a < b, "{a} {b}");
        }
        let same = |a: &str, b: &str| assert_eq!(a.parse::<Release>(), b.parse::<Release>(), "{a} {b}");
        same("0.5", "0.5.0");
        same("0.5.4+cu130", "v0.5.4");
    }

    #[test]
    fn what_is_no_release_is_refused() {
        for text in ["", "latest", "0.5.x", "0..5", ".5", "0.5.", "0.5.4-spark"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }
}
