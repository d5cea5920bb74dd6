//! Where a label covers the least of what is drawn.

use super::canvas::TEXT;
use super::text;

/// A label's box: its left edge, its right edge and its middle height, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) height: f64,
}

impl Spot {
    /// The box of `words` from `left` on.
    pub(super) fn from(left: f64, words: &str, height: f64) -> Self {
        Self { left, right: left + text::width(words, TEXT) * 1.08, height }
    }

    /// The box of `words` up to `right`.
    pub(super) fn until(right: f64, words: &str, height: f64) -> Self {
        Self { left: right - text::width(words, TEXT) * 1.08, right, height }
    }

    /// Whether any of `line` runs through the box.
    pub(super) fn covers(&self, line: &[(f64, f64)]) -> bool {
        self.hits(line) > 0
    }

    /// How much of `line` runs through the box: points a few pixels apart.
    fn hits(&self, line: &[(f64, f64)]) -> usize {
        let half = TEXT * 0.75;
        line.windows(2)
            .filter(|pair| pair[0].0.max(pair[1].0) >= self.left && pair[0].0.min(pair[1].0) <= self.right)
            .flat_map(|pair| {
                let (a, b) = (pair[0], pair[1]);
                let count = ((b.0 - a.0).hypot(b.1 - a.1) / 3.0).clamp(1.0, 400.0) as u32;
                (0..=count).map(move |n| {
                    let part = f64::from(n) / f64::from(count);
                    (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part)
                })
            })
            .filter(|(x, y)| (self.left..=self.right).contains(x) && (y - self.height).abs() < half)
            .count()
    }
}

/// The first of `spots` that covers least of `lines`.
pub(super) fn clearest(spots: &[Spot], lines: &[Vec<(f64, f64)>]) -> Option<Spot> {
    spots.iter().copied().min_by_key(|spot| lines.iter().map(|line| spot.hits(line)).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_keeps_off_the_lines() {
        let rising = vec![(0.0, 100.0), (100.0, 0.0)];
        let spots = [Spot::until(100.0, "label", 10.0), Spot::from(0.0, "label", 10.0)];
        assert_eq!(clearest(&spots, &[rising]), Some(spots[1]));
        assert_eq!(clearest(&spots, &[]), Some(spots[0]));
    }
}
