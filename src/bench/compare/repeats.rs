//! Intervals from how runs vary.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Runs on both sides together from which on their own variation is used: below, a t-interval has one degree
/// of freedom and reaches 13 to 16 standard deviations.
pub(super) const RUNS: usize = 4;

/// Runs from which on their mean has an interval: with two it would reach nine standard deviations.
pub(crate) const RUNS_OF_MEAN: usize = 3;

/// The 97.5 % quantile of Student's t.
pub(super) fn t_quantile(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// The difference of the sides' means B-A and half the width of its 95 % interval, the variance pooled: both
/// sides are runs of the same plan, and two or three runs cannot tell two variances apart.
pub(super) fn difference(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    if a.is_empty() || b.is_empty() || a.len() + b.len() < RUNS {
        return None;
    }
    let freedom = (a.len() + b.len() - 2) as f64;
    let variance = (squares(a) + squares(b)) / freedom;
    let error = (variance * (1.0 / a.len() as f64 + 1.0 / b.len() as f64)).sqrt();
    Some((mean(b) - mean(a), t_quantile(freedom) * error)).filter(|it| it.0.is_finite() && it.1.is_finite())
}

/// The mean of runs.
pub(crate) fn mean(runs: &[f64]) -> f64 {
    runs.iter().sum::<f64>() / runs.len() as f64
}

/// How far runs scatter around their mean: the standard deviation, divisor n - 1.
pub(crate) fn deviation(runs: &[f64]) -> Option<f64> {
    (runs.len() > 1).then(|| (squares(runs) / (runs.len() - 1) as f64).sqrt()).filter(|it| it.is_finite())
}

/// Half the width of the 95 % interval of the runs' mean.
pub(crate) fn half_width(runs: &[f64]) -> Option<f64> {
    let deviation = deviation(runs).filter(|_| runs.len() >= RUNS_OF_MEAN)?;
    Some(t_quantile((runs.len() - 1) as f64) * deviation / (runs.len() as f64).sqrt())
}

/// Squared distances from the mean, summed.
fn squares(runs: &[f64]) -> f64 {
    let mean = mean(runs);
    runs.iter().map(|it| (it - mean).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_text_book_has_it() {
        // Means 2 and 5, pooled variance 1, t with 4 degrees of freedom 2.7764: 2.7764 * sqrt(2/3).
        let (value, half) = difference(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).unwrap();
        assert_eq!(value, 3.0);
        assert!((half - 2.266_98).abs() < 1e-4, "{half}");
        // Two each: 4.3027 standard deviations of a run.
        let (_, half) = difference(&[0.0, 2f64.sqrt()], &[0.0, 2f64.sqrt()]).unwrap();
        assert!((half - 4.3027).abs() < 1e-3, "{half}");
    }

    #[test]
    fn too_few_runs_give_nothing() {
        assert_eq!(difference(&[1.0, 2.0], &[3.0]), None);
        assert_eq!(difference(&[], &[1.0, 2.0, 3.0, 4.0]), None);
        assert_eq!(difference(&[1.0, f64::NEG_INFINITY], &[3.0, 4.0]), None);
        assert!(difference(&[1.0, 2.0, 3.0], &[3.0]).is_some());
    }

    #[test]
    fn the_mean_of_runs_as_a_text_book_has_it() {
        // Deviation 1, t with 2 degrees of freedom 4.3027: 4.3027 / sqrt(3).
        let runs = [9.0, 10.0, 11.0];
        assert_eq!((mean(&runs), deviation(&runs)), (10.0, Some(1.0)));
        assert!((half_width(&runs).unwrap() - 2.4841).abs() < 1e-4);
        assert_eq!(half_width(&[5.0; 4]), Some(0.0));
        assert_eq!((deviation(&[1.0, 3.0]), half_width(&[1.0, 3.0])), (Some(2f64.sqrt()), None));
        assert_eq!((deviation(&[1.0]), half_width(&[])), (None, None));
        assert_eq!(half_width(&[1.0, f64::NAN, 2.0]), None);
    }
}
