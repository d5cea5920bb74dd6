//! What the server said of itself while it was measured.

use std::collections::BTreeSet;

use super::Plots;
use crate::bench::summary::ServerView;
use crate::report::html::Block;
use crate::report::plot::{Axis, Drawn, Lines, Point, Scale, Series};

/// Plots shown at once; the rest is folded away, up to [`MOST`].
const SHOWN: usize = 4;

/// A page with more plots than this is slow to open and read by nobody.
const MOST: usize = 24;

/// Points of one plot.
const POINTS: usize = 600;

/// Words in names of what matters most, first things first.
const TELLING: [&str; 6] = ["running", "queue", "waiting", "usage", "hit", "throughput"];

/// One plot for each metric that changed; counters as rates.
pub(super) fn blocks(view: &ServerView, plots: &mut Plots) -> Vec<Block> {
    let names: BTreeSet<&String> = view.samples.iter().flat_map(|sample| sample.values.keys()).collect();
    let mut curves: Vec<(&str, Vec<Point>)> = names
        .iter()
        .map(|name| (name.as_str(), curve(view, name)))
        .filter(|(_, points)| points.len() > 1 && points.iter().any(|point| point.y != points[0].y))
        .collect();
    let rank = |name: &str| TELLING.iter().position(|word| name.contains(word)).unwrap_or(TELLING.len());
    curves.sort_by_key(|(name, _)| rank(name));
    let dropped = curves.len().saturating_sub(MOST);
    let mut blocks: Vec<Block> =
        curves.into_iter().take(MOST).map(|(name, points)| figure(name, points, plots)).collect();
    if blocks.len() > SHOWN {
        let rest = blocks.split_off(SHOWN);
        blocks.push(Block::Details { summary: format!("{} more", rest.len()), blocks: rest });
    }
    if dropped > 0 {
        blocks.push(Block::Prose(format!("{dropped} more metrics changed; summary.json has their samples.")));
    }
    blocks
}

fn is_counter(name: &str) -> bool {
    name.ends_with("_total") || name.ends_with("_sum") || name.ends_with("_count")
}

fn curve(view: &ServerView, name: &str) -> Vec<Point> {
    let all: Vec<Point> = view
        .samples
        .iter()
        .filter_map(|sample| Some(Point::new(sample.at_s, *sample.values.get(name)?)))
        .collect();
    let stride = all.len().div_ceil(POINTS).max(1);
    let all: Vec<Point> = all.into_iter().step_by(stride).collect();
    if !is_counter(name) {
        return all;
    }
    all.windows(2)
        .filter(|pair| pair[1].x > pair[0].x)
        .map(|pair| Point::new(pair[1].x, (pair[1].y - pair[0].y) / (pair[1].x - pair[0].x)))
        .collect()
}

fn figure(name: &str, points: Vec<Point>, plots: &mut Plots) -> Block {
    let label = if is_counter(name) { format!("{name}, per second") } else { name.to_owned() };
    let svg = Lines {
        title: label.clone(),
        description: format!("The server's own {label}, by time."),
        x: Axis::new("seconds from the run's start", Scale::Linear),
        y: Axis::new(label.clone(), Scale::Linear).covering(0.0, 0.0),
        series: vec![Series { name: String::new(), points, drawn: Drawn::Plain }],
        ..Lines::default()
    }
    .render();
    let file: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    plots.block(&format!("server-{file}"), format!("{label}: sampled from the server's /metrics."), svg)
}
