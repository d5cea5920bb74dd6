//! How often each time came, in little memory: an HdrHistogram, with the mean and the maximum kept exactly.

use hdrhistogram::Histogram;

/// Significant figures: no bucket is wider than 0.1 % of its values, so that its middle is within 0.05 %.
const FIGURES: u8 = 3;

/// A distribution of nanoseconds. Its mean and maximum are exact, its quantiles within 0.05 %.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimeDistribution {
    counts: Histogram<u64>,
    sum: f64,
    max: u64,
}

impl Default for TimeDistribution {
    fn default() -> Self {
        let counts = Histogram::new(FIGURES).expect("so many figures are among those it can have");
        Self { counts, sum: 0.0, max: 0 }
    }
}

impl TimeDistribution {
    /// Count `value` so many times.
    pub(super) fn add(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        if self.counts.record_n(value, times).is_err() {
            // Its range grows with the values, but for one that no memory holds.
            self.counts.saturating_record_n(value, times);
        }
        self.sum += value as f64 * times as f64;
        self.max = self.max.max(value);
    }

    /// Arithmetic mean, 0 without a value.
    pub(super) fn mean(&self) -> f64 {
        match self.counts.len() {
            0 => 0.0,
            total => self.sum / total as f64,
        }
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Nearest-rank quantile, 0 without a value.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let (low, high) = match self.counts.value_at_quantile(share) {
            0 => return 0.0,
            value => (self.counts.lowest_equivalent(value), self.counts.highest_equivalent(value)),
        };
        (low as f64 + (high - low) as f64 / 2.0).min(self.max as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_a_twentieth_of_a_percent() {
        let mut last = 0.0;
        for value in (0..5000).chain((0..50).map(|n| 5000 + n * n * n * 1_000_003)).chain([u64::MAX / 2]) {
            let mut one = TimeDistribution::default();
            one.add(value, 1);
            // So that the maximum, which is exact, does not say it.
            one.add(u64::MAX / 2, 1);
            let found = one.quantile(0.5);
            assert!(found >= last, "{value}");
            last = found;
            assert!((found - value as f64).abs() <= value as f64 * 0.0005, "{value}: {found}");
        }
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut times = TimeDistribution::default();
        assert_eq!((times.mean(), times.quantile(0.5), times.max()), (0.0, 0.0, 0));
        for value in 1..=100 {
            times.add(value, 1);
        }
        times.add(900, 0);
        assert_eq!(times.mean(), 50.5);
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| times.quantile(share)), [50.0, 90.0, 99.0, 100.0]);
        times.add(1000, 900);
        assert_eq!((times.quantile(0.5), times.max()), (1000.0, 1000));
    }

    #[test]
    fn what_is_longer_than_any_time_still_counts() {
        let mut times = TimeDistribution::default();
        times.add(u64::MAX, 1);
        assert_eq!((times.max(), times.mean()), (u64::MAX, u64::MAX as f64));
    }
}
