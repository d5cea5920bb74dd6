//! Legend, axes and grid around the place where data is drawn.

use super::canvas::{Anchor, Canvas, TEXT, WIDTH};
use super::palette::Paint;
use super::scale::{Axis, Ranged, Tick};
use super::text;

/// The height of one row of text in CSS pixels.
pub(super) const ROW: f64 = 20.0;

const KEY_WIDTH: f64 = 26.0;

/// A legend's entries broken into rows: for each its index, its text and where it begins.
pub(super) struct Legend {
    entries: Vec<(usize, String, f64, f64)>,
    /// Its height in CSS pixels.
    pub(super) height: f64,
}

impl Legend {
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut x, mut y) = (0.0, 0.0);
        let mut entries = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            let name = text::fit(name, TEXT, WIDTH - KEY_WIDTH - 8.0);
            // A tenth more than estimated: a legend whose entries touch cannot be read.
            let width = KEY_WIDTH + text::width(&name, TEXT) * 1.1 + 16.0;
            if x > 0.0 && x + width > WIDTH {
                (x, y) = (0.0, y + ROW);
            }
            entries.push((index, name, x, y + ROW / 2.0));
            x += width;
        }
        let height = if entries.is_empty() { 0.0 } else { y + ROW + 4.0 };
        Self { entries, height }
    }

    /// Draw it from `top`; `key` draws the sign of an entry around the point it is given.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas,
        top: f64,
        mut key: impl FnMut(&mut Canvas, usize, (f64, f64)),
    ) {
        for (index, name, x, y) in &self.entries {
            key(canvas, *index, (x + 10.0, top + y));
            canvas.text(name, (x + KEY_WIDTH, top + y), Anchor::Start, Paint::Ink);
        }
    }
}

/// The place where data is drawn, in CSS pixels, and the axes it is drawn along.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Ranged,
    pub(super) y: Ranged,
}

impl Frame {
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.across(x), self.up(y))
    }

    pub(super) fn up(&self, y: f64) -> f64 {
        self.bottom - self.y.place(y) * (self.bottom - self.top)
    }

    /// Whether a line of text at `height` stays between the edges.
    pub(super) fn holds(&self, height: f64) -> bool {
        height - TEXT / 2.0 >= self.top - 4.0 && height + TEXT / 2.0 <= self.bottom
    }

    pub(super) fn across(&self, x: f64) -> f64 {
        self.left + self.x.place(x) * (self.right - self.left)
    }
}

/// Ticks that leave room between their labels in `length` pixels.
pub(super) fn roomy_ticks(axis: &Ranged, length: f64) -> Vec<Tick> {
    let mut limit = 14;
    loop {
        let ticks = axis.ticks(limit);
        let clash = ticks.windows(2).any(|pair| {
            let need = (text::width(&pair[0].label, TEXT) + text::width(&pair[1].label, TEXT)) / 2.0 + 10.0;
            (pair[1].place - pair[0].place) * length < need
        });
        if !clash || limit <= 2 {
            return ticks;
        }
        limit -= 1;
    }
}

/// The lines of the grid across, at the ticks of the x axis, with their labels and the axis's name below.
pub(super) fn x_axis(
    canvas: &mut Canvas,
    axis: &Axis,
    ticks: &[Tick],
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
) {
    for tick in ticks {
        let x = left + tick.place * (right - left);
        canvas.line(&[(x, top), (x, bottom)], Paint::Grid, 1.0);
        canvas.line(&[(x, bottom), (x, bottom + 4.0)], Paint::Axis, 1.0);
        let half = text::width(&tick.label, TEXT) / 2.0;
        canvas.text(&tick.label, (x.min(WIDTH - half - 2.0), bottom + 14.0), Anchor::Middle, Paint::Quiet);
    }
    canvas.line(&[(left, bottom), (right, bottom)], Paint::Axis, 1.0);
    let name = text::fit(&axis.label, TEXT, right - left);
    canvas.text(&name, ((left + right) / 2.0, bottom + 34.0), Anchor::Middle, Paint::Ink);
}

/// What stands below a plot that left values out; empty where it did not.
pub(super) fn left_out(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 value cannot be shown on these axes and is left out".to_owned(),
        n => format!("{n} values cannot be shown on these axes and are left out"),
    }
}
