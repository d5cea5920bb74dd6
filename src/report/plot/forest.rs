//! A value with its interval for each of several labels, beside a line to compare with: a forest plot.

use super::bounds::Bounds;
use super::canvas::{Anchor, Canvas, TEXT, WIDTH};
use super::frame::{Legend, ROW, left_out, roomy_ticks, x_axis};
use super::palette::Paint;
use super::scale::{Axis, Ranged};
use super::svg::Svg;
use super::text;

const ROW_HEIGHT: f64 = 24.0;

/// One row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForestRow {
    /// What the row is about.
    pub label: String,
    /// The value in the axis's unit; `None` where there is none.
    pub value: Option<f64>,
    /// The interval around it, lower and upper end.
    pub interval: Option<(f64, f64)>,
}

/// Values with intervals, one row a label, beside a reference line. Higher is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    /// What the plot shows: its `<title>`.
    pub title: String,
    /// What is to be seen, for those who cannot: its `<desc>`.
    pub description: String,
    /// The axis of the values.
    pub axis: Axis,
    /// What the labels are, above them: `batch size`.
    pub label_heading: String,
    /// Where the line to compare with stands; 1 for ratios.
    pub reference: f64,
    /// The rows from top to bottom.
    pub rows: Vec<ForestRow>,
}

impl Default for Forest {
    fn default() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            axis: Axis::default(),
            label_heading: String::new(),
            reference: 1.0,
            rows: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Better,
    Worse,
    Undecided,
}

impl Verdict {
    const ALL: [Verdict; 3] = [Verdict::Better, Verdict::Worse, Verdict::Undecided];

    fn name(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Undecided => "no clear difference",
        }
    }

    fn paint(self) -> Paint {
        match self {
            Verdict::Better => Paint::GOOD,
            Verdict::Worse => Paint::BAD,
            Verdict::Undecided => Paint::UNDECIDED,
        }
    }

    /// The shape differs too, for those who see no colours.
    fn sign(self, canvas: &mut Canvas, (x, y): (f64, f64)) {
        let paint = self.paint();
        match self {
            Verdict::Better => canvas.disc((x, y), 5.0, paint),
            Verdict::Worse => {
                canvas.polygon(&[(x, y - 6.0), (x + 6.0, y), (x, y + 6.0), (x - 6.0, y)], paint, 1.0);
            }
            Verdict::Undecided => {
                canvas.disc((x, y), 5.0, Paint::Paper);
                canvas.ring((x, y), 4.2, paint, 2.0);
            }
        }
    }
}

impl Forest {
    /// The plot as SVG. A row is better or worse where its whole interval is on one side of the reference;
    /// without an interval it is undecided.
    pub fn render(&self) -> Svg {
        let values = self.rows.iter().filter_map(|row| self.value(row));
        let Some(_) = values.clone().collect::<Bounds>().get() else {
            return Canvas::no_data(&self.title, &self.description);
        };
        let ends = self.rows.iter().filter_map(|row| self.interval(row)).flat_map(|(a, b)| [a, b]);
        let reference = Some(self.reference).filter(|r| self.axis.scale.shows(*r));
        let Some(bounds) = values.chain(ends).chain(reference).collect::<Bounds>().get() else {
            return Canvas::no_data(&self.title, &self.description);
        };
        let ranged = Ranged::over(&self.axis, bounds, 0.06);
        let labels = std::iter::once(&self.label_heading).chain(self.rows.iter().map(|row| &row.label));
        let left = labels.map(|l| text::width(l, TEXT) * 1.05).fold(40.0, f64::max).min(WIDTH * 0.4) + 12.0;
        let figures: Vec<String> = self.rows.iter().map(|row| self.figures(row)).collect();
        let beside =
            figures.iter().map(|f| text::width(f, TEXT) * 1.05).fold(40.0, f64::max).min(WIDTH * 0.35);
        let right = WIDTH - beside - 16.0;

        let verdicts: Vec<Verdict> = Verdict::ALL
            .into_iter()
            .filter(|v| self.rows.iter().any(|r| self.verdict(r) == Some(*v)))
            .collect();
        let legend = Legend::of(verdicts.iter().map(|v| v.name()));
        let top = legend.height + ROW + 6.0;
        let bottom = top + self.rows.len() as f64 * ROW_HEIGHT + 4.0;
        let hidden = self.rows.iter().filter(|r| r.value.is_some() && self.value(r).is_none()).count();
        let note = left_out(hidden);
        let below = if note.is_empty() { 48.0 } else { 48.0 + ROW };
        let mut canvas = Canvas::new(&self.title, &self.description, bottom + below);

        legend.draw(&mut canvas, 0.0, |canvas, index, at| verdicts[index].sign(canvas, at));
        let heading = text::fit(&self.label_heading, TEXT, left - 12.0);
        canvas.text(&heading, (0.0, top - ROW / 2.0), Anchor::Start, Paint::Quiet);
        x_axis(&mut canvas, &self.axis, &roomy_ticks(&ranged, right - left), left, right, top, bottom);
        let across = |value: f64| left + ranged.place(value) * (right - left);
        if let Some(reference) = reference {
            let x = across(reference);
            canvas.dashed((x, top), (x, bottom), Paint::Ink, 1.25);
        }
        for (index, row) in self.rows.iter().enumerate() {
            let y = top + (index as f64 + 0.5) * ROW_HEIGHT + 2.0;
            canvas.text(&text::fit(&row.label, TEXT, left - 12.0), (0.0, y), Anchor::Start, Paint::Ink);
            canvas.text(&figures[index], (WIDTH - 2.0, y), Anchor::End, Paint::Quiet);
            let (Some(value), Some(verdict)) = (self.value(row), self.verdict(row)) else { continue };
            if let Some((low, high)) = self.interval(row) {
                let (a, b) = (across(low), across(high));
                canvas.line(&[(a, y), (b, y)], verdict.paint(), 2.0);
                canvas.line(&[(a, y - 4.0), (a, y + 4.0)], verdict.paint(), 2.0);
                canvas.line(&[(b, y - 4.0), (b, y + 4.0)], verdict.paint(), 2.0);
            }
            verdict.sign(&mut canvas, (across(value), y));
        }
        canvas.text(&note, (0.0, bottom + 56.0), Anchor::Start, Paint::Quiet);
        canvas.finish()
    }

    fn value(&self, row: &ForestRow) -> Option<f64> {
        row.value.filter(|value| self.axis.scale.shows(*value))
    }

    fn interval(&self, row: &ForestRow) -> Option<(f64, f64)> {
        self.value(row)?;
        let (a, b) = row.interval?;
        let shown = self.axis.scale.shows(a) && self.axis.scale.shows(b);
        shown.then_some((a.min(b), a.max(b)))
    }

    fn verdict(&self, row: &ForestRow) -> Option<Verdict> {
        self.value(row)?;
        Some(match self.interval(row) {
            Some((low, _)) if low > self.reference => Verdict::Better,
            Some((_, high)) if high < self.reference => Verdict::Worse,
            _ => Verdict::Undecided,
        })
    }

    fn figures(&self, row: &ForestRow) -> String {
        match (self.value(row), self.interval(row)) {
            (Some(v), Some((a, b))) => {
                format!("{} [{}, {}]", aligned(v), aligned(a), aligned(b))
            }
            (Some(v), None) => aligned(v),
            (None, _) => "no data".to_owned(),
        }
    }
}

/// Three digits after the point where values are near one, so that a column of them lines up.
fn aligned(value: f64) -> String {
    if (0.01..100.0).contains(&value.abs()) { format!("{value:.3}") } else { text::number(value, 4) }
}
