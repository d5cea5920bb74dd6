//! Colours by what they are for, each with a light and a dark shade.
//!
//! plotters writes `#RRGGBB` only. Every colour is therefore drawn as a placeholder that no real colour
//! uses and exchanged for a CSS variable once the drawing is done.

use plotters::style::RGBColor;

/// How many series get a colour of their own before colours repeat (markers then still differ).
pub(super) const SERIES: usize = 6;

/// The CSS that gives the plots' variables their shades in both schemes; each plot carries it.
///
/// Hues are Okabe and Ito's (<https://jfly.uni-koeln.de/color/>), distinguishable under all common colour
/// vision deficiencies; shades are moved until each has a contrast of 3:1 or more against the background.
pub const STYLE: &str = "\
.spark-plot{--plot-paper:#ffffff;--plot-ink:#1b2027;--plot-quiet:#58616d;--plot-grid:#e3e7ec;\
--plot-axis:#8a939f;--plot-0:#0072b2;--plot-1:#d55e00;--plot-2:#00875f;--plot-3:#b0528c;--plot-4:#946800;\
--plot-5:#4b5563;color:var(--plot-ink)}\
@media screen and (prefers-color-scheme:dark){.spark-plot{--plot-paper:#14181d;--plot-ink:#e8ebef;\
--plot-quiet:#a3adb8;--plot-grid:#2b323a;--plot-axis:#6b7683;--plot-0:#56b4e9;--plot-1:#ff8f4d;\
--plot-2:#2cc295;--plot-3:#e09ac6;--plot-4:#f0c24a;--plot-5:#b3bcc7}}";

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// Text and marks.
    Ink,
    /// Text with a rim of the background's colour, readable on top of lines.
    Haloed,
    /// Secondary text.
    Quiet,
    /// Lines of the grid.
    Grid,
    /// Axes and ticks.
    Axis,
    /// The background's colour, where something must stand out from what it covers.
    Paper,
    /// The nth series.
    Series(usize),
    /// The same in both schemes: cells of a heat map and the text on them.
    Fixed([u8; 3]),
}

impl Paint {
    const NAMED: [Paint; 6] =
        [Paint::Ink, Paint::Haloed, Paint::Quiet, Paint::Grid, Paint::Axis, Paint::Paper];

    /// Good, bad and undecided, wherever a plot judges.
    pub(super) const GOOD: Paint = Paint::Series(2);
    pub(super) const BAD: Paint = Paint::Series(1);
    pub(super) const UNDECIDED: Paint = Paint::Series(5);

    pub(super) fn placeholder(self) -> RGBColor {
        match self {
            Paint::Series(n) => RGBColor(1, 2, 100 + (n % SERIES) as u8),
            // One step of blue away from the placeholders, which no eye can tell.
            Paint::Fixed([1, 2, b]) => RGBColor(1, 3, b),
            Paint::Fixed([r, g, b]) => RGBColor(r, g, b),
            named => RGBColor(1, 2, Self::NAMED.iter().position(|n| *n == named).unwrap_or(0) as u8),
        }
    }

    fn css(self) -> String {
        match self {
            Paint::Ink => "currentColor".to_owned(),
            Paint::Haloed => {
                "currentColor\" stroke=\"var(--plot-paper)\" stroke-width=\"32\" stroke-linejoin=\"round\" \
                 paint-order=\"stroke"
                    .to_owned()
            }
            Paint::Quiet => "var(--plot-quiet)".to_owned(),
            Paint::Grid => "var(--plot-grid)".to_owned(),
            Paint::Axis => "var(--plot-axis)".to_owned(),
            Paint::Paper => "var(--plot-paper)".to_owned(),
            Paint::Series(n) => format!("var(--plot-{})", n % SERIES),
            Paint::Fixed([r, g, b]) => format!("#{r:02X}{g:02X}{b:02X}"),
        }
    }

    /// `svg` with every placeholder exchanged. Texts cannot be hit: a quote in them is escaped.
    pub(super) fn exchange(svg: String) -> String {
        Self::NAMED.into_iter().chain((0..SERIES).map(Paint::Series)).fold(svg, |svg, paint| {
            let RGBColor(r, g, b) = paint.placeholder();
            let css = paint.css();
            let from = format!("#{r:02X}{g:02X}{b:02X}\"");
            svg.replace(&from, &format!("{css}\""))
        })
    }
}

/// Viridis (matplotlib, CC0) in five stops: even in lightness, safe for colour-blind readers, and the
/// same in both schemes because cells are opaque.
const VIRIDIS: [[u8; 3]; 5] =
    [[0x44, 0x01, 0x54], [0x3B, 0x52, 0x8B], [0x21, 0x91, 0x8C], [0x5E, 0xC9, 0x62], [0xFD, 0xE7, 0x25]];

/// The colour at `share` of the scale, 0 to 1.
pub(super) fn viridis(share: f64) -> [u8; 3] {
    let place = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let below = (place as usize).min(VIRIDIS.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|i| {
        let (a, b) = (f64::from(VIRIDIS[below][i]), f64::from(VIRIDIS[below + 1][i]));
        (a + (b - a) * part).round() as u8
    })
}

/// Black or white, whichever is easier to read on `rgb` (WCAG's relative luminance, even at 0.179).
pub(super) fn text_on(rgb: [u8; 3]) -> Paint {
    let linear = rgb.map(|c| (f64::from(c) / 255.0).powf(2.2));
    let luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    Paint::Fixed(if luminance > 0.179 { [0, 0, 0] } else { [255, 255, 255] })
}
