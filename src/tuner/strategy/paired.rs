//! Where a sample lies and how sure that is, little moved by outliers.
//!
//! The trimmed mean with Tukey and McLaughlin's interval: the lowest and highest fifth are left out, the
//! standard error is s_w / (0.6 sqrt(n)) with s_w that of the winsorised sample, and Student's t has the
//! degrees of freedom of what is left. Source: J. W. Tukey and D. H. McLaughlin, Sankhya A 25 (1963), as
//! R. R. Wilcox gives it in "Introduction to Robust Estimation and Hypothesis Testing". With logarithms of paired ratios
//! as the sample, what both runs of a pair share (a clock that sinks, a routing that is heavier) cancels.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The share left out at each end.
const TRIM: f64 = 0.2;

/// An estimate and the interval that holds the true value at the level it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// The estimate.
    pub estimate: f64,
    /// Upper end.
    pub upper: f64,
}

/// A confidence level with its quantiles, which are slow to compute.
#[derive(Debug, Clone)]
pub(crate) struct Level {
    /// Student's t by degrees of freedom, from 1.
    quantiles: Vec<f64>,
}

impl Level {
    /// Degrees of freedom up to which Student's t is told from the normal distribution's limit.
    const KNOWN: usize = 512;

    /// Two-sided intervals that miss the true value with probability `miss`.
    pub(crate) fn missing(miss: f64) -> Self {
        let quantile = |freedom: usize| {
            StudentsT::new(0.0, 1.0, freedom as f64)
                .expect("degrees of freedom are positive")
                .inverse_cdf(1.0 - miss / 2.0)
        };
        Self { quantiles: (1..=Self::KNOWN).map(quantile).collect() }
    }

    /// The interval of the location of `sample`, which is sorted on the way; none below four values.
    pub(crate) fn interval(&self, sample: &mut [f64]) -> Option<Interval> {
        let n = sample.len();
        if n < 4 {
            return None;
        }
        let estimate = trimmed_mean(sample)?;
        let cut = (n as f64 * TRIM) as usize;
        let (low, high) = (sample[cut], sample[n - 1 - cut]);
        let winsorised = sample.iter().map(|value| value.clamp(low, high));
        let mean = winsorised.clone().sum::<f64>() / n as f64;
        let variance = winsorised.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let left = n - 2 * cut;
        let standard_error = (variance / n as f64).sqrt() / (1.0 - 2.0 * TRIM);
        let half = self.quantiles[(left - 2).min(Self::KNOWN - 1)] * standard_error;
        Some(Interval { lower: estimate - half, estimate, upper: estimate + half })
    }
}

/// The mean of the middle three fifths of `sample`, which is sorted on the way; none of an empty one.
pub(crate) fn trimmed_mean(sample: &mut [f64]) -> Option<f64> {
    sample.sort_unstable_by(f64::total_cmp);
    let cut = (sample.len() as f64 * TRIM) as usize;
    let middle = sample.get(cut..sample.len() - cut).filter(|middle| !middle.is_empty())?;
    Some(middle.iter().sum::<f64>() / middle.len() as f64)
}

/// The median of `sample`, which is sorted on the way; none of an empty one.
pub(crate) fn median(sample: &mut [f64]) -> Option<f64> {
    sample.sort_unstable_by(f64::total_cmp);
    let n = sample.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(sample[n / 2]),
        _ => Some((sample[n / 2 - 1] + sample[n / 2]) / 2.0),
    }
}

/// The `share` quantile of `sorted` values, between neighbours by straight line (type 7).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Wilcox's own example: 20 % trimmed mean 282.7, standard error 56.1 (section 3.3.1).
    #[test]
    fn the_published_example_comes_out() {
        let mut sample: Vec<f64> =
            [77, 87, 88, 114, 151, 210, 219, 246, 253, 262, 296, 299, 306, 376, 428, 515, 666, 1310, 2611]
                .map(f64::from)
                .to_vec();
        let level = Level::missing(0.05);
        let interval = level.interval(&mut sample).unwrap();
        assert!((interval.estimate - 282.7).abs() < 0.05, "{interval:?}");
        // Twelve degrees of freedom: 2.179.
        assert!(((interval.upper - interval.estimate) / 2.1788 - 56.1).abs() < 0.5, "{interval:?}");
    }

    /// How often the interval misses, with one value in ten far off on one side half the time.
    #[test]
    fn intervals_miss_as_often_as_they_say() {
        let level = Level::missing(0.05);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for n in [8, 20, 100] {
            let misses = (0..4000)
                .filter(|_| {
                    let mut sample: Vec<f64> = (0..n)
                        .map(|_| {
                            let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
                            if rng.random::<f64>() < 0.1 { 8.0 * normal } else { normal }
                        })
                        .collect();
                    let interval = level.interval(&mut sample).unwrap();
                    interval.lower > 0.0 || interval.upper < 0.0
                })
                .count();
            assert!((80..=280).contains(&misses), "{misses} of 4000 missed with n = {n}");
        }
    }

    #[test]
    fn small_samples_have_no_interval() {
        assert_eq!(Level::missing(0.01).interval(&mut [1.0, 2.0, 3.0]), None);
        assert_eq!(trimmed_mean(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0, 10.0]), Some(2.5));
        assert_eq!(quantile(&[0.0, 10.0], 0.95), Some(9.5));
    }
}
