//! The page of a run: what was gained, who decided it, what each node did when, and how its GPU was meanwhile.

use super::card::card;
use super::{Told, figures, nodes, over_time, race};
use crate::commands::text_table::as_table;
use crate::commands::tune::subject::grouped;
use crate::report::html::{Block, Card, Page, Section};
use crate::span::in_words;
use crate::tuner::history::{Doing, NodeHistory};

/// The page.
pub(super) fn page(told: &Told<'_>) -> Page {
    let Told { plan, history, race } = told;
    let mut sections = Vec::new();
    if let Some((selected, raced)) = race {
        sections.extend(race::sections(plan, selected, raced));
    }
    if history.nodes.is_empty() {
        let said = "No node has worked for this run.".to_owned();
        sections.push(Section { title: "Nodes".into(), blocks: vec![Block::Prose(said)] });
    } else {
        sections.push(nodes::section(history));
        sections.extend(over_time::sections(history));
    }
    if let Some((_, raced)) = race.filter(|(_, raced)| !raced.verdicts.is_empty()) {
        let blocks = vec![
            Block::Prose(
                "A batch size is decided by one node's own times, and a choice that beat the default there is asked of a \
                 second node where there is one. Of two nodes only verdicts are compared. Where the default stayed, the \
                 speed-up is its best rival's."
                    .into(),
            ),
            Block::Table(as_table(
                figures::verdicts(raced),
                "The default's time over the choice's, with its interval.",
            )),
        ];
        sections.push(Section { title: "Who decided".into(), blocks });
    }
    let troubles = figures::troubles(history);
    if !troubles.is_empty() {
        sections.push(Section { title: "What went wrong".into(), blocks: vec![Block::Points(troubles)] });
    }
    Page {
        title: format!("Tuning {} on {}", plan.model.name, plan.device.name),
        subtitle: format!("{} | {} | tp {} ep {}", plan.shape, plan.target, plan.model.tp, plan.model.ep),
        cards: cards(told),
        sections,
        footer: format!("sparktune {}", env!("CARGO_PKG_VERSION")),
    }
}

fn cards(told: &Told<'_>) -> Vec<Card> {
    let Told { plan, history, race } = told;
    let mut cards = match race {
        Some((selected, raced)) => race::cards(plan, selected, raced),
        None => {
            let proven: u64 = history.nodes.values().map(|node| node.proven).sum();
            let kept: u64 = history.nodes.values().map(|node| node.kept).sum();
            vec![card("kernels proven", &grouped(proven), &format!("and {} by earlier runs", grouped(kept)))]
        }
    };
    if !history.nodes.is_empty() {
        let busy: u64 = history.nodes.values().map(NodeHistory::busy_ms).sum();
        let idle: u64 = history.nodes.values().map(|node| node.spent_ms(Doing::Idle)).sum();
        let used = (busy + idle > 0).then(|| busy as f64 / (busy + idle) as f64);
        let count = history.nodes.len();
        let note = format!(
            "of the time of {count} node{}, {} of the run",
            if count == 1 { "" } else { "s" },
            in_words(history.ends_ms as f64 / 1e3)
        );
        cards.push(card("used", &figures::percent(used), &note));
    }
    cards
}
