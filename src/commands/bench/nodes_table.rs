//! The machines behind a server as a table: on a terminal and on a page the same words and figures.

use super::words::short;
use crate::bench::nodes::{GpuState, NodeState, NodesAround};
use crate::commands::text_table::TextTable;

/// A row a GPU; a node without one has a row too. What may change has two figures, before and after.
pub(super) fn table(nodes: &NodesAround) -> TextTable {
    let after = nodes.after.as_deref().unwrap_or_default();
    let rows = nodes.before.iter().enumerate().flat_map(|(place, before)| rows(before, after.get(place)));
    let header =
        ["node", "GPU", "driver", "clock limit, MHz", "temperature, °C", "memory left, GiB", "kernel"];
    TextTable::new(&header, rows.collect())
}

fn rows(before: &NodeState, after: Option<&NodeState>) -> Vec<Vec<String>> {
    let none = GpuState::default();
    let gpus: Vec<&GpuState> =
        if before.gpus.is_empty() { vec![&none] } else { before.gpus.iter().collect() };
    let row = |(place, gpu): (usize, &&GpuState)| {
        let later = after.and_then(|after| after.gpus.get(place));
        let gib = |state: &NodeState| Some(state.memory_available_bytes? as f64 / (1u64 << 30) as f64);
        vec![
            before.node.clone(),
            if gpu.name.is_empty() { "-".to_owned() } else { gpu.name.clone() },
            gpu.driver.clone().unwrap_or_else(|| "-".to_owned()),
            gpu.max_clock_mhz.map_or("-".to_owned(), |clock| clock.to_string()),
            course(gpu.temperature_c, later.and_then(|gpu| gpu.temperature_c)),
            course(gib(before), after.and_then(gib)),
            before.kernel.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    gpus.iter().enumerate().map(row).collect()
}

/// Before and after.
fn course(before: Option<f64>, after: Option<f64>) -> String {
    let said = |figure: Option<f64>| figure.map_or("-".to_owned(), short);
    match (before, after) {
        (None, None) => "-".to_owned(),
        (before, None) => said(before),
        (before, after) => format!("{} to {}", said(before), said(after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gpu_has_a_row_and_a_node_without_one_too() {
        let gpu = |temperature_c| GpuState {
            name: "NVIDIA GB10".into(),
            driver: Some("580.95.05".into()),
            max_clock_mhz: Some(3003.0),
            temperature_c: Some(temperature_c),
            ..GpuState::default()
        };
        let state = |node: &str, gpus: Vec<GpuState>, gib: u64| NodeState {
            node: node.into(),
            kernel: Some("6.11".into()),
            gpus,
            memory_available_bytes: Some(gib << 30),
            ..NodeState::default()
        };
        let nodes = NodesAround {
            cluster: "lab".into(),
            before: vec![state("a", vec![gpu(50.0), gpu(51.0)], 100), state("b", vec![], 8)],
            after: Some(vec![state("a", vec![gpu(70.0), gpu(71.5)], 20), state("b", vec![], 8)]),
        };
        let rows: Vec<String> = table(&nodes).rows.iter().map(|row| row.join(" | ")).collect();
        assert_eq!(
            rows,
            [
                "a | NVIDIA GB10 | 580.95.05 | 3003 | 50.0 to 70.0 | 100 to 20.0 | 6.11",
                "a | NVIDIA GB10 | 580.95.05 | 3003 | 51.0 to 71.5 | 100 to 20.0 | 6.11",
                "b | - | - | - | - | 8.00 to 8.00 | 6.11",
            ]
        );
        // Of a run that was killed there is no after.
        let rows = table(&NodesAround { after: None, ..nodes }).rows;
        assert_eq!(rows[0][4..6], ["50.0".to_owned(), "100".to_owned()]);
    }
}
