//! Plots as SVG text, made to stand inside a page or alone in a file.
//!
//! Every plot takes plain data and cannot fail: values that cannot be shown (not finite, not positive on a
//! logarithmic axis) are left out and counted below the plot, and a plot with nothing left says "No data".
//! The background is transparent, colours follow `prefers-color-scheme` by CSS variables, and no font,
//! script or address outside the text is asked for.

mod bounds;
mod canvas;
mod cdf;
mod clearing;
mod forest;
mod frame;
mod heat_map;
mod lines;
mod palette;
mod scale;
mod shares;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use cdf::{Cdf, Samples};
pub use forest::{Forest, ForestRow};
pub use heat_map::{Best, HeatMap, Within};
pub use lines::{Drawn, Lines, Mark, Point, Reference, Series};
pub use palette::STYLE;
pub use scale::{Axis, Scale};
pub use shares::{Kind, ShareRow, Shares};
pub use svg::Svg;
