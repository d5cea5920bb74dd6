//! From where to where values reach.

/// The smallest and the largest of the values seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bounds(Option<(f64, f64)>);

impl Bounds {
    pub(super) fn see(&mut self, value: f64) {
        self.0 = Some(match self.0 {
            None => (value, value),
            Some((low, high)) => (low.min(value), high.max(value)),
        });
    }

    pub(super) fn get(self) -> Option<(f64, f64)> {
        self.0
    }
}

impl FromIterator<f64> for Bounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut bounds = Self::default();
        values.into_iter().for_each(|value| bounds.see(value));
        bounds
    }
}
