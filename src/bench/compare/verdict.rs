//! From an interval to a verdict.

use schemars::JsonSchema;
use serde::Serialize;

/// What a difference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricVerdict {
    /// B is better by more than the threshold.
    Better,
    /// B is worse by more than the threshold.
    Worse,
    /// Whatever difference there is, it is within the threshold.
    Same,
    /// The figures cannot tell.
    Unclear,
}

impl MetricVerdict {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            MetricVerdict::Better => "better",
            MetricVerdict::Worse => "worse",
            MetricVerdict::Same => "same",
            MetricVerdict::Unclear => "unclear",
        }
    }
}

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Good {
    Low,
    High,
}

/// The verdict on a ratio B/A. Bounds mirror each other: B against A is as bad as A against B is good.
pub(super) fn on_ratio(interval: Option<(f64, f64)>, threshold: f64, good: Good) -> MetricVerdict {
    let logs = interval.map(|(low, high)| (low.ln(), high.ln()));
    on_difference(logs, threshold.ln_1p(), good)
}

/// The verdict on a difference B-A of which less than `margin` does not matter.
pub(super) fn on_difference(interval: Option<(f64, f64)>, margin: f64, good: Good) -> MetricVerdict {
    let Some((low, high)) = interval.filter(|(low, high)| low <= high) else { return MetricVerdict::Unclear };
    let (above, below) = match good {
        Good::Low => (MetricVerdict::Worse, MetricVerdict::Better),
        Good::High => (MetricVerdict::Better, MetricVerdict::Worse),
    };
    match () {
        () if low > margin => above,
        () if high < -margin => below,
        () if low >= -margin && high <= margin => MetricVerdict::Same,
        () => MetricVerdict::Unclear,
    }
}

/// What can be said of an unclear ratio beyond that.
pub(super) fn leaning(interval: (f64, f64), threshold: f64) -> Option<String> {
    let percent = threshold * 100.0;
    match interval {
        (low, _) if low > 1.0 => Some(format!("higher, perhaps by less than {percent} %")),
        (_, high) if high < 1.0 => Some(format!("lower, perhaps by less than {percent} %")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_interval_decides() {
        let low = |interval| on_ratio(Some(interval), 0.05, Good::Low);
        assert_eq!(low((1.06, 1.2)), MetricVerdict::Worse);
        assert_eq!(low((1.04, 1.2)), MetricVerdict::Unclear);
        assert_eq!(low((0.97, 1.04)), MetricVerdict::Same);
        assert_eq!(low((0.8, 0.94)), MetricVerdict::Better);
        assert_eq!(low((0.8, 0.97)), MetricVerdict::Unclear);
        let high = |interval| on_ratio(Some(interval), 0.05, Good::High);
        assert_eq!(high((1.06, 1.2)), MetricVerdict::Better);
        assert_eq!(high((0.8, 0.94)), MetricVerdict::Worse);
        assert_eq!(on_ratio(None, 0.05, Good::Low), MetricVerdict::Unclear);
        // 1/1.05 is 0.952: what is 4.9 % lower is not yet beyond.
        assert_eq!(high((0.90, 0.951)), MetricVerdict::Worse);
        assert_eq!(high((0.90, 0.953)), MetricVerdict::Unclear);
        for broken in [(f64::NAN, 1.0), (1.2, 1.1), (-1.0, 1.0)] {
            assert_eq!(low(broken), MetricVerdict::Unclear, "{broken:?}");
        }
    }

    #[test]
    fn swapping_sides_swaps_verdicts() {
        for (a, b) in [(1.06, 1.2), (0.8, 0.95), (0.98, 1.01), (0.9, 1.2)] {
            let swapped = on_ratio(Some((1.0 / b, 1.0 / a)), 0.05, Good::High);
            assert_eq!(on_ratio(Some((a, b)), 0.05, Good::Low), swapped);
        }
    }
}
