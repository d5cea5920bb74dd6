//! `sparktune space`: the search space, one row a config, with what each needs.

use serde_json::{Value, json};

use super::{CommandResult, Output, OutputError, Verdict};
use crate::device::Device;
use crate::kernel::{KernelConfig, shared_memory, space};
use crate::model::Quantization;

/// How to print the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// Comma-separated, with a header.
    Csv,
    /// A list of objects.
    Json,
}

/// List the space of `quantization` on `device`; `distinct` leaves GROUP_SIZE_M out.
pub fn run(
    quantization: &Quantization,
    device: &Device,
    distinct: bool,
    format: Format,
    out: &mut dyn Output,
) -> CommandResult {
    let configs = space::configs(quantization);
    // A tile is listed as the config with the first GROUP_SIZE_M, whose column is left out.
    let rows: Vec<KernelConfig> = if distinct {
        space::tiles(&configs).iter().map(|tile| tile.with_group(1)).collect()
    } else {
        configs
    };
    let mut header = vec!["BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K"];
    if !distinct {
        header.push("GROUP_SIZE_M");
    }
    header.extend(["num_warps", "num_stages", "shared_bytes", "fits"]);
    let cells = rows.iter().map(|config| {
        let shared = shared_memory::required_bytes(&config.tile(), quantization);
        let mut cells: Vec<Value> =
            vec![config.block_size_m.into(), config.block_size_n.into(), config.block_size_k.into()];
        if !distinct {
            cells.push(config.group_size_m.into());
        }
        let fits = shared <= device.shared_memory_per_block;
        cells.extend([config.num_warps.into(), config.num_stages.into(), shared.into(), fits.into()]);
        cells
    });
    match format {
        Format::Json => {
            let list: Vec<Value> = cells
                .map(|cells| header.iter().map(ToString::to_string).zip(cells).collect::<serde_json::Map<_, _>>())
                .map(Value::Object)
                .collect();
            out.json(&json!(list)).map_err(OutputError)?;
        }
        Format::Csv => {
            let mut text = header.join(",");
            text.push('\n');
            for cells in cells {
                // Numbers and booleans: nothing to quote.
                let line: Vec<String> = cells.iter().map(Value::to_string).collect();
                text.push_str(&line.join(","));
                text.push('\n');
            }
            out.bytes(text.as_bytes()).map_err(OutputError)?;
        }
        Format::Table => {
            let rows: Vec<Vec<String>> = cells.map(|row| row.iter().map(Value::to_string).collect()).collect();
            let fit = rows.iter().filter(|row| row.last().is_some_and(|cell| cell == "true")).count();
            out.table(&header, &rows).map_err(OutputError)?;
            let what = if distinct { "tiles" } else { "configs" };
            out.line(&format!(
                "{} {what}, {fit} fit {} ({} B of shared memory a block)",
                rows.len(),
                device.name,
                device.shared_memory_per_block
            ))
            .map_err(OutputError)?;
        }
    }
    Ok(Verdict::Done)
}
