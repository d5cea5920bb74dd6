//! How the nodes' GPUs were over the time of a run: clocks, temperatures, and the sentinel's times.

use super::figures;
use crate::commands::text_table::as_table;
use crate::host_name::HostName;
use crate::report::html::{Block, Figure, Section};
use crate::report::plot::{Axis, Drawn, Lines, Point, Reference, Scale, Series};
use crate::tuner::history::{History, NodeHistory};
use crate::tuner::sentinel::STEADY_WITHIN;
use crate::worker::protocol::GpuState;

/// Points of a line: what lies closer together is one point, with its range.
const POINTS: u64 = 120;
/// Lines in one plot: more than colours tell nothing.
const TOGETHER: usize = 5;

/// The time of a run in a unit that suits its length.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeAxis {
    /// `s`, `min` or `h`.
    pub unit: &'static str,
    ms: f64,
}

impl TimeAxis {
    /// For a run that ends at `ends_ms`.
    pub(super) fn over(ends_ms: u64) -> Self {
        match ends_ms {
            0..180_000 => Self { unit: "s", ms: 1e3 },
            180_000..10_800_000 => Self { unit: "min", ms: 6e4 },
            _ => Self { unit: "h", ms: 3.6e6 },
        }
    }

    /// Where a moment lies, in the unit.
    pub(super) fn place(self, ms: u64) -> f64 {
        ms as f64 / self.ms
    }

    /// What the axis is called.
    pub(super) fn label(self) -> String {
        format!("time of the run ({})", self.unit)
    }
}

/// Moments of a node, milliseconds of the run, each with a figure.
type Moments = Vec<(u64, f64)>;

/// What a plot shows of each node.
struct Shown {
    title: &'static str,
    description: &'static str,
    axis: &'static str,
    caption: String,
    reference: Option<Reference>,
    /// What is marked, where anything is.
    marked: &'static str,
}

/// The sections of a run that measured; one that says so of a run that did not.
pub(super) fn sections(history: &History) -> Vec<Section> {
    if !history.is_measured() {
        let said = "Nothing was measured: there are no clocks, temperatures or sentinel's times to show.";
        return vec![Section { title: "GPUs".into(), blocks: vec![Block::Prose(said.into())] }];
    }
    vec![
        Section { title: "GPUs over time".into(), blocks: gpus(history) },
        Section { title: "Sentinel drift".into(), blocks: drift(history) },
    ]
}

fn gpus(history: &History) -> Vec<Block> {
    let clock = Shown {
        title: "SM clock over time",
        description: "The SM clock of each node's GPU after each round.",
        axis: "SM clock (MHz)",
        caption: "SM clock after each round. Bands are the range where points stand for several readings."
            .into(),
        reference: None,
        marked: "throttled",
    };
    let warmth = Shown {
        title: "Temperature over time",
        description: "The temperature of each node's GPU after each round.",
        axis: "temperature (\u{b0}C)",
        caption: "Temperature after each round.".into(),
        reference: None,
        marked: "",
    };
    let of = |of: fn(&GpuState) -> Option<f64>| {
        move |node: &NodeHistory| -> Moments {
            node.readings.iter().filter_map(|(at_ms, state)| Some((*at_ms, of(state)?))).collect()
        }
    };
    let throttled = |node: &NodeHistory| -> Moments {
        node.throttled().filter_map(|(at_ms, state)| Some((*at_ms, state.clock_mhz?))).collect()
    };
    let none = |_: &NodeHistory| Moments::new();
    let clocks = figures_of(history, &clock, &of(|it| it.clock_mhz), &throttled);
    let warmths = figures_of(history, &warmth, &of(|it| it.temperature_c), &none);
    let mut blocks = vec![
        Block::Prose(
            "What drivers said after each round. Throttled are readings in which something held the clock down; looks and \
             the furthest drift are the sentinel's."
                .into(),
        ),
        Block::Table(as_table(figures::gpus(history), "Medians and extremes of each node.")),
    ];
    for (figures, what) in [(clocks, "clocks"), (warmths, "temperatures")] {
        match figures.is_empty() {
            true => blocks.push(Block::Prose(format!("No driver told {what}."))),
            false => blocks.extend(figures),
        }
    }
    blocks
}

fn drift(history: &History) -> Vec<Block> {
    let percent = STEADY_WITHIN * 100.0;
    let far = |node: &NodeHistory| -> Moments {
        let moments = looks(node).into_iter();
        moments.filter(|(_, ratio)| (ratio - 1.0).abs() > STEADY_WITHIN).collect()
    };
    let beyond: usize = history.nodes.values().map(|node| far(node).len()).sum();
    let all: usize = history.nodes.values().map(|node| looks(node).len()).sum();
    let shown = Shown {
        title: "Sentinel drift over time",
        description: "The sentinel's time over that of its first look at the same batch size, for each node.",
        axis: "sentinel's time / its first time",
        caption: "The sentinel's time over its first at the same batch size on the same node: 1 is no drift."
            .into(),
        reference: Some(Reference { y: 1.0, label: "the first look".into() }),
        marked: "beyond what counts as steady",
    };
    let mut blocks = vec![Block::Prose(format!(
        "Every twenty rounds a batch size's sentinel, always the same config, is timed again: what changes about it is the \
         machine. It steers no verdict: configs are compared within rounds of one node, in pairs for the last word, so \
         that drift slows both sides alike. A change of more than {percent:.0} % is told, and with --strict the node \
         measures no more. Here {beyond} of {all} looks were beyond that."
    ))];
    let figures = figures_of(history, &shown, &looks, &far);
    if figures.is_empty() {
        blocks.push(Block::Prose("No look was at a GPU that was awake.".into()));
    }
    blocks.extend(figures);
    blocks
}

fn looks(node: &NodeHistory) -> Moments {
    node.looks.iter().filter_map(|look| Some((look.at_ms, look.over_first?))).collect()
}

/// One plot for every few nodes of which there is something to show; all but the first folded away.
fn figures_of(
    history: &History,
    shown: &Shown,
    line: &dyn Fn(&NodeHistory) -> Moments,
    marked: &dyn Fn(&NodeHistory) -> Moments,
) -> Vec<Block> {
    let axis = TimeAxis::over(history.ends_ms);
    let nodes: Vec<(&HostName, &NodeHistory)> =
        history.nodes.iter().filter(|(_, node)| !line(node).is_empty()).collect();
    let plot = |together: &[(&HostName, &NodeHistory)]| {
        let points = |moments: &Moments| thinned(moments, history.ends_ms, axis);
        let mut series: Vec<Series> = together
            .iter()
            .map(|(name, node)| Series {
                name: name.to_string(),
                points: points(&line(node)),
                drawn: Drawn::Plain,
            })
            .collect();
        let marks: Vec<Point> = together
            .iter()
            .flat_map(|(_, node)| points(&marked(node)))
            .map(|point| Point { band: None, ..point })
            .collect();
        if !marks.is_empty() {
            series.push(Series { name: shown.marked.into(), points: marks, drawn: Drawn::Dots });
        }
        let svg = Lines {
            title: shown.title.into(),
            description: shown.description.into(),
            x: Axis::new(axis.label(), Scale::Linear).covering(0.0, axis.place(history.ends_ms)),
            y: Axis::new(shown.axis, Scale::Linear),
            series,
            reference: shown.reference.clone(),
            ..Lines::default()
        }
        .render();
        Block::Figure(Figure { caption: shown.caption.clone(), svg })
    };
    let mut plots = nodes.chunks(TOGETHER).map(plot);
    let first = plots.next();
    let rest: Vec<Block> = plots.collect();
    let folded = (!rest.is_empty())
        .then(|| Block::Details { summary: format!("{}: the other nodes", shown.title), blocks: rest });
    first.into_iter().chain(folded).collect()
}

/// `moments` as points: those of the same small part of the run are one, at their mean, with their range.
fn thinned(moments: &Moments, ends_ms: u64, axis: TimeAxis) -> Vec<Point> {
    let width = (ends_ms / POINTS).max(1);
    let point = |several: &[(u64, f64)]| {
        let count = several.len() as f64;
        let at = several.iter().map(|(at_ms, _)| axis.place(*at_ms)).sum::<f64>() / count;
        let mean = several.iter().map(|(_, figure)| figure).sum::<f64>() / count;
        let (low, high) =
            several.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, figure)| {
                (low.min(*figure), high.max(*figure))
            });
        if several.len() > 1 { Point::new(at, mean).between(low, high) } else { Point::new(at, mean) }
    };
    moments.chunk_by(|a, b| a.0 / width == b.0 / width).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_close_together_is_one_point_with_its_range() {
        let axis = TimeAxis::over(120_000);
        assert_eq!((axis.unit, axis.label().as_str()), ("s", "time of the run (s)"));
        // Parts of a second.
        let moments = vec![(0, 1.0), (500, 3.0), (1_000, 7.0), (90_000, 2.0)];
        let expected = [Point::new(0.25, 2.0).between(1.0, 3.0), Point::new(1.0, 7.0), Point::new(90.0, 2.0)];
        assert_eq!(thinned(&moments, 120_000, axis), expected);
        let many = (0..10_000).map(|at| (at, 1.0)).collect();
        assert!(thinned(&many, 10_000, axis).len() <= POINTS as usize + 1);
        assert_eq!(thinned(&vec![(0, 1.0)], 0, axis), [Point::new(0.0, 1.0)]);
        assert_eq!([170_000, 200_000, 20_000_000].map(|ms| TimeAxis::over(ms).unit), ["s", "min", "h"]);
    }
}
