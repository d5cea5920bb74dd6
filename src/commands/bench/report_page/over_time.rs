//! What happened when, in bins of time: few enough for a plot, whatever the run's length.

use std::collections::BTreeMap;

use crate::bench::record::{FailureClass, Outcome, RequestRecord};
use crate::report::plot::Point;

/// Bins at most: about as many as a plot has room to show.
const BINS: f64 = 90.0;

/// Equal bins from the run's start to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bins {
    /// Seconds.
    pub(super) width: f64,
    pub(super) count: usize,
}

impl Bins {
    /// Bins of a round width over all records.
    pub(super) fn over(records: &[RequestRecord]) -> Self {
        let end = records.iter().map(|record| record.ended_us).max().unwrap_or(0) as f64 / 1e6;
        let rough = (end / BINS).max(1e-3);
        let power = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let width = round.into_iter().find(|it| *it >= rough * 0.999).unwrap_or(power * 10.0);
        Self { width, count: ((end / width).ceil() as usize).max(1) }
    }

    fn place(&self, us: u64) -> usize {
        ((us as f64 / 1e6 / self.width) as usize).min(self.count - 1)
    }

    fn middle(&self, bin: usize) -> f64 {
        (bin as f64 + 0.5) * self.width
    }

    /// The width in words.
    pub(super) fn name(&self) -> String {
        match self.width {
            width if width < 1.0 => format!("{} ms", (width * 1e3).round()),
            width => format!("{width} s"),
        }
    }

    /// The median of each bin with a band from the 10th to the 99th percentile; nothing for empty bins.
    pub(super) fn quantiles(&self, samples: impl Iterator<Item = (u64, f64)>) -> Vec<Point> {
        let mut bins = vec![Vec::new(); self.count];
        for (us, value) in samples {
            bins[self.place(us)].push(value);
        }
        bins.iter_mut()
            .enumerate()
            .filter(|(_, values)| !values.is_empty())
            .map(|(bin, values)| {
                values.sort_by(f64::total_cmp);
                let at = |share: f64| values[((values.len() as f64 * share).ceil() as usize).max(1) - 1];
                Point::new(self.middle(bin), at(0.5)).between(at(0.1), at(0.99))
            })
            .collect()
    }

    /// Amounts per second in each bin.
    pub(super) fn rates(&self, amounts: impl Iterator<Item = (u64, f64)>, end_us: u64) -> Vec<Point> {
        let mut sums = vec![0.0; self.count];
        for (us, amount) in amounts {
            sums[self.place(us)] += amount;
        }
        let end = end_us as f64 / 1e6;
        let last = self.count - 1;
        let shown = |(bin, sum): (usize, f64)| {
            // The last bin is cut where the run ends.
            let width = if bin == last { end - bin as f64 * self.width } else { self.width };
            (width > self.width * 0.2).then(|| Point::new(self.middle(bin), sum / width))
        };
        sums.into_iter().enumerate().filter_map(shown).collect()
    }

    /// Requests in flight: the mean over each bin, with a band from fewest to most.
    pub(super) fn in_flight(&self, records: &[RequestRecord]) -> Vec<Point> {
        let mut steps: Vec<(u64, i64)> =
            records.iter().flat_map(|record| [(record.sent_us, 1), (record.ended_us, -1)]).collect();
        // Where one ends as another begins, they are not both in flight.
        steps.sort_unstable();
        let mut next = steps.into_iter().peekable();
        let mut now = 0i64;
        (0..self.count)
            .map(|bin| {
                let (from, to) = (self.width * bin as f64 * 1e6, self.width * (bin + 1) as f64 * 1e6);
                let (mut area, mut at, mut fewest, mut most) = (0.0, from, now, now);
                let mut step = |until: f64, now: i64, at: &mut f64| {
                    area += (until - *at) * now as f64;
                    *at = until;
                };
                while let Some((us, change)) = next.next_if(|(us, _)| (*us as f64) < to) {
                    step(us as f64, now, &mut at);
                    now += change;
                    // Between two steps at one moment nothing was.
                    if next.peek().is_none_or(|(next, _)| *next != us) {
                        (fewest, most) = (fewest.min(now), most.max(now));
                    }
                }
                step(to, now, &mut at);
                Point::new(self.middle(bin), area / (to - from)).between(fewest as f64, most as f64)
            })
            .collect()
    }
}

/// Failures up to each moment, by class: at most some hundred points a class.
pub(super) fn failures(records: &[RequestRecord]) -> BTreeMap<FailureClass, Vec<Point>> {
    let mut moments: BTreeMap<FailureClass, Vec<u64>> = BTreeMap::new();
    let mut end = 0;
    for record in records {
        end = end.max(record.ended_us);
        if let Outcome::Failed { class, .. } = &record.outcome {
            moments.entry(*class).or_default().push(record.ended_us);
        }
    }
    let seconds = |us: u64| us as f64 / 1e6;
    let curve = |mut moments: Vec<u64>| {
        moments.sort_unstable();
        let count = moments.len();
        let stride = count.div_ceil(300).max(1);
        let inner = (0..count)
            .filter(|place| (place + 1) % stride == 0 || place + 1 == count)
            .map(|place| Point::new(seconds(moments[place]), (place + 1) as f64));
        let ends = (Point::new(0.0, 0.0), Point::new(seconds(end), count as f64));
        std::iter::once(ends.0).chain(inner).chain([ends.1]).collect()
    };
    moments.into_iter().map(|(class, moments)| (class, curve(moments))).collect()
}
