//! How much a run's rates vary: batch means over windows of time (Law, Simulation Modeling and Analysis).

use super::MeasuredRun;
use crate::bench::metrics::goodput::is_good;
use crate::bench::record::RequestRecord;

/// Windows of a run. Between 10 and 30 is what the textbooks advise.
const WINDOWS: usize = 20;

/// Fewer requests say nothing about how a rate varies, however many tokens they have.
const REQUESTS: usize = 20;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountedRate {
    OutputTokens,
    TotalTokens,
    Requests,
    GoodRequests,
}

/// How sure a mean rate is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Certainty {
    /// Variance of the mean's logarithm.
    pub(super) variance: f64,
    /// Degrees of freedom it rests on.
    pub(super) freedom: f64,
}

/// How sure the rate of one run is, from how it varies over the steady window, or over the whole run where
/// there is none (start and end then count as variation: honest, and wide). `None` where next to nothing
/// happened.
pub(super) fn certainty(rate: CountedRate, run: &MeasuredRun) -> Option<Certainty> {
    let span = run.summary.steady.unwrap_or(run.summary.throughput);
    let mut windows = [0.0; WINDOWS];
    let mut requests = 0;
    for record in run.records.iter().filter(|record| record.is_done()) {
        let mut counts = false;
        for (at_us, amount) in counted(rate, run, record) {
            let place = (at_us as f64 / 1e6 - span.from_s) / span.duration_s * WINDOWS as f64;
            if (0.0..=WINDOWS as f64).contains(&place) {
                windows[(place as usize).min(WINDOWS - 1)] += amount;
                counts = true;
            }
        }
        requests += usize::from(counts);
    }
    (requests >= REQUESTS).then(|| of_windows(&windows)).flatten()
}

/// When one request counts, and for how much.
fn counted(rate: CountedRate, run: &MeasuredRun, record: &RequestRecord) -> Vec<(u64, f64)> {
    let answer = &record.answer;
    let output = || {
        answer
            .chunk_us
            .iter()
            .zip(&answer.chunk_tokens)
            .map(|(us, tokens)| (record.sent_us + us, f64::from(*tokens)))
    };
    match rate {
        CountedRate::Requests => vec![(record.ended_us, 1.0)],
        CountedRate::GoodRequests if is_good(record, &run.plan.slo) => vec![(record.ended_us, 1.0)],
        CountedRate::GoodRequests => Vec::new(),
        CountedRate::OutputTokens => output().collect(),
        CountedRate::TotalTokens => {
            // A prompt has been worked through when the first token comes.
            let first = record.sent_us + record.ttft_us().unwrap_or(0);
            output().chain([(first, f64::from(answer.input_tokens.unwrap_or(0)))]).collect()
        }
    }
}

fn of_windows(windows: &[f64; WINDOWS]) -> Option<Certainty> {
    let count = WINDOWS as f64;
    let mean = windows.iter().sum::<f64>() / count;
    if mean <= 0.0 {
        return None;
    }
    let squares: f64 = windows.iter().map(|it| (it - mean).powi(2)).sum();
    let neighbours: f64 = windows.windows(2).map(|it| (it[0] - mean) * (it[1] - mean)).sum();
    // Windows that resemble their neighbours are worth fewer: the factor is that of a first-order
    // autoregression. Below zero (waves) it is left alone, which is on the safe side.
    let alike = if squares > 0.0 { (neighbours / squares).clamp(0.0, 0.8) } else { 0.0 };
    let variance = squares / (count - 1.0) / count * (1.0 + alike) / (1.0 - alike);
    Some(Certainty { variance: variance / (mean * mean), freedom: count - 1.0 })
}

/// The certainty of a ratio of two sides, each the geometric mean of its runs: half the width of the 95 %
/// interval on the logarithm. Degrees of freedom by Welch and Satterthwaite.
pub(super) fn half_width(a: &[Certainty], b: &[Certainty]) -> f64 {
    let parts = [a, b].into_iter().flat_map(|side| {
        let runs = side.len() as f64;
        side.iter().map(move |it| (it.variance / (runs * runs), it.freedom))
    });
    let (mut variance, mut denominator) = (0.0, 0.0);
    for (part, freedom) in parts {
        variance += part;
        denominator += part * part / freedom;
    }
    match variance > 0.0 {
        true => super::repeats::t_quantile(variance * variance / denominator) * variance.sqrt(),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resemblance_widens_and_waves_do_not_narrow() {
        let base = |n: usize| 100.0 + [5.0, -5.0][n % 2];
        let waves = of_windows(&std::array::from_fn(base)).unwrap().variance;
        let drift = of_windows(&std::array::from_fn(|n| base(n / 10))).unwrap().variance;
        assert!(drift > 4.0 * waves, "{drift} {waves}");
        let independent = 25.0 / 19.0 / 1e4;
        assert!((waves / independent - 1.0).abs() < 1e-9, "{waves} {independent}");
        assert_eq!(of_windows(&[0.0; WINDOWS]), None);
    }

    #[test]
    fn two_equal_sides_are_wider_than_one_by_the_root_of_two() {
        let it = Certainty { variance: 1e-4, freedom: 19.0 };
        let none = Certainty { variance: 0.0, freedom: 19.0 };
        // t at 19 and 38 degrees of freedom: 2.0930 and 2.0244.
        assert!((half_width(&[it], &[none]) - 0.020930).abs() < 1e-5);
        assert!((half_width(&[it], &[it]) - 0.020244 * 2f64.sqrt()).abs() < 1e-5);
        assert_eq!(half_width(&[none], &[none]), 0.0);
    }
}
