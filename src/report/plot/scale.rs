//! Axes: what they are called, how values map to them, where their ticks are.

use super::text;

/// Beyond this a value is not a measurement; differences of two such values would overflow.
const LARGEST: f64 = 1e300;

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Equal differences, equal distances.
    #[default]
    Linear,
    /// Equal ratios, equal distances; ticks at powers of two. Values above zero only.
    Log2,
    /// Equal ratios, equal distances; ticks at powers of ten. Values above zero only.
    Log10,
}

impl Scale {
    pub(super) fn shows(self, value: f64) -> bool {
        value.is_finite() && value.abs() <= LARGEST && (self == Scale::Linear || value >= 1.0 / LARGEST)
    }

    fn forward(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log2 => value.log2(),
            Scale::Log10 => value.log10(),
        }
    }
}

/// One axis of a plot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// What it shows, with its unit in words or brackets: `time (µs)`.
    pub label: String,
    /// How values are laid out.
    pub scale: Scale,
    /// What the axis covers at least, in the values' unit; the data may widen it.
    pub covers: Option<(f64, f64)>,
}

impl Axis {
    /// An axis called `label` that covers its data.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, covers: None }
    }

    /// The same axis, covering `low` to `high` at least.
    pub fn covering(self, low: f64, high: f64) -> Self {
        Self { covers: Some((low, high)), ..self }
    }
}

/// A tick: its place from 0 to 1, and its label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) place: f64,
    pub(super) label: String,
}

/// An axis with its range decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranged {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Ranged {
    /// The range over `low..=high`, both shown by the axis's scale, with `margin` of it on both sides.
    pub(super) fn over(axis: &Axis, (mut low, mut high): (f64, f64), margin: f64) -> Self {
        let scale = axis.scale;
        let wanted = axis.covers.filter(|(a, b)| scale.shows(*a) && scale.shows(*b));
        if let Some((a, b)) = wanted {
            (low, high) = (low.min(a).min(b), high.max(a).max(b));
        }
        let (mut a, mut b) = (scale.forward(low), scale.forward(high));
        let size = a.abs().max(b.abs());
        if b - a <= size * 1e-9 || b - a < 1e-290 {
            // One value only: it stands in the middle of something.
            let around = match scale {
                Scale::Linear if size > 1e-280 => size * 0.1,
                Scale::Linear | Scale::Log2 => 1.0,
                Scale::Log10 => 0.5,
            };
            (a, b) = (a - around, b + around);
        } else {
            let pad = (b - a) * margin;
            // An edge that was asked for, or zero below values that are all positive, is not moved.
            let keep = |edge: f64| wanted.is_some_and(|(x, y)| edge == x || edge == y);
            if !keep(low) {
                a = if scale == Scale::Linear && low >= 0.0 { (a - pad).max(0.0) } else { a - pad };
            }
            if !keep(high) {
                b += pad;
            }
        }
        Self { scale, low: a, high: b }
    }

    /// Where `value` lies, 0 to 1; a value beyond the range lies on its edge.
    pub(super) fn place(&self, value: f64) -> f64 {
        ((self.scale.forward(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// At most about `limit` ticks, in order.
    pub(super) fn ticks(&self, limit: usize) -> Vec<Tick> {
        let values = match self.scale {
            Scale::Linear => steps(self.low, self.high, limit),
            Scale::Log2 => self.powers(2.0, &[1.0], limit),
            Scale::Log10 => {
                let fine = self.powers(10.0, &[1.0, 2.0, 5.0], limit);
                if (self.high - self.low) * 3.0 <= limit as f64 {
                    fine
                } else {
                    self.powers(10.0, &[1.0], limit)
                }
            }
        };
        let values = if values.len() < 2 && self.scale != Scale::Linear {
            // Less than one power: even steps say more than a single tick.
            let base: f64 = if self.scale == Scale::Log2 { 2.0 } else { 10.0 };
            steps(base.powf(self.low), base.powf(self.high), limit)
        } else {
            values
        };
        let mut ticks: Vec<Tick> = values
            .into_iter()
            .map(|value| Tick { place: self.place(value), label: text::number(value, 5) })
            .collect();
        ticks.dedup_by(|a, b| a.label == b.label);
        ticks
    }

    fn powers(&self, base: f64, multiples: &[f64], limit: usize) -> Vec<f64> {
        let (first, last) = (self.low.floor() as i64, self.high.ceil() as i64);
        let stride = (((last - first) as f64 / limit.max(1) as f64).ceil() as i64).max(1);
        let slack = (self.high - self.low) * 1e-9;
        (first..=last)
            .filter(|power| power.rem_euclid(stride) == 0)
            .flat_map(|power| multiples.iter().map(move |m| m * base.powi(power as i32)))
            .filter(|value| {
                let at = self.scale.forward(*value);
                value.is_finite() && at >= self.low - slack && at <= self.high + slack
            })
            .collect()
    }
}

/// Multiples of 1, 2 or 5 times a power of ten between `low` and `high`.
fn steps(low: f64, high: f64, limit: usize) -> Vec<f64> {
    let rough = (high - low) / limit.max(1) as f64;
    if rough <= 0.0 || !rough.is_finite() {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough * 0.999);
    let Some(step) = step.filter(|s| s.is_normal()) else { return Vec::new() };
    let first = (low / step - 1e-9).ceil();
    // A step may be finer than the values are exact, so the count has the last word.
    (0..=limit.max(1) + 1)
        // Adding zero makes an unsigned zero of -0.
        .map(|n| (first + n as f64) * step + 0.0)
        .take_while(|value| *value <= high + step * 1e-9)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64, limit: usize) -> Vec<String> {
        let ranged = Ranged::over(&Axis::new("", scale), (low, high), 0.0);
        ranged.ticks(limit).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(Scale::Linear, 0.0, 1.0, 5), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(Scale::Log2, 1.0, 16.0, 20), ["1", "2", "4", "8", "16"]);
        assert_eq!(labels(Scale::Log2, 1.0, 4096.0, 7), ["1", "4", "16", "64", "256", "1024", "4096"]);
        let decades = ["1", "10", "100", "1000", "10000", "100k", "1M"];
        assert_eq!(labels(Scale::Log10, 1.0, 1e6, 8), decades);
        assert_eq!(labels(Scale::Log2, 1.05, 1.4, 4), ["1.1", "1.2", "1.3", "1.4"]);
    }

    #[test]
    fn one_value_stands_in_the_middle() {
        for (scale, value) in
            [(Scale::Linear, 0.0), (Scale::Linear, -7e20), (Scale::Log2, 8.0), (Scale::Log10, 1e-9)]
        {
            let ranged = Ranged::over(&Axis::new("", scale), (value, value), 0.1);
            assert!((ranged.place(value) - 0.5).abs() < 1e-9);
            assert!(!ranged.ticks(5).is_empty());
        }
    }
}
