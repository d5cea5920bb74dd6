//! How sure a run is of its own figures: a cluster bootstrap over requests.
//!
//! Tokens of one request are alike (they waited for the same batches), so whole requests are drawn with
//! replacement, each with all its samples. Drawing tokens independently would make intervals far too narrow.
//! Requests in flight at the same time share the server's state; where that matters, they are drawn in blocks of
//! neighbours.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::pool::{Figures, Pool};
use crate::bench::summary::{Distribution, Estimate};

/// Resamples of one latency. 2.5 % of them are 10: enough for an interval's end.
pub(crate) const RESAMPLES: usize = 400;

/// Share of resamples beyond each end of an interval.
const TAIL: f64 = 0.025;

/// Draws the requests of one pool, again and again.
#[derive(Debug)]
pub(crate) struct Draws<'a> {
    pool: &'a Pool,
    block: usize,
    times: Vec<u32>,
    weights: Vec<f64>,
}

impl<'a> Draws<'a> {
    /// Requests are drawn `block` neighbours at a time, in the order in which the pool was given them.
    pub(crate) fn new(pool: &'a Pool, block: usize) -> Self {
        Self { pool, block: block.max(1), times: vec![0; pool.requests()], weights: Vec::new() }
    }

    /// As many requests as there are, drawn with replacement: their figures.
    pub(crate) fn draw(&mut self, random: &mut ChaCha8Rng) -> Figures {
        let count = self.times.len();
        self.times.fill(0);
        let mut drawn = 0;
        while drawn < count {
            let start = random.random_range(0..count);
            // Blocks go round the end, so that every request is as likely as any other.
            for step in 0..self.block.min(count - drawn) {
                self.times[(start + step) % count] += 1;
            }
            drawn += self.block;
        }
        self.pool.drawn(&self.times, &mut self.weights)
    }
}

/// A pool's figures with their 95 % intervals.
pub(crate) fn distribution(pool: &Pool, seed: u64) -> Distribution {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draws = Draws::new(pool, 1);
    let resamples: Vec<Figures> = (0..RESAMPLES).map(|_| draws.draw(&mut random)).collect();
    let own = pool.figures();
    let estimate = |of: fn(&Figures) -> f64| {
        let value = of(&own);
        let (low, high) = middle(resamples.iter().map(of).collect()).unwrap_or((value, value));
        Estimate { value, low, high }
    };
    Distribution {
        count: pool.count().round() as u64,
        mean: estimate(|f| f.mean),
        median: estimate(|f| f.median),
        std: estimate(|f| f.std),
        p90: estimate(|f| f.p90),
        p95: estimate(|f| f.p95),
        p99: estimate(|f| f.p99),
        max: estimate(|f| f.max),
    }
}

/// Between which values the middle 95 % lie; None where none is finite.
pub(crate) fn middle(mut resampled: Vec<f64>) -> Option<(f64, f64)> {
    resampled.retain(|value| value.is_finite());
    resampled.sort_by(f64::total_cmp);
    let last = resampled.len().checked_sub(1)?;
    let at = |share: f64| resampled[(last as f64 * share).round() as usize];
    Some((at(TAIL), at(1.0 - TAIL)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pool::{BUCKET, EXACT, Sample};
    use super::*;

    #[test]
    fn the_middle_leaves_out_as_much_on_either_side() {
        assert_eq!(middle((0..=1000).rev().map(f64::from).collect()), Some((25.0, 975.0)));
        assert_eq!(middle(vec![f64::NAN, 3.0, f64::INFINITY]), Some((3.0, 3.0)));
        assert_eq!(middle(vec![f64::NAN]), None);
    }

    #[test]
    fn blocks_are_neighbours_and_every_request_is_as_likely() {
        let samples: Vec<_> =
            (0..10).map(|request| Sample { request, value: f64::from(request), weight: 1.0 }).collect();
        let pool = Pool::new(&samples).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut draws = Draws::new(&pool, 4);
        let mut drawn = [0_u32; 10];
        for _ in 0..1000 {
            draws.draw(&mut random);
            assert_eq!(draws.times.iter().sum::<u32>(), 10, "as many as there are: 4, 4 and 2");
            let alone = (0..10).filter(|&at| {
                draws.times[at] > 0 && draws.times[(at + 1) % 10] == 0 && draws.times[(at + 9) % 10] == 0
            });
            assert_eq!(alone.count(), 0, "none is drawn without a neighbour: {:?}", draws.times);
            drawn.iter_mut().zip(&draws.times).for_each(|(sum, times)| *sum += times);
        }
        assert!(drawn.iter().all(|times| (850..1150).contains(times)), "{drawn:?}");
    }

    /// Requests differ (each has its own level), tokens of one request are alike: an interval from tokens
    /// drawn one by one would hold the truth far too rarely.
    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let normal = |random: &mut ChaCha8Rng| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let held = (0..200)
            .filter(|round| {
                let samples: Vec<_> = (0..30)
                    .flat_map(|request| {
                        let level = 20.0 + 2.0 * normal(&mut random);
                        (0..5)
                            .map(|_| Sample {
                                request,
                                value: level + 0.1 * normal(&mut random),
                                weight: 1.0,
                            })
                            .collect::<Vec<_>>()
                    })
                    .collect();
                let mean = distribution(&Pool::new(&samples).unwrap(), *round).mean;
                (mean.low..=mean.high).contains(&20.0)
            })
            .count();
        assert!((178..=198).contains(&held), "95 % of 200 is 190: {held}");
    }

    #[test]
    fn buckets_move_intervals_by_less_than_they_are_wide() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let samples: Vec<_> = (0..EXACT as u32 + 20_000)
            .map(|k| Sample { request: k / 200, value: 10.0 + 30.0 * random.random::<f64>(), weight: 1.0 })
            .collect();
        let bucketed = Pool::new(&samples).unwrap();
        let (own, d) = (bucketed.figures(), distribution(&bucketed, 1));
        assert_eq!(d.p99.value, own.p99);
        for estimate in [d.mean, d.median, d.p99] {
            let slack = estimate.value * BUCKET;
            assert!(
                estimate.low <= estimate.value + slack && estimate.value <= estimate.high + slack,
                "{estimate:?}"
            );
            assert!(estimate.high - estimate.low < 0.05 * estimate.value, "{estimate:?}");
        }
    }

    proptest! {
        #[test]
        fn intervals_are_in_order_and_within_the_samples(values in prop::collection::vec(0.001f64..1e6, 1..200)) {
            let samples: Vec<_> =
                (0..).zip(&values).map(|(request, v)| Sample { request, value: *v, weight: 1.0 }).collect();
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            let d = distribution(&Pool::new(&samples).unwrap(), 1);
            prop_assert!([d.mean, d.median, d.p90, d.p99, d.max].iter().all(|e| e.low <= e.high && e.low >= min - 1e-6));
            prop_assert!(values.len() < 30 || (d.median.low <= d.median.value && d.median.value <= d.median.high));
        }
    }
}
