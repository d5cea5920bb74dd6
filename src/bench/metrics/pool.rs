//! Samples of one latency, by the request they come from, and their figures: all of them, or those of a
//! resample ([`bootstrap`](super::bootstrap)).

/// Up to this many samples the bootstrap is exact; above, each request's samples are put into buckets.
pub(super) const EXACT: usize = 20_000;

/// Buckets are this wide, relatively: 0.25 %. Only interval ends feel it, never the figure itself.
pub(super) const BUCKET: f64 = 0.0025;

/// One sample. A weight above 1 stands for as many equal samples; it can be a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Which request it is of: samples of one request are neighbours.
    pub request: u32,
    /// Milliseconds.
    pub value: f64,
    /// Above 0.
    pub weight: f64,
}

/// The samples of one latency.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// By value, ascending.
    values: Vec<(f64, f64)>,
    clusters: Vec<Cluster>,
    /// What each cell of the bootstrap stands for, ascending.
    cells: Vec<f64>,
}

/// What one request has in which cell, and its moments.
#[derive(Debug, Clone, Default)]
struct Cluster {
    cells: Vec<(u32, f64)>,
    weight: f64,
    sum: f64,
    squares: f64,
    max: f64,
}

/// One resample's figures, or the samples' own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    /// Arithmetic mean.
    pub mean: f64,
    /// 50th percentile.
    pub median: f64,
    /// Standard deviation, of the samples as they are (numpy's default).
    pub std: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Pool {
    /// None without a sample.
    pub(crate) fn new(samples: &[Sample]) -> Option<Self> {
        if samples.is_empty() {
            return None;
        }
        let mut order: Vec<usize> = (0..samples.len()).collect();
        order.sort_by(|a, b| samples[*a].value.total_cmp(&samples[*b].value));
        let exact = samples.len() <= EXACT;
        // Cell of each sample, in the order of values.
        let mut cell_of = vec![0_u32; samples.len()];
        let mut cells: Vec<f64> = Vec::new();
        let mut held: Vec<(f64, f64)> = Vec::new();
        let mut bucket = f64::NEG_INFINITY;
        for &at in &order {
            let Sample { value, weight, .. } = samples[at];
            if exact || cells.is_empty() || value > bucket * (1.0 + BUCKET) {
                bucket = value;
                cells.push(value);
                held.push((0.0, 0.0));
            }
            let last = cells.len() - 1;
            held[last].0 += weight;
            held[last].1 += weight * value;
            cell_of[at] = last as u32;
        }
        // A bucket stands for the mean of what is in it.
        for (cell, (weight, sum)) in cells.iter_mut().zip(&held) {
            *cell = sum / weight;
        }
        let mut clusters: Vec<(u32, Cluster)> = Vec::new();
        for (sample, &cell) in samples.iter().zip(&cell_of) {
            if clusters.last().is_none_or(|(request, _)| *request != sample.request) {
                clusters.push((sample.request, Cluster { max: f64::NEG_INFINITY, ..Default::default() }));
            }
            let Some((_, cluster)) = clusters.last_mut() else { continue };
            cluster.add(sample, cell);
        }
        clusters.iter_mut().for_each(|(_, cluster)| cluster.merge());
        Some(Self {
            values: order.iter().map(|&at| (samples[at].value, samples[at].weight)).collect(),
            clusters: clusters.into_iter().map(|(_, cluster)| cluster).collect(),
            cells,
        })
    }

    /// Samples, weights counted.
    pub(crate) fn count(&self) -> f64 {
        self.values.iter().map(|(_, weight)| weight).sum()
    }

    /// Requests they come from.
    pub(crate) fn requests(&self) -> usize {
        self.clusters.len()
    }

    /// The samples' own figures, exact.
    pub(crate) fn figures(&self) -> Figures {
        let all = self.clusters.iter().map(|cluster| (cluster, 1.0));
        let own = figures(all, self.values.iter().copied());
        // Around the mean: the difference of squares that resamples use loses digits where samples are alike.
        let squares: f64 =
            self.values.iter().map(|(value, weight)| weight * (value - own.mean) * (value - own.mean)).sum();
        Figures { std: (squares / self.count()).sqrt(), ..own }
    }

    /// The figures where the nth request counts `times[n]` times. `weights` is room for the cells' weights.
    pub(super) fn drawn(&self, times: &[u32], weights: &mut Vec<f64>) -> Figures {
        weights.clear();
        weights.resize(self.cells.len(), 0.0);
        let weights = &mut weights[..];
        for (cluster, times) in self.clusters.iter().zip(times) {
            if *times > 0 {
                for (cell, weight) in &cluster.cells {
                    weights[*cell as usize] += weight * f64::from(*times);
                }
            }
        }
        let chosen = self.clusters.iter().zip(times.iter().map(|times| f64::from(*times)));
        figures(chosen, self.cells.iter().copied().zip(weights.iter().copied()))
    }
}

impl Cluster {
    fn add(&mut self, sample: &Sample, cell: u32) {
        let Sample { value, weight, .. } = *sample;
        self.weight += weight;
        self.sum += weight * value;
        self.squares += weight * value * value;
        self.max = self.max.max(value);
        self.cells.push((cell, weight));
    }

    /// One entry a cell: most tokens of a request share few buckets, and a resample adds up entries.
    fn merge(&mut self) {
        self.cells.sort_unstable_by_key(|(cell, _)| *cell);
        self.cells.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
        self.cells.shrink_to_fit();
    }
}

/// Percentiles as numpy's default has them: linear between the two nearest of the samples in order, at
/// position `p (n - 1)`. A weight of 3 is three equal samples.
fn figures<'a>(
    clusters: impl Iterator<Item = (&'a Cluster, f64)>,
    ascending: impl Iterator<Item = (f64, f64)>,
) -> Figures {
    let (mut weight, mut sum, mut squares, mut max) = (0.0, 0.0, 0.0, f64::NEG_INFINITY);
    for (cluster, times) in clusters {
        if times > 0.0 {
            weight += times * cluster.weight;
            sum += times * cluster.sum;
            squares += times * cluster.squares;
            max = max.max(cluster.max);
        }
    }
    let mean = sum / weight;
    let shares = [0.5, 0.9, 0.95, 0.99];
    let places = shares.map(|share| share * (weight - 1.0).max(0.0));
    let found = at_places(places, ascending);
    let percentile = |index: usize| {
        let [below, above] = found[index];
        below + (above - below) * places[index].fract()
    };
    Figures {
        mean,
        median: percentile(0),
        std: (squares / weight - mean * mean).max(0.0).sqrt(),
        p90: percentile(1),
        p95: percentile(2),
        p99: percentile(3),
        max,
    }
}

/// The samples below and above each place, out of values with their weights, ascending. The sample at expanded
/// place k is the first with more than k samples up to and with it; beyond the end it is the last.
fn at_places(places: [f64; 4], ascending: impl Iterator<Item = (f64, f64)>) -> [[f64; 2]; 4] {
    // The margin keeps sums of fractions from falling short.
    const MARGIN: f64 = 1e-9;
    let mut wanted: [(f64, usize); 8] = std::array::from_fn(|at| {
        let place = places[at / 2];
        (if at % 2 == 0 { place.floor() } else { place.ceil() } + MARGIN, at)
    });
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut found = [[f64::NAN; 2]; 4];
    let (mut passed, mut last, mut next) = (0.0, f64::NAN, 0);
    // This is where a bootstrap spends its time: one comparison a value.
    for (value, weight) in ascending {
        if weight > 0.0 {
            (passed, last) = (passed + weight, value);
            while next < wanted.len() && passed > wanted[next].0 {
                let at = wanted[next].1;
                found[at / 2][at % 2] = value;
                next += 1;
            }
        }
    }
    for (_, at) in &wanted[next..] {
        found[at / 2][at % 2] = last;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each_its_own(values: &[f64]) -> Pool {
        let samples: Vec<_> =
            (0..).zip(values).map(|(request, v)| Sample { request, value: *v, weight: 1.0 }).collect();
        Pool::new(&samples).unwrap()
    }

    #[test]
    fn figures_are_numpys() {
        // numpy.percentile([1, 2, 3, 4, 10], [50, 90, 95, 99]), numpy.std: by hand.
        let f = each_its_own(&[4.0, 1.0, 10.0, 2.0, 3.0]).figures();
        assert_eq!((f.mean, f.median, f.max), (4.0, 3.0, 10.0));
        assert!((f.p90 - 7.6).abs() < 1e-12 && (f.p95 - 8.8).abs() < 1e-12 && (f.p99 - 9.76).abs() < 1e-12);
        assert!((f.std - 10.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_weight_is_as_many_samples() {
        let one = Pool::new(&[
            Sample { request: 0, value: 5.0, weight: 3.0 },
            Sample { request: 1, value: 9.0, weight: 2.0 },
        ]);
        let many = each_its_own(&[5.0, 5.0, 5.0, 9.0, 9.0]).figures();
        assert_eq!(one.unwrap().figures(), many);
        assert!(Pool::new(&[]).is_none());
    }

    #[test]
    fn samples_that_are_alike_have_no_spread() {
        assert!(each_its_own(&[60_000.1; 7]).figures().std < 1e-9);
        let close = each_its_own(&[60_000.0, 60_000.002]).figures().std;
        assert!((close - 0.001).abs() < 1e-9, "{close}");
    }

    #[test]
    fn fractions_of_a_sample_add_up() {
        let samples: Vec<_> =
            (0..30).map(|k| Sample { request: k / 10, value: f64::from(k), weight: 0.1 }).collect();
        let pool = Pool::new(&samples).unwrap();
        assert!((pool.count() - 3.0).abs() < 1e-9);
        let f = pool.figures();
        assert!((f.mean - 14.5).abs() < 1e-9 && (f.median - 10.0).abs() < 1.01, "{f:?}");
    }

    proptest! {
        #[test]
        fn percentiles_are_in_order_and_within_the_samples(values in prop::collection::vec(0.001f64..1e6, 1..200)) {
            let f = each_its_own(&values).figures();
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert!(min <= f.median && f.median <= f.p90 && f.p90 <= f.p95 && f.p95 <= f.p99 && f.p99 <= f.max);
            prop_assert!(min - 1e-6 <= f.mean && f.mean <= f.max * (1.0 + 1e-12));
        }
    }
}
