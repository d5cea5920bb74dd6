//! The one place that talks to plotters: shapes in CSS pixels, drawn on its SVG backend.

use plotters::prelude::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, ShapeStyle, TextStyle};

use super::palette::{Paint, STYLE};
use super::svg::Svg;
use super::text;

/// The width of every plot in CSS pixels; a page scales it.
pub(super) const WIDTH: f64 = 680.0;

/// The size of most text in CSS pixels.
pub(super) const TEXT: f64 = 12.5;

/// plotters' backends count whole pixels, so a plot is drawn this many times larger.
const FINE: f64 = 8.0;

/// The size plotters writes is 1.24 times smaller than the one it is given (plotters-svg 0.3.7).
const FONT_FACTOR: f64 = 1.24;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in the making.
pub(super) struct Canvas {
    body: String,
    size: (u32, u32),
    title: String,
    description: String,
}

impl Canvas {
    pub(super) fn new(title: &str, description: &str, height: f64) -> Self {
        let size = ((WIDTH * FINE) as u32, (height * FINE).ceil() as u32);
        Self { body: String::new(), size, title: text::escape(title), description: text::escape(description) }
    }

    /// A plot that says it has nothing to show.
    pub(super) fn no_data(title: &str, description: &str) -> Svg {
        let mut canvas = Canvas::new(title, description, 96.0);
        canvas.text("No data", (WIDTH / 2.0, 48.0), Anchor::Middle, Paint::Quiet);
        canvas.finish()
    }

    fn draw(&mut self, shape: impl FnOnce(&mut SVGBackend<'_>)) {
        let mut element = String::new();
        {
            let mut backend = SVGBackend::with_string(&mut element, self.size);
            shape(&mut backend);
        }
        // The backend opens an <svg> of its own, which ours replaces; dropping it closes that one.
        let start = element.find('\n').map_or(0, |at| at + 1);
        let end = element.rfind("</svg>").unwrap_or(element.len());
        self.body.push_str(element.get(start..end).unwrap_or_default());
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], paint: Paint, width: f64) {
        let style = stroke(paint, width);
        let points: Vec<_> = points.iter().map(|p| fine(*p)).collect();
        // Writing to a string cannot fail; the same holds for every shape below.
        self.draw(|b| drop(b.draw_path(points, &style)));
    }

    pub(super) fn dashed(&mut self, from: (f64, f64), to: (f64, f64), paint: Paint, width: f64) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |d: f64| (from.0 + (to.0 - from.0) * d / length, from.1 + (to.1 - from.1) * d / length);
        let (dash, gap) = (5.0, 4.0);
        for step in 0..(length / (dash + gap)).ceil().clamp(0.0, 1000.0) as usize {
            let start = step as f64 * (dash + gap);
            self.line(&[at(start), at((start + dash).min(length))], paint, width);
        }
    }

    pub(super) fn polygon(&mut self, points: &[(f64, f64)], paint: Paint, opacity: f64) {
        let style = fill(paint, opacity);
        let points: Vec<_> = points.iter().map(|p| fine(*p)).collect();
        self.draw(|b| drop(b.fill_polygon(points, &style)));
    }

    pub(super) fn rect(&mut self, from: (f64, f64), to: (f64, f64), paint: Paint) {
        let style = fill(paint, 1.0);
        self.draw(|b| drop(b.draw_rect(fine(from), fine(to), &style, true)));
    }

    pub(super) fn outline(&mut self, from: (f64, f64), to: (f64, f64), paint: Paint, width: f64) {
        // Closed a step further, so that the corner where it began is whole.
        let corners = [from, (to.0, from.1), to, (from.0, to.1), from, (from.0 + width.min(1.0), from.1)];
        self.line(&corners, paint, width);
    }

    /// A framed area of slanted lines: there is nothing here.
    pub(super) fn hatch(&mut self, from: (f64, f64), to: (f64, f64)) {
        let (width, height) = (to.0 - from.0, to.1 - from.1);
        let spacing = 7.0;
        for step in 1..((width + height) / spacing).ceil().clamp(1.0, 400.0) as usize {
            // The line x + y = d, cut to the area.
            let d = step as f64 * spacing;
            let start = (from.0 + (d - height).max(0.0), from.1 + d.min(height));
            let end = (from.0 + d.min(width), from.1 + (d - width).max(0.0));
            self.line(&[start, end], Paint::Axis, 0.75);
        }
        self.outline(from, to, Paint::Axis, 0.75);
    }

    pub(super) fn disc(&mut self, centre: (f64, f64), radius: f64, paint: Paint) {
        let style = fill(paint, 1.0);
        self.draw(|b| drop(b.draw_circle(fine(centre), (radius * FINE) as u32, &style, true)));
    }

    pub(super) fn ring(&mut self, centre: (f64, f64), radius: f64, paint: Paint, width: f64) {
        let style = stroke(paint, width);
        self.draw(|b| drop(b.draw_circle(fine(centre), (radius * FINE) as u32, &style, false)));
    }

    /// The mark of the nth series: colours repeat before shapes and colours together do.
    pub(super) fn marker(&mut self, series: usize, (x, y): (f64, f64)) {
        let paint = Paint::Series(series);
        let r = 3.6;
        match (series + series / super::palette::SERIES) % 4 {
            0 => self.disc((x, y), r, paint),
            1 => self.rect((x - r * 0.9, y - r * 0.9), (x + r * 0.9, y + r * 0.9), paint),
            2 => {
                let points = [(x, y - r * 1.3), (x + r * 1.2, y + r * 0.9), (x - r * 1.2, y + r * 0.9)];
                self.polygon(&points, paint, 1.0);
            }
            _ => {
                let points = [(x, y - r * 1.35), (x + r * 1.35, y), (x, y + r * 1.35), (x - r * 1.35, y)];
                self.polygon(&points, paint, 1.0);
            }
        }
    }

    /// Text centred on the height of its point.
    pub(super) fn text(&mut self, words: &str, at: (f64, f64), anchor: Anchor, paint: Paint) {
        self.write(words, at, anchor, paint, FontStyle::Normal, FontTransform::None);
    }

    pub(super) fn bold(&mut self, words: &str, at: (f64, f64), anchor: Anchor, paint: Paint) {
        self.write(words, at, anchor, paint, FontStyle::Bold, FontTransform::None);
    }

    /// Text that reads upwards.
    pub(super) fn upwards(&mut self, words: &str, at: (f64, f64), anchor: Anchor, paint: Paint) {
        self.write(words, at, anchor, paint, FontStyle::Normal, FontTransform::Rotate270);
    }

    fn write(
        &mut self,
        words: &str,
        at: (f64, f64),
        anchor: Anchor,
        paint: Paint,
        weight: FontStyle,
        transform: FontTransform,
    ) {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let font = ("sans-serif", TEXT * FINE * FONT_FACTOR).into_font().style(weight).transform(transform);
        let colour = paint.placeholder();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        let words = text::clean(words);
        self.draw(|b| drop(b.draw_text(&words, &style, fine(at))));
    }

    /// The whole element.
    pub(super) fn finish(self) -> Svg {
        // Only our own fonts and plain opacity are written, so these replacements hit attributes alone:
        // a quote inside a text is escaped.
        let body = Paint::exchange(self.body)
            .replace(" font-family=\"sans-serif\"", "")
            .replace(" opacity=\"1\"", "");
        let (width, height) = self.size;
        Svg::trusted(format!(
            "<svg class=\"spark-plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"100%\" role=\"img\" font-family=\"system-ui, sans-serif\" stroke-linejoin=\"round\" \
             stroke-linecap=\"round\">\n<title>{}</title>\n<desc>{}</desc>\n<style>{STYLE}</style>\n{body}</svg>",
            self.title, self.description
        ))
    }
}

fn fine((x, y): (f64, f64)) -> (i32, i32) {
    // `as` saturates, so a coordinate can be far off but never undefined.
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}

fn stroke(paint: Paint, width: f64) -> ShapeStyle {
    ShapeStyle { color: paint.placeholder().to_rgba(), filled: false, stroke_width: (width * FINE) as u32 }
}

fn fill(paint: Paint, opacity: f64) -> ShapeStyle {
    ShapeStyle { color: paint.placeholder().mix(opacity), filled: true, stroke_width: 0 }
}
