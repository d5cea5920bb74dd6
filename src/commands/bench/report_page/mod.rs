//! The pages of a benchmark: one run, repeats, a sweep, a comparison. Plain data in, HTML and named plots out.

mod comparison;
mod figures;
mod over_time;
pub(super) mod repeats;
mod server;
mod single;
pub(super) mod sweep;

#[cfg(test)]
mod tests;

pub use self::comparison::comparison_page;
pub use self::repeats::repeats_page;
pub use self::single::run_page;
pub use self::sweep::sweep_page;
use crate::bench::compare::MeasuredRun;
use crate::report::html::{Block, Card, Figure, Page, Tone};
use crate::report::plot::Svg;

/// A page and the plots on it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The page.
    pub page: Page,
    /// The plots by file name, without ending: `ttft-cdf`.
    pub plots: Vec<(String, Svg)>,
}

impl Report {
    /// The page as HTML.
    pub fn html(&self) -> String {
        self.page.render()
    }
}

/// Plots as they are put on a page, kept by name too.
#[derive(Debug, Default)]
struct Plots(Vec<(String, Svg)>);

impl Plots {
    fn block(&mut self, name: &str, caption: impl Into<String>, svg: Svg) -> Block {
        self.0.push((name.to_owned(), svg.clone()));
        Block::Figure(Figure { caption: caption.into(), svg })
    }
}

fn card(label: &str, value: String, note: String, tone: Tone) -> Card {
    Card { label: label.into(), value, note, tone }
}

/// What is wrong with the figures of each run.
pub(crate) fn warnings(runs: &[MeasuredRun]) -> Vec<String> {
    let of = |run: &MeasuredRun| {
        let named = |warning: &String| format!("{}: {warning}", run.name);
        run.summary.warnings.iter().map(named).collect::<Vec<_>>()
    };
    runs.iter().flat_map(of).collect()
}

fn footer() -> String {
    format!("sparkbench {}", env!("CARGO_PKG_VERSION"))
}
