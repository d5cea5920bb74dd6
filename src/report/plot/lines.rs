//! Named series of points joined by lines, with bands around them.

use super::bounds::Bounds;
use super::canvas::{Anchor, Canvas, TEXT, WIDTH};
use super::clearing::{Spot, clearest};
use super::frame::{Frame, Legend, ROW, left_out, roomy_ticks, x_axis};
use super::palette::Paint;
use super::scale::{Axis, Ranged};
use super::svg::Svg;
use super::text;

/// The height of the place for data, in CSS pixels.
const HEIGHT: f64 = 270.0;

/// One point of a series, in the axes' units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Along the x axis.
    pub x: f64,
    /// Along the y axis.
    pub y: f64,
    /// An interval around `y`, lower and upper end.
    pub band: Option<(f64, f64)>,
}

impl Point {
    /// A point without a band.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, band: None }
    }

    /// The same point with an interval from `low` to `high` around it.
    pub fn between(self, low: f64, high: f64) -> Self {
        Self { band: Some((low, high)), ..self }
    }
}

/// How the points of a series are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drawn {
    /// A line with a marker at each point.
    #[default]
    Marked,
    /// A line alone, for many points.
    Plain,
    /// A level line to each point, then a jump: what a distribution is.
    Steps,
    /// A marker at each point alone: what happens now and then.
    Dots,
}

/// A named series. A point that cannot be shown breaks its line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in the order they are joined.
    pub points: Vec<Point>,
    /// How they are drawn.
    pub drawn: Drawn,
}

/// A level line across the plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Where, on the y axis.
    pub y: f64,
    /// What it stands for.
    pub label: String,
}

/// A point that is pointed out, such as the knee of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Where, on the x axis.
    pub x: f64,
    /// Where, on the y axis.
    pub y: f64,
    /// What it is.
    pub label: String,
}

/// Several series of points over two axes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// What the plot shows: its `<title>`. Not drawn; a page writes it as the caption.
    pub title: String,
    /// What is to be seen, for those who cannot: its `<desc>`.
    pub description: String,
    /// The axis across.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// What is drawn. With one series there is no legend unless it has a name.
    pub series: Vec<Series>,
    /// A level line to compare with.
    pub reference: Option<Reference>,
    /// A point to point out.
    pub mark: Option<Mark>,
    /// Points that are named, quietly; a name for which there is no room is left out.
    pub labels: Vec<Mark>,
}

impl Lines {
    /// The plot as SVG.
    pub fn render(&self) -> Svg {
        let Some(frame) = self.frame() else { return Canvas::no_data(&self.title, &self.description) };
        let legend = self.legend();
        let hidden = self.series.iter().flat_map(|s| &s.points).filter(|p| !self.shows(p)).count();
        let note = left_out(hidden);
        let below = if note.is_empty() { 48.0 } else { 48.0 + ROW };
        let mut canvas = Canvas::new(&self.title, &self.description, frame.bottom + below);
        legend.draw(&mut canvas, 0.0, |canvas, index, (x, y)| {
            let drawn = self.series.get(index).map(|s| s.drawn);
            if drawn != Some(Drawn::Dots) {
                canvas.line(&[(x - 9.0, y), (x + 9.0, y)], Paint::Series(index), 2.0);
            }
            if matches!(drawn, Some(Drawn::Marked | Drawn::Dots)) {
                canvas.marker(index, (x, y));
            }
        });
        self.axes(&mut canvas, &frame);
        for (index, series) in self.series.iter().enumerate() {
            self.band(&mut canvas, &frame, index, series);
        }
        self.reference(&mut canvas, &frame);
        let mut drawn = Vec::new();
        for (index, series) in self.series.iter().enumerate() {
            self.line(&mut canvas, &frame, index, series, &mut drawn);
        }
        self.mark(&mut canvas, &frame);
        // Words come last, so that their rims keep them readable where they must cross a line.
        self.reference_label(&mut canvas, &frame, &mut drawn);
        self.mark_label(&mut canvas, &frame, &mut drawn);
        self.point_labels(&mut canvas, &frame, &drawn);
        canvas.text(&note, (frame.left, frame.bottom + 56.0), Anchor::Start, Paint::Quiet);
        canvas.finish()
    }

    fn shows(&self, point: &Point) -> bool {
        self.x.scale.shows(point.x) && self.y.scale.shows(point.y)
    }

    fn shown_band(&self, point: &Point) -> Option<(f64, f64)> {
        point.band.filter(|(low, high)| self.y.scale.shows(*low) && self.y.scale.shows(*high))
    }

    fn legend(&self) -> Legend {
        let named = self.series.len() > 1 || self.series.iter().any(|s| !s.name.is_empty());
        Legend::of(self.series.iter().filter(|_| named).map(|s| s.name.as_str()))
    }

    /// `None` where no point can be shown.
    fn frame(&self) -> Option<Frame> {
        let (mut x, mut y) = (Bounds::default(), Bounds::default());
        for point in self.series.iter().flat_map(|s| &s.points).filter(|p| self.shows(p)) {
            x.see(point.x);
            y.see(point.y);
            if let Some((low, high)) = self.shown_band(point) {
                y.see(low);
                y.see(high);
            }
        }
        x.get()?;
        if let Some(mark) = self.shown_mark() {
            x.see(mark.x);
            y.see(mark.y);
        }
        if let Some(reference) = self.shown_reference() {
            y.see(reference.y);
        }
        let x = Ranged::over(&self.x, x.get()?, 0.02);
        let y = Ranged::over(&self.y, y.get()?, 0.06);
        let widest = y.ticks(6).iter().map(|t| text::width(&t.label, TEXT)).fold(0.0, f64::max);
        let top = self.legend().height + ROW + 8.0;
        Some(Frame { left: widest + 14.0, right: WIDTH - 14.0, top, bottom: top + HEIGHT, x, y })
    }

    fn axes(&self, canvas: &mut Canvas, frame: &Frame) {
        let Frame { left, right, top, bottom, .. } = *frame;
        let name = text::fit(&self.y.label, TEXT, WIDTH - 8.0);
        canvas.text(&name, (0.0, top - 8.0 - ROW / 2.0), Anchor::Start, Paint::Ink);
        for tick in frame.y.ticks(6) {
            let y = bottom - tick.place * (bottom - top);
            canvas.line(&[(left, y), (right, y)], Paint::Grid, 1.0);
            canvas.text(&tick.label, (left - 8.0, y), Anchor::End, Paint::Quiet);
        }
        x_axis(canvas, &self.x, &roomy_ticks(&frame.x, right - left), left, right, top, bottom);
    }

    /// The parts of a series between points that cannot be shown.
    fn parts<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = &'a [Point]> {
        series.points.split(|p| !self.shows(p)).filter(|part| !part.is_empty())
    }

    fn band(&self, canvas: &mut Canvas, frame: &Frame, index: usize, series: &Series) {
        let paint = Paint::Series(index);
        for part in series.points.split(|p| !self.shows(p) || self.shown_band(p).is_none()) {
            let ends = |p: &Point| p.band.unwrap_or((p.y, p.y));
            let low = part.iter().map(|p| frame.at((p.x, ends(p).0)));
            let high = part.iter().map(|p| frame.at((p.x, ends(p).1)));
            match part.len() {
                0 => {}
                1 => canvas.line(&low.chain(high).collect::<Vec<_>>(), paint, 1.5),
                _ => canvas.polygon(&low.chain(high.rev()).collect::<Vec<_>>(), paint, 0.18),
            }
        }
    }

    fn line(
        &self,
        canvas: &mut Canvas,
        frame: &Frame,
        index: usize,
        series: &Series,
        drawn: &mut Vec<Vec<(f64, f64)>>,
    ) {
        for part in self.parts(series) {
            let mut places: Vec<(f64, f64)> = Vec::with_capacity(part.len() * 2);
            for point in part {
                let place = frame.at((point.x, point.y));
                if let (Drawn::Steps, Some(last)) = (series.drawn, places.last().copied()) {
                    places.push((place.0, last.1));
                }
                places.push(place);
            }
            if series.drawn != Drawn::Dots {
                canvas.line(&places, Paint::Series(index), 2.0);
            }
            match series.drawn {
                Drawn::Marked | Drawn::Dots => places.iter().for_each(|place| canvas.marker(index, *place)),
                // A line of one point has no length.
                _ if part.len() == 1 => canvas.marker(index, places[0]),
                _ => {}
            }
            drawn.push(places);
        }
    }

    fn shown_reference(&self) -> Option<&Reference> {
        self.reference.as_ref().filter(|r| self.y.scale.shows(r.y))
    }

    fn reference(&self, canvas: &mut Canvas, frame: &Frame) {
        let Some(reference) = self.shown_reference() else { return };
        let y = frame.up(reference.y);
        canvas.dashed((frame.left, y), (frame.right, y), Paint::Ink, 1.25);
    }

    fn reference_label(&self, canvas: &mut Canvas, frame: &Frame, drawn: &mut Vec<Vec<(f64, f64)>>) {
        let Some(reference) = self.shown_reference() else { return };
        let y = frame.up(reference.y);
        let (left, right) = (frame.left + 4.0, frame.right - 2.0);
        let label = text::fit(&reference.label, TEXT, right - left);
        let heights = [y - 9.0, y + 11.0].into_iter().filter(|h| frame.holds(*h));
        let spots: Vec<Spot> =
            heights.flat_map(|h| [Spot::until(right, &label, h), Spot::from(left, &label, h)]).collect();
        if let Some(spot) = clearest(&spots, drawn) {
            canvas.text(&label, (spot.left, spot.height), Anchor::Start, Paint::Haloed);
            // What comes after must keep off the line and its words too.
            drawn.push(vec![(frame.left, y), (frame.right, y)]);
            drawn.push(vec![(spot.left, spot.height), (spot.right, spot.height)]);
        }
    }

    fn shown_mark(&self) -> Option<&Mark> {
        self.mark.as_ref().filter(|m| self.x.scale.shows(m.x) && self.y.scale.shows(m.y))
    }

    fn mark(&self, canvas: &mut Canvas, frame: &Frame) {
        let Some(mark) = self.shown_mark() else { return };
        let (x, y) = frame.at((mark.x, mark.y));
        canvas.dashed((x, y + 7.0), (x, frame.bottom), Paint::Axis, 1.25);
        canvas.ring((x, y), 7.5, Paint::Paper, 4.0);
        canvas.ring((x, y), 7.5, Paint::Ink, 2.0);
    }

    fn mark_label(&self, canvas: &mut Canvas, frame: &Frame, drawn: &mut Vec<Vec<(f64, f64)>>) {
        let Some(mark) = self.shown_mark() else { return };
        let (x, y) = frame.at((mark.x, mark.y));
        let limit = (frame.right - x).max(x - frame.left) - 12.0;
        let label = text::fit(&mark.label, TEXT, limit * 0.9);
        let heights = [y - 17.0, y + 18.0, y - 34.0, y + 36.0, y - 54.0, y + 56.0];
        let spots: Vec<Spot> = heights
            .into_iter()
            .filter(|h| frame.holds(*h))
            // Bold words are a little wider, for which the name gets a letter more.
            .flat_map(|h| {
                [format!("{label}m")]
                    .map(|wide| [Spot::from(x + 9.0, &wide, h), Spot::until(x - 9.0, &wide, h)])
            })
            .flatten()
            .filter(|spot| spot.left >= frame.left && spot.right <= WIDTH)
            .collect();
        let Some(spot) = clearest(&spots, drawn) else { return };
        let (at, anchor) = if spot.left > x { (spot.left, Anchor::Start) } else { (spot.right, Anchor::End) };
        canvas.bold(&label, (at, spot.height), anchor, Paint::Haloed);
        drawn.push(vec![(spot.left, spot.height), (spot.right, spot.height)]);
    }

    fn point_labels(&self, canvas: &mut Canvas, frame: &Frame, drawn: &[Vec<(f64, f64)>]) {
        let mut names: Vec<Vec<(f64, f64)>> = Vec::new();
        let shown = |label: &&Mark| self.x.scale.shows(label.x) && self.y.scale.shows(label.y);
        for label in self.labels.iter().filter(shown) {
            let (x, y) = frame.at((label.x, label.y));
            let words = text::fit(&label.label, TEXT, 120.0);
            let half = text::width(&words, TEXT) / 2.0;
            let spots: Vec<Spot> = [
                Spot::from(x - half, &words, y - 13.0),
                Spot::from(x - half, &words, y + 14.0),
                Spot::from(x + 8.0, &words, y),
                Spot::until(x - 8.0, &words, y),
            ]
            .into_iter()
            .filter(|spot| spot.left >= frame.left && spot.right <= WIDTH && frame.holds(spot.height))
            .collect();
            let Some(spot) = clearest(&spots, &[drawn, &names].concat()) else { continue };
            if names.iter().any(|name| spot.covers(name)) {
                continue;
            }
            canvas.text(&words, (spot.left, spot.height), Anchor::Start, Paint::Quiet);
            names.push(vec![(spot.left, spot.height), (spot.right, spot.height)]);
        }
    }
}
