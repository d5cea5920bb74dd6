//! Shares of requests: failed, good.

use crate::bench::record::{Outcome, RequestRecord};

/// The normal distribution's 97.5 % quantile.
const Z: f64 = 1.959_964;

/// How many of how many, and how many independent requests that is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share {
    pub(super) count: f64,
    pub(super) of: f64,
    pub(super) worth: f64,
}

impl Share {
    /// Of the requests of `records` that were not interrupted, those for which `is` holds.
    ///
    /// Requests in flight together fail together. Blocks of so many neighbours that vary more than they would
    /// by chance lower what the requests are worth, by how much more.
    pub(super) fn new(
        records: &[RequestRecord],
        in_flight: f64,
        is: impl Fn(&RequestRecord) -> bool,
    ) -> Self {
        let mut sent: Vec<&RequestRecord> =
            records.iter().filter(|record| record.outcome != Outcome::Interrupted).collect();
        sent.sort_by_key(|record| (record.sent_us, record.conversation, record.turn));
        let hits: Vec<f64> = sent.iter().map(|record| f64::from(u8::from(is(record)))).collect();
        let (count, of) = (hits.iter().sum::<f64>(), hits.len() as f64);
        let block = (in_flight.round() as usize).clamp(1, (hits.len() / 25).max(1));
        let share = if of > 0.0 { count / of } else { 0.0 };
        let blocks: Vec<f64> =
            hits.chunks_exact(block).map(|chunk| chunk.iter().sum::<f64>() / block as f64).collect();
        let by_chance = share * (1.0 - share) / block as f64;
        let seen = blocks.iter().map(|it| (it - share).powi(2)).sum::<f64>() / (blocks.len() as f64 - 1.0);
        let more = if by_chance > 0.0 && seen.is_finite() { (seen / by_chance).max(1.0) } else { 1.0 };
        Self { count, of, worth: of / more }
    }

    /// Several runs' together.
    pub(super) fn of_all(shares: impl IntoIterator<Item = Share>) -> Self {
        shares.into_iter().fold(Share { count: 0.0, of: 0.0, worth: 0.0 }, |sum, it| Share {
            count: sum.count + it.count,
            of: sum.of + it.of,
            worth: sum.worth + it.worth,
        })
    }

    pub(super) fn value(self) -> Option<f64> {
        (self.of > 0.0).then(|| self.count / self.of)
    }

    /// Wilson's interval.
    fn interval(self) -> Option<(f64, f64)> {
        let share = self.value()?;
        let z2 = Z * Z / self.worth;
        let middle = (share + z2 / 2.0) / (1.0 + z2);
        let half = Z / (1.0 + z2) * (share * (1.0 - share) / self.worth + z2 / self.worth / 4.0).sqrt();
        Some((middle - half, middle + half))
    }
}

/// B-A with Newcombe's interval.
pub(super) fn difference(a: Share, b: Share) -> Option<(f64, (f64, f64))> {
    let (at_a, at_b) = (a.value()?, b.value()?);
    let ((low_a, high_a), (low_b, high_b)) = (a.interval()?, b.interval()?);
    let value = at_b - at_a;
    let down = (at_b - low_b).hypot(high_a - at_a);
    let up = (high_b - at_b).hypot(at_a - low_a);
    Some((value, (value - down, value + up)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_newcombe_has_it() {
        let share = |count: f64, of: f64| Share { count, of, worth: of };
        // Newcombe 1998, table II, method 10: 56/70 - 48/80 gives 0.0524 to 0.3339; 10/10 - 0/10 0.6075 to 1.
        let (value, (low, high)) = difference(share(48.0, 80.0), share(56.0, 70.0)).unwrap();
        assert!((value - 0.2).abs() < 1e-12);
        assert!((low - 0.0524).abs() < 1e-4 && (high - 0.3339).abs() < 1e-4, "{low} {high}");
        let (_, (low, high)) = difference(share(0.0, 10.0), share(10.0, 10.0)).unwrap();
        assert!((low - 0.6075).abs() < 1e-4 && (high - 1.0).abs() < 1e-9, "{low} {high}");
        assert_eq!(difference(share(0.0, 0.0), share(1.0, 2.0)), None);
    }
}
