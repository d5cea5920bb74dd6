//! Intervals from how runs vary.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Runs on both sides together from which on their own variation is used: below, a t-interval has one degree
/// of freedom and reaches 13 to 16 standard deviations.
pub(super) const RUNS: usize = 4;

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
    let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len() as f64;
    let squares = |side: &[f64]| side.iter().map(|it| (it - mean(side)).powi(2)).sum::<f64>();
    let freedom = (a.len() + b.len() - 2) as f64;
    let variance = (squares(a) + squares(b)) / freedom;
    let error = (variance * (1.0 / a.len() as f64 + 1.0 / b.len() as f64)).sqrt();
    Some((mean(b) - mean(a), t_quantile(freedom) * error)).filter(|it| it.0.is_finite() && it.1.is_finite())
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
}
