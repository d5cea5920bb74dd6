//! What each node did for a run: its figures, and its time as a picture.

use super::figures;
use super::over_time::TimeAxis;
use crate::commands::text_table::as_table;
use crate::report::html::{Block, Figure, Section};
use crate::report::plot::{Kind, ShareRow, Shares};
use crate::tuner::history::{Doing, History};

/// Parts that the time of a run is shown in: a few pixels each.
const PARTS: u64 = 160;
/// Nodes in one picture.
const TOGETHER: usize = 16;

/// What is shown of a node's time, in the order in which it is stacked. What is left of it the node was idle.
const SHOWN: [(Doing, &str, usize); 3] =
    [(Doing::Measuring, "measuring", 0), (Doing::Compiling, "compiling", 4), (Doing::Away, "away", 5)];

/// The section; of a history with nodes.
pub(super) fn section(history: &History) -> Section {
    let mut blocks = vec![
        Block::Prose(
            "Used is the share of the time the node was there in which it was at work. Proven are kernels that it compiled \
             first, and those that earlier runs had kept; binaries are of proven kernels, made again to launch them, \
             taken those that another node had made; restarts are returns after it had left, and workers for measuring that took \
             another's place."
                .into(),
        ),
        Block::Table(as_table(figures::work(history), "Time and work of each node.")),
    ];
    if history.sessions.len() > 1 {
        let axis = TimeAxis::over(history.ends_ms);
        let told = history.sessions.iter().map(|session| {
            let [from, to] = [session.from_ms, session.to_ms].map(|ms| axis.place(ms));
            format!(
                "a session opened on {} (UTC): from {from:.1} to {to:.1} {} of the run",
                session.opened.strftime("%F at %T"),
                axis.unit
            )
        });
        blocks.push(Block::Points(told.collect()));
    }
    let nodes: Vec<_> = history.nodes.iter().collect();
    for together in nodes.chunks(TOGETHER) {
        let rows = together.iter().map(|(name, node)| ShareRow {
            label: name.to_string(),
            parts: parts(history.ends_ms)
                .map(|(from, to)| SHOWN.map(|(doing, ..)| node.share(doing, from, to)).to_vec())
                .collect(),
            figure: figures::percent(node.utilisation()),
        });
        let axis = TimeAxis::over(history.ends_ms);
        let svg = Shares {
            title: "What nodes did when".into(),
            description: "For each node, the shares of its time in which it measured, compiled and was away."
                .into(),
            axis: axis.label(),
            end: axis.place(history.ends_ms),
            label_heading: "node".into(),
            figure_heading: "used".into(),
            kinds: SHOWN.map(|(_, name, colour)| Kind { name: name.into(), colour }).into(),
            rows: rows.collect(),
        }
        .render();
        let caption = "What each node did when. A row is as high as the share of that moment; where it is empty, the node \
                       had nothing to do, or had not joined yet.";
        blocks.push(Block::Figure(Figure { caption: caption.into(), svg }));
    }
    Section { title: "Nodes".into(), blocks }
}

/// Equal parts of the run's time, milliseconds; fewer where it is shorter than they are many.
fn parts(ends_ms: u64) -> impl Iterator<Item = (u64, u64)> {
    let count = PARTS.min(ends_ms);
    let edge = move |at: u64| (u128::from(ends_ms) * u128::from(at) / u128::from(count.max(1))) as u64;
    (0..count).map(move |at| (edge(at), edge(at + 1)))
}
