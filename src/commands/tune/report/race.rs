//! The part of a page that is about what was raced: what was gained, how the race went, what the space looks like.

use std::collections::{BTreeMap, BTreeSet};

use super::card::card;
use crate::commands::tune::moe::output::dispute;
use crate::commands::tune::subject::grouped;
use crate::kernel::space;
use crate::report::html::{Block, Card, Cell, Column, Figure, Section, Table};
use crate::report::plot::{
    Axis, Best, Drawn, Forest, ForestRow, HeatMap, Lines, Point, Scale, Series, Within,
};
use crate::shape::{KernelConfig, Role};
use crate::tuner::plan::Plan;
use crate::tuner::replay::regret::STOCK_RUNS;
use crate::tuner::run::Raced;
use crate::tuner::select::Selected;

/// The space is shown at the batch size nearest to this one.
const SHOWN_BATCH_SIZE: u32 = 64;

/// The headline figures.
pub(super) fn cards(plan: &Plan, selected: &[Selected], raced: &Raced) -> Vec<Card> {
    let adopted = selected.iter().filter(|entry| speedup(entry).is_some()).count();
    let spent = &raced.spent;
    let every = space::configs(&plan.shape.quantization).len() * plan.batch_sizes.len() * Role::BOTH.len();
    let stock = grouped(every as u64 * STOCK_RUNS);
    vec![
        card("batch sizes", &format!("{} of {}", raced.decided, selected.len()), "decided"),
        card("defaults beaten", &adopted.to_string(), "by more than 0.5 %, in 200 pairs"),
        card("kernel launches", &grouped(spent.launches), &format!("the stock tuner makes {stock}")),
        card("measuring time", &format!("{:.0} s", spent.seconds), "set-up of the kernels included"),
    ]
}

/// What was gained, how the race went, what the space looks like.
pub(super) fn sections(plan: &Plan, selected: &[Selected], raced: &Raced) -> [Section; 3] {
    [gains(selected, raced), course(plan, raced), tiles(plan, raced)]
}

fn speedup(entry: &Selected) -> Option<crate::artifact::manifest::ManifestSpeedup> {
    entry.up.measured.and_then(|it| it.1.speedup)
}

fn gains(selected: &[Selected], raced: &Raced) -> Section {
    let rows = selected
        .iter()
        .filter_map(|entry| {
            let it = speedup(entry)?;
            let interval = Some((it.lower, it.upper));
            Some(ForestRow { label: entry.batch_size.to_string(), value: Some(it.estimate), interval })
        })
        .collect();
    let forest = Forest {
        title: "Speed-up by batch size".into(),
        description: "The default's time over the chosen config's, with intervals.".into(),
        axis: Axis::new("default's time / chosen config's time", Scale::Linear),
        label_heading: "batch size".into(),
        reference: 1.0,
        rows,
    };
    let row = |entry: &Selected| {
        let measured = entry.up.measured.map(|it| it.1);
        let us = |us: Option<f64>| us.map_or("-".to_owned(), |us| format!("{us:.1}"));
        [
            entry.batch_size.to_string(),
            us(measured.and_then(|it| it.default_us)),
            us(measured.map(|it| it.time_us)),
            speedup(entry).map_or("-".to_owned(), |it| format!("{:.3}", it.estimate)),
            entry.up.config.to_string(),
            entry.down.config.to_string(),
            entry.up.measured.map_or("compiled".to_owned(), |(rung, measured)| match measured.confirmed_on {
                Some(nodes) if nodes > 1 => format!("{rung} on {nodes} nodes"),
                _ => rung.to_string(),
            }),
        ]
        .map(Cell::from)
        .to_vec()
    };
    let disputes = selected.iter().filter_map(|entry| dispute(entry, raced));
    let disputes = disputes.map(|told| Block::Prose(format!("{told}. The default stays.")));
    Section {
        title: "Default against chosen".into(),
        blocks: [
            Block::Prose(
                "Both projections of a layer with the activation between them, timed in pairs on fresh routings, \
                 every fourth round skewed. A default is replaced only where the interval clears 0.5 %, on two nodes \
                 where there are two; times are those of the node that raced."
                    .into(),
            ),
            Block::Figure(Figure {
                caption: "The default's time over the chosen config's. Right of 1 is faster.".into(),
                svg: forest.render(),
            }),
            Block::Table(Table {
                caption: "Median times in microseconds; configs as M x N x K, group, warps, stages.".into(),
                columns: vec![
                    Column::number("batch size"),
                    Column::number("default us"),
                    Column::number("chosen us"),
                    Column::number("speed-up"),
                    Column::text("up"),
                    Column::text("down"),
                    Column::text("evidence"),
                ],
                rows: selected.iter().map(row).collect(),
            }),
        ]
        .into_iter()
        .chain(disputes)
        .collect(),
    }
}

fn course(plan: &Plan, raced: &Raced) -> Section {
    let series = plan
        .batch_sizes
        .iter()
        .zip(raced.trace.convergence(plan.batch_sizes.len()))
        .filter(|(_, progress)| progress.len() > 1)
        .map(|(batch_size, progress)| Series {
            name: batch_size.to_string(),
            points: progress.iter().map(|it| Point::new(it.launches as f64, it.over_last)).collect(),
            drawn: Drawn::Steps,
        })
        // More lines than colours tell nothing.
        .take(6)
        .collect();
    let lines = Lines {
        title: "Convergence".into(),
        description: "The leader's time over the last leader's, by kernel launches.".into(),
        x: Axis::new("kernel launches since the batch size's first round", Scale::Log10),
        y: Axis::new("leader's time / last leader's time", Scale::Linear),
        series,
        ..Lines::default()
    };
    Section {
        title: "How the race went".into(),
        blocks: vec![Block::Figure(Figure {
            caption:
                "The leader of a batch size as it changed, judged by all measurements there are at the end."
                    .into(),
            svg: lines.render(),
        })],
    }
}

fn tiles(plan: &Plan, raced: &Raced) -> Section {
    let nearest =
        (0..plan.batch_sizes.len()).min_by_key(|&at| plan.batch_sizes[at].abs_diff(SHOWN_BATCH_SIZE));
    let figure = |role: Role| {
        let contest = nearest.unwrap_or(0);
        let timed = raced.trace.space(&raced.contests, contest, role);
        let row = |config: &KernelConfig| (config.block_size_m, config.block_size_n);
        let column = |config: &KernelConfig| (config.block_size_k, config.num_warps, config.num_stages);
        let mut best: BTreeMap<_, f64> = BTreeMap::new();
        for (config, us) in &timed {
            let cell = best.entry((row(config), column(config))).or_insert(*us);
            *cell = cell.min(*us);
        }
        let rows: BTreeSet<_> = best.keys().map(|it| it.0).collect();
        let columns: BTreeSet<_> = best.keys().map(|it| it.1).collect();
        let map = HeatMap {
            title: format!("The {role} projection's space"),
            description: "Median time of each tile, the best of its groups.".into(),
            row_heading: "M x N".into(),
            rows: rows.iter().map(|(m, n)| format!("{m}x{n}")).collect(),
            column_heading: "K, warps, stages".into(),
            columns: columns.iter().map(|(k, warps, stages)| format!("{k} w{warps} s{stages}")).collect(),
            cells: rows
                .iter()
                .map(|row| columns.iter().map(|it| best.get(&(*row, *it)).copied()).collect())
                .collect(),
            value_label: "us".into(),
            scale: Scale::Log10,
            best: Best::Lowest,
            within: Within::Map,
        };
        let size = plan.batch_sizes.get(contest).copied().unwrap_or_default();
        Block::Figure(Figure {
            caption: format!(
                "{role} projection at batch size {size}: microseconds, the best GROUP_SIZE_M of each tile."
            ),
            svg: map.render(),
        })
    };
    Section { title: "The space".into(), blocks: Role::BOTH.map(figure).into() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::artifact::Evidence;
    use crate::artifact::manifest::{ManifestDispute, ManifestMeasurement, ManifestSpeedup};
    use crate::commands::tune::report::Told;
    use crate::tuner::history::History;
    use crate::tuner::run::tests::measured::a_run;
    use crate::tuner::verdict::{SecondVerdict, Verdict};

    fn page(plan: &Plan, selected: &[Selected], raced: &Raced) -> String {
        Told { plan, history: &History::default(), race: Some((selected, raced)) }.page()
    }

    /// The times are a look-alike's. SPARK_REPORT_LOOK names a folder to look at the page in.
    #[tokio::test]
    async fn the_page_tells_what_was_gained() {
        let (plan, finished) = a_run(&[1, 16, 64, 160, 1024, 4096]).await;
        let raced = finished.raced.as_ref().unwrap();
        let page = page(&plan, &finished.selected, raced);
        if let Some(folder) = std::env::var_os("SPARK_REPORT_LOOK") {
            std::fs::write(Path::new(&folder).join("race.html"), &page).unwrap();
        }
        assert_eq!(page.matches("<svg").count(), 4, "speed-ups, convergence and a map of each role");
        assert!(!page.contains("NaN"));
        let beaten = finished.selected.iter().filter(|entry| speedup(entry).is_some());
        assert_eq!(beaten.count(), 4, "the default fits up to 160 tokens and is beaten there");
        // The last leader is what convergence is measured by.
        for progress in raced.trace.convergence(plan.batch_sizes.len()) {
            assert_eq!(progress.last().unwrap().over_last, 1.0);
        }
    }

    /// On how many nodes, and where two did not agree, what each saw.
    #[tokio::test]
    async fn the_page_tells_what_a_second_node_said() {
        let (plan, mut finished) = a_run(&[64]).await;
        let raced = finished.raced.as_mut().unwrap();
        let second = SecondVerdict { on: "spark-2".parse().unwrap(), agrees: true, speedup: None };
        let verdict = Verdict { on: "spark-1".parse().unwrap(), speedup: None, second: Some(second) };
        raced.verdicts.insert(64, verdict);
        let (_, measured) = finished.selected[0].up.measured.unwrap();
        let said = |measured| {
            let mut entry = finished.selected[0].clone();
            entry.up.measured = Some(measured);
            page(&plan, &[entry], finished.raced.as_ref().unwrap())
        };
        let two = ManifestMeasurement { confirmed_on: Some(2), ..measured };
        let agreed = said((Evidence::Confirmed, two));
        assert!(agreed.contains("confirmed on 2 nodes") && !agreed.contains("do not agree"));
        assert!(!said((Evidence::Confirmed, measured)).contains("confirmed on"), "one is nothing to tell");
        let saw = |estimate| ManifestSpeedup { lower: 0.9, estimate, upper: 1.2, pairs: 200 };
        for (second, says) in [
            (Some(saw(0.99)), "spark-2 saw 0.990 (0.900 to 1.200)"),
            (None, "on spark-2 they did not both run"),
        ] {
            let disputed = Some(ManifestDispute { first: saw(1.1), second });
            let measured = ManifestMeasurement { speedup: None, confirmed_on: None, disputed, ..measured };
            let page = said((Evidence::Measured, measured));
            assert!(page.contains("nodes do not agree at batch size 64: spark-1 saw 1.100 (0.900 to 1.200)"));
            assert!(page.contains(says) && page.contains("The default stays."), "{says}");
        }
    }
}
