//! How often each value came, in little memory: buckets that widen with the value.

/// Buckets to a doubling: 2^10, so that none is wider than 0.1 % of its values.
const BITS: u32 = 10;

/// A distribution of nanoseconds. Its mean and maximum are exact, its quantiles within 0.05 %.
///
/// The layout is HdrHistogram's: values below 2^10 have a bucket each, and each doubling above has 2^10.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: f64,
    max: u64,
}

impl Histogram {
    /// Count `value` so many times.
    pub(super) fn add(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += times;
        self.total += times;
        self.sum += value as f64 * times as f64;
        self.max = self.max.max(value);
    }

    /// Arithmetic mean, 0 without a value.
    pub(super) fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum / self.total as f64 }
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Nearest-rank quantile, 0 without a value.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(bucket).min(self.max as f64);
            }
        }
        self.max as f64
    }
}

fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    ((u64::from(shift) << BITS) + (value >> shift)) as usize
}

fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    let shift = (bucket >> BITS).saturating_sub(1);
    let low = (bucket - (shift << BITS)) << shift;
    low as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut last = 0;
        for value in (0..5000).chain((0..50).map(|n| 5000 + n * n * n * 1_000_003)) {
            let bucket = bucket(value);
            assert!(bucket >= last, "{value}");
            last = bucket;
            let off = (middle(bucket) - value as f64).abs();
            assert!(off <= value as f64 * 0.0005, "{value}: {off}");
        }
        assert!(bucket(u64::MAX) < 60 << BITS);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.mean(), histogram.quantile(0.5), histogram.max()), (0.0, 0.0, 0));
        for value in 1..=100 {
            histogram.add(value, 1);
        }
        histogram.add(900, 0);
        assert_eq!(histogram.mean(), 50.5);
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| histogram.quantile(share)), [50.0, 90.0, 99.0, 100.0]);
        histogram.add(1000, 900);
        assert_eq!((histogram.quantile(0.5), histogram.max()), (1000.0, 1000));
    }
}
