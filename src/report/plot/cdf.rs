//! How samples are distributed: which share of them is at most x.

use super::lines::{Drawn, Lines, Point, Series};
use super::scale::Axis;
use super::svg::Svg;

/// More steps than this are finer than a pixel.
const STEPS: usize = 600;

/// A named set of samples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// Its name in the legend.
    pub name: String,
    /// The samples in the x axis's unit, in any order.
    pub values: Vec<f64>,
}

/// Empirical cumulative distributions of several sets of samples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cdf {
    /// What the plot shows: its `<title>`.
    pub title: String,
    /// What is to be seen, for those who cannot: its `<desc>`.
    pub description: String,
    /// The axis of the samples.
    pub x: Axis,
    /// What is drawn.
    pub series: Vec<Samples>,
}

impl Cdf {
    /// The plot as SVG. The share axis always runs from 0 to 1.
    pub fn render(&self) -> Svg {
        self.lines().render()
    }

    fn lines(&self) -> Lines {
        Lines {
            title: self.title.clone(),
            description: self.description.clone(),
            x: self.x.clone(),
            y: Axis { label: "share of samples at or below".to_owned(), ..Axis::default() }
                .covering(0.0, 1.0),
            series: self.series.iter().map(|samples| self.steps(samples)).collect(),
            ..Lines::default()
        }
    }

    fn steps(&self, samples: &Samples) -> Series {
        let (mut shown, hidden): (Vec<f64>, Vec<f64>) =
            samples.values.iter().partition(|value| self.x.scale.shows(**value));
        shown.sort_by(f64::total_cmp);
        let count = shown.len();
        let share = |rank: usize| rank as f64 / count as f64;
        let stride = count.div_ceil(STEPS).max(1);
        let ranks = (1..=count).filter(|rank| rank % stride == 0 || *rank == count);
        let first = shown.first().map(|value| Point::new(*value, 0.0));
        // Samples nobody can place are passed on, so that the plot counts them.
        let points = first
            .into_iter()
            .chain(ranks.map(|rank| Point::new(shown[rank - 1], share(rank))))
            .chain(hidden.iter().map(|value| Point::new(*value, 0.0)))
            .collect();
        Series { name: samples.name.clone(), points, drawn: Drawn::Steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_rises_from_zero_to_one() {
        let samples = Samples { name: "a".into(), values: vec![3.0, 1.0, f64::NAN, 2.0, 2.0] };
        let cdf = Cdf { series: vec![samples], ..Cdf::default() };
        let points = &cdf.lines().series[0].points;
        let pairs: Vec<_> = points[..5].iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(pairs, [(1.0, 0.0), (1.0, 0.25), (2.0, 0.5), (2.0, 0.75), (3.0, 1.0)]);
        assert_eq!(points.len(), 6, "the sample that is no number is counted, not drawn");
        assert!(cdf.render().as_str().contains("1 value cannot be shown"));
    }

    #[test]
    fn a_million_samples_make_a_small_plot() {
        let values = (0..1_000_000).map(f64::from).collect();
        let cdf = Cdf { series: vec![Samples { name: "many".into(), values }], ..Cdf::default() };
        assert!(cdf.render().as_str().len() < 60_000);
    }
}
