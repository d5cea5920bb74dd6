//! A value for each pair of a row and a column, as colour and figure.

use super::bounds::Bounds;
use super::canvas::{Anchor, Canvas, TEXT, WIDTH};
use super::frame::{ROW, left_out};
use super::palette::{Paint, text_on, viridis};
use super::scale::{Axis, Ranged, Scale};
use super::svg::Svg;
use super::text;

const CELL_HEIGHT: f64 = 26.0;

/// Which end of the scale is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Best {
    /// The lowest value, as with times.
    #[default]
    Lowest,
    /// The highest value, as with rates.
    Highest,
}

/// Among which cells the best is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Within {
    /// All of them: one cell is ringed.
    #[default]
    Map,
    /// Each column by itself: one cell a column is ringed.
    Column,
}

/// A table of values as colours. The best cell is ringed, missing ones are hatched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeatMap {
    /// What the plot shows: its `<title>`.
    pub title: String,
    /// What is to be seen, for those who cannot: its `<desc>`.
    pub description: String,
    /// What the rows are: `tile`.
    pub row_heading: String,
    /// The rows' labels, from the top.
    pub rows: Vec<String>,
    /// What the columns are: `batch size`.
    pub column_heading: String,
    /// The columns' labels, from the left.
    pub columns: Vec<String>,
    /// The values, row by row; a value that is missing here or cannot be shown makes a hatched cell.
    pub cells: Vec<Vec<Option<f64>>>,
    /// What the values are, with their unit: `time (µs)`.
    pub value_label: String,
    /// How values map to colours.
    pub scale: Scale,
    /// Which value is the best.
    pub best: Best,
    /// Among which cells.
    pub within: Within,
}

impl HeatMap {
    fn cell(&self, row: usize, column: usize) -> Option<f64> {
        self.cells.get(row)?.get(column).copied()?.filter(|value| self.scale.shows(*value))
    }

    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.rows.len()).flat_map(|row| (0..self.columns.len()).map(move |column| (row, column)))
    }

    /// The cells to ring.
    fn ringed(&self) -> Vec<(usize, usize, f64)> {
        let in_column = |column: usize| {
            let filled =
                (0..self.rows.len()).filter_map(move |row| Some((row, column, self.cell(row, column)?)));
            self.better_of(filled)
        };
        let best = (0..self.columns.len()).filter_map(in_column);
        match self.within {
            Within::Column => best.collect(),
            Within::Map => self.better_of(best).into_iter().collect(),
        }
    }

    /// The best of `cells`, of equals the first.
    fn better_of(&self, cells: impl Iterator<Item = (usize, usize, f64)>) -> Option<(usize, usize, f64)> {
        cells.reduce(|a, b| {
            let better = match self.best {
                Best::Lowest => b.2 < a.2,
                Best::Highest => b.2 > a.2,
            };
            if better { b } else { a }
        })
    }

    /// The plot as SVG.
    pub fn render(&self) -> Svg {
        let bounds = self.places().filter_map(|(r, c)| self.cell(r, c)).collect::<Bounds>().get();
        let Some(bounds) = bounds else {
            return Canvas::no_data(&self.title, &self.description);
        };
        let ranged = Ranged::over(&Axis::new("", self.scale), bounds, 0.0);
        let labels = self.rows.iter().chain([&self.row_heading]);
        let left = labels.map(|l| text::width(l, TEXT) * 1.05).fold(24.0, f64::max).min(WIDTH * 0.35) + 10.0;
        let cell_width = ((WIDTH - left - 2.0) / self.columns.len() as f64).min(120.0);
        let widest = self.columns.iter().map(|l| text::width(l, TEXT)).fold(0.0, f64::max);
        let turned = widest > cell_width - 4.0;
        let above = if turned { widest.min(110.0) + 8.0 } else { ROW };
        let top = 2.0 * ROW + 14.0 + ROW + above;
        let bottom = top + CELL_HEIGHT * self.rows.len() as f64;
        let hidden = self.places().filter(|(r, c)| self.hidden(*r, *c)).count();
        let missing = self.places().any(|(r, c)| self.cell(r, c).is_none());
        let note = left_out(hidden);
        let below = ROW + 14.0 + if note.is_empty() { 0.0 } else { ROW };
        let mut canvas = Canvas::new(&self.title, &self.description, bottom + below);

        self.colour_scale(&mut canvas, &ranged, bounds);
        let heading = text::fit(&self.column_heading, TEXT, WIDTH - left);
        canvas.text(&heading, (left, top - above - ROW / 2.0), Anchor::Start, Paint::Quiet);
        let heading = text::fit(&self.row_heading, TEXT, left - 10.0);
        canvas.text(&heading, (0.0, top - ROW / 2.0), Anchor::Start, Paint::Quiet);
        self.column_labels(&mut canvas, left, cell_width, top, turned);
        for (row, label) in self.rows.iter().enumerate() {
            let y = top + (row as f64 + 0.5) * CELL_HEIGHT;
            canvas.text(&text::fit(label, TEXT, left - 10.0), (0.0, y), Anchor::Start, Paint::Ink);
        }
        let corner =
            |row: usize, column: usize| (left + column as f64 * cell_width, top + row as f64 * CELL_HEIGHT);
        // All cells show their figure or none does: a few figures among many would look like a choice.
        let figures = self.places().filter_map(|(r, c)| self.cell(r, c)).map(figure);
        let fits = figures.map(|f| text::width(&f, TEXT)).fold(0.0, f64::max) < cell_width - 4.0;
        for (row, column) in self.places() {
            let at = corner(row, column);
            draw_cell(&mut canvas, &ranged, self.cell(row, column), at, cell_width, fits);
        }
        let ringed = self.ringed();
        for (row, column, _) in &ringed {
            let (x, y) = corner(*row, *column);
            canvas.outline((x, y), (x + cell_width, y + CELL_HEIGHT), Paint::Paper, 5.0);
            canvas.outline((x, y), (x + cell_width, y + CELL_HEIGHT), Paint::Ink, 2.5);
        }
        self.key(&mut canvas, &ringed, bottom + 10.0 + ROW / 2.0, missing);
        canvas.text(&note, (0.0, bottom + 10.0 + ROW * 1.5), Anchor::Start, Paint::Quiet);
        canvas.finish()
    }

    /// Whether there is a value that cannot be shown, which is not the same as none.
    fn hidden(&self, row: usize, column: usize) -> bool {
        let given = self.cells.get(row).and_then(|cells| cells.get(column)).copied().flatten();
        given.is_some() && self.cell(row, column).is_none()
    }

    fn colour_scale(&self, canvas: &mut Canvas, ranged: &Ranged, (low, high): (f64, f64)) {
        let name = text::fit(&self.value_label, TEXT, WIDTH * 0.45);
        canvas.text(&name, (0.0, ROW / 2.0 + 2.0), Anchor::Start, Paint::Ink);
        let (from, to) = (WIDTH * 0.5, WIDTH - 2.0);
        let steps = 64;
        let width = (to - from) / f64::from(steps);
        for step in 0..steps {
            let x = from + f64::from(step) * width;
            let colour = Paint::Fixed(viridis((f64::from(step) + 0.5) / f64::from(steps)));
            // A little over the next one, or seams show between them.
            let end = if step + 1 == steps { x + width } else { x + width + 0.5 };
            canvas.rect((x, 4.0), (end, 18.0), colour);
        }
        if low == high {
            let x = from + ranged.place(low) * (to - from);
            canvas.text(&text::number(low, 3), (x, 30.0), Anchor::Middle, Paint::Quiet);
            return;
        }
        canvas.text(&text::number(low, 3), (from, 30.0), Anchor::Start, Paint::Quiet);
        canvas.text(&text::number(high, 3), (to, 30.0), Anchor::End, Paint::Quiet);
        for tick in ranged.ticks(4).iter().filter(|t| (0.2..0.8).contains(&t.place)) {
            canvas.text(&tick.label, (from + tick.place * (to - from), 30.0), Anchor::Middle, Paint::Quiet);
        }
    }

    fn column_labels(&self, canvas: &mut Canvas, left: f64, cell_width: f64, top: f64, turned: bool) {
        // Turned labels need the height of a line each; where cells are narrower, only every nth is named.
        let stride = if turned { (13.0 / cell_width).ceil().max(1.0) as usize } else { 1 };
        for (column, label) in self.columns.iter().enumerate().step_by(stride) {
            let x = left + (column as f64 + 0.5) * cell_width;
            if turned {
                canvas.upwards(&text::fit(label, TEXT, 110.0), (x, top - 6.0), Anchor::Start, Paint::Ink);
            } else {
                canvas.text(label, (x, top - ROW / 2.0), Anchor::Middle, Paint::Ink);
            }
        }
    }

    fn key(&self, canvas: &mut Canvas, ringed: &[(usize, usize, f64)], y: f64, missing: bool) {
        let end = if missing { WIDTH - 110.0 } else { WIDTH };
        canvas.outline((2.0, y - 6.0), (18.0, y + 6.0), Paint::Ink, 2.5);
        let what = match self.best {
            Best::Lowest => "lowest",
            Best::Highest => "highest",
        };
        let words = match (self.within, ringed) {
            (Within::Map, [(row, column, value)]) => {
                format!(
                    "{what}: {} at {}, {}",
                    text::number(*value, 4),
                    self.rows[*row],
                    self.columns[*column]
                )
            }
            _ => format!("{what} in each column"),
        };
        canvas.text(&text::fit(&words, TEXT, end - 36.0), (26.0, y), Anchor::Start, Paint::Ink);
        if missing {
            canvas.hatch((end + 22.0, y - 6.0), (end + 40.0, y + 6.0));
            canvas.text("no value", (end + 48.0, y), Anchor::Start, Paint::Ink);
        }
    }
}

/// What stands in a cell.
fn figure(value: f64) -> String {
    text::number(value, 3)
}

fn draw_cell(
    canvas: &mut Canvas,
    ranged: &Ranged,
    value: Option<f64>,
    (x, y): (f64, f64),
    width: f64,
    with_figure: bool,
) {
    let gap = if width > 8.0 { 0.75 } else { 0.0 };
    let (from, to) = ((x + gap, y + gap), (x + width - gap, y + CELL_HEIGHT - gap));
    let Some(value) = value else {
        canvas.hatch(from, to);
        return;
    };
    let colour = viridis(ranged.place(value));
    canvas.rect(from, to, Paint::Fixed(colour));
    if with_figure {
        let centre = (x + width / 2.0, y + CELL_HEIGHT / 2.0);
        canvas.text(&figure(value), centre, Anchor::Middle, text_on(colour));
    }
}
