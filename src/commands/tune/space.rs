//! `sparktune space`: the search space, one row a config, with what each needs.

use serde_json::{Value, json};

use super::subject::{Subject, SubjectSettings};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::device::Device;
use crate::events::Observer;
use crate::kernel::{shared_memory, space};
use crate::model::ByHand;
use crate::shape::{Dtype, KernelConfig, Quantization};

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

/// What the user said.
#[derive(Debug, Clone)]
pub struct SpaceSettings {
    /// Model and device; only the quantisation and the device matter.
    pub subject: SubjectSettings,
    /// One row a tile.
    pub distinct: bool,
    /// How to print.
    pub format: Format,
}

/// List the space of a model's quantisation, or of one given by hand.
pub async fn run(
    settings: &SpaceSettings,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let mut subject = settings.subject.clone();
    if subject.model.is_none() {
        // The space depends on the quantisation alone: any layer of it will do.
        let ByHand { experts, intermediate, hidden, top_k, dtype, .. } = &mut subject.by_hand;
        for number in [experts, intermediate, hidden, top_k] {
            number.get_or_insert(1024);
        }
        dtype.get_or_insert(Dtype::Fp8W8a8);
    }
    let Subject { geometry, device, .. } = Subject::resolve(&subject).await?;
    if subject.model.is_some() {
        for warning in &geometry.warnings {
            observer.note(warning.to_string());
        }
    }
    list(&geometry.shape.quantization, &device, settings.distinct, settings.format, out)
}

/// List the space of `quantization` on `device`; `distinct` leaves GROUP_SIZE_M out.
fn list(
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
                .map(|cells| {
                    header.iter().map(ToString::to_string).zip(cells).collect::<serde_json::Map<_, _>>()
                })
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
            let rows: Vec<Vec<String>> =
                cells.map(|row| row.iter().map(Value::to_string).collect()).collect();
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
