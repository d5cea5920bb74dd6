//! What each of several rows was made of along an axis: shares, stacked, one row above the other.

use super::canvas::{Anchor, Canvas, TEXT, WIDTH};
use super::frame::{Legend, ROW, roomy_ticks, x_axis};
use super::palette::Paint;
use super::scale::{Axis, Ranged, Scale};
use super::svg::Svg;
use super::text;

const ROW_HEIGHT: f64 = 34.0;
/// The height of a row that is one kind all through.
const FULL: f64 = 24.0;

/// Something that a row can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kind {
    /// Its name in the legend.
    pub name: String,
    /// Its colour, by the number of a series that has the same.
    pub colour: usize,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareRow {
    /// What the row is about.
    pub label: String,
    /// For each of equal parts of the axis, from its beginning, the share of each kind, 0 to 1: they are stacked in the
    /// kinds' order, and what is left of 1 stays empty.
    pub parts: Vec<Vec<f64>>,
    /// A figure for all of it, at the end of the row; may be empty.
    pub figure: String,
}

/// Shares along an axis, a row each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shares {
    /// What the plot shows: its `<title>`.
    pub title: String,
    /// What is to be seen, for those who cannot: its `<desc>`.
    pub description: String,
    /// What the axis across shows, with its unit; it begins at 0.
    pub axis: String,
    /// Where the last part of every row ends.
    pub end: f64,
    /// What the labels are, above them: `node`.
    pub label_heading: String,
    /// What the figures are, above them.
    pub figure_heading: String,
    /// What rows are made of.
    pub kinds: Vec<Kind>,
    /// The rows from top to bottom.
    pub rows: Vec<ShareRow>,
}

impl Shares {
    /// The plot as SVG.
    pub fn render(&self) -> Svg {
        let has_end = Scale::Linear.shows(self.end) && self.end > 0.0;
        if !has_end || self.rows.iter().all(|row| row.parts.is_empty()) {
            return Canvas::no_data(&self.title, &self.description);
        }
        let axis = Axis::new(self.axis.clone(), Scale::Linear).covering(0.0, self.end);
        let ranged = Ranged::over(&axis, (0.0, self.end), 0.0);
        let widest = |words: &mut dyn Iterator<Item = &str>, most: f64| {
            words.map(|it| text::width(it, TEXT) * 1.05).fold(0.0, f64::max).min(WIDTH * most)
        };
        let labels = self.rows.iter().map(|row| row.label.as_str());
        let left = widest(&mut labels.chain([self.label_heading.as_str()]), 0.3) + 12.0;
        let figures = self.rows.iter().map(|row| row.figure.as_str());
        let beside = widest(&mut figures.chain([self.figure_heading.as_str()]), 0.25);
        let right = WIDTH - beside.max(8.0) - 12.0;
        let legend = Legend::of(self.kinds.iter().map(|kind| kind.name.as_str()));
        let top = legend.height + ROW + 6.0;
        let bottom = top + self.rows.len() as f64 * ROW_HEIGHT + 4.0;
        let mut canvas = Canvas::new(&self.title, &self.description, bottom + 48.0);
        legend.draw(&mut canvas, 0.0, |canvas, index, (x, y)| {
            canvas.rect((x - 6.0, y - 6.0), (x + 6.0, y + 6.0), Paint::Series(self.kinds[index].colour));
        });
        let heading = top - ROW / 2.0;
        canvas.text(
            &text::fit(&self.label_heading, TEXT, left - 12.0),
            (0.0, heading),
            Anchor::Start,
            Paint::Quiet,
        );
        canvas.text(&self.figure_heading, (WIDTH - 2.0, heading), Anchor::End, Paint::Quiet);
        x_axis(&mut canvas, &axis, &roomy_ticks(&ranged, right - left), left, right, top, bottom);
        for (index, row) in self.rows.iter().enumerate() {
            let y = top + (index as f64 + 0.5) * ROW_HEIGHT + 2.0;
            canvas.text(&text::fit(&row.label, TEXT, left - 12.0), (0.0, y), Anchor::Start, Paint::Ink);
            canvas.text(&row.figure, (WIDTH - 2.0, y), Anchor::End, Paint::Quiet);
            self.row(&mut canvas, row, (left, right), y + FULL / 2.0);
        }
        canvas.finish()
    }

    /// One row above `bottom`. Neighbours alike are one shape.
    fn row(&self, canvas: &mut Canvas, row: &ShareRow, (left, right): (f64, f64), bottom: f64) {
        canvas.line(&[(left, bottom), (right, bottom)], Paint::Grid, 1.0);
        let width = (right - left) / row.parts.len().max(1) as f64;
        let mut from = 0;
        for alike in row.parts.chunk_by(|a, b| a == b) {
            let (start, end) = (from as f64 * width, (from + alike.len()) as f64 * width);
            from += alike.len();
            let mut below = 0.0;
            for (kind, share) in self.kinds.iter().zip(&alike[0]) {
                let share = if share.is_finite() { share.min(1.0 - below).max(0.0) } else { 0.0 };
                // Less than a third of a pixel cannot be seen.
                if share * FULL >= 0.3 {
                    let (high, low) = (bottom - (below + share) * FULL, bottom - below * FULL);
                    canvas.rect((left + start, high), (left + end, low), Paint::Series(kind.colour));
                }
                below += share;
            }
        }
    }
}
