//! `sparktune models`: the catalogue, with the shape each model has on its default split.

use std::path::Path;

use serde_json::json;

use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::model::{Catalogue, FusionChoice, Geometry, Recipe, moe_shape};

/// List the catalogue, the user's own recipes included.
pub fn run(profiles: Option<&Path>, json: bool, out: &mut dyn Output) -> CommandResult {
    let catalogue = Catalogue::load(profiles)?;
    // A model whose kernels read no config files is listed with the reason, not left out.
    let resolve = |recipe: &Recipe| -> Result<Geometry, String> {
        moe_shape(&recipe.config(), recipe.parallelism(), recipe.target().runtime, FusionChoice::Auto)
            .map_err(|error| error.to_string())
    };
    if json {
        let list: Vec<_> = catalogue
            .moe()
            .map(|recipe| {
                let mut value = json!({
                    "id": recipe.id.to_string(),
                    "aliases": recipe.aliases,
                    "tp": recipe.parallelism().tp(),
                    "ep": recipe.parallelism().ep(),
                    "target": recipe.target(),
                    "image": recipe.target.image,
                    "notes": recipe.notes,
                    "unverified": recipe.unverified,
                });
                match resolve(recipe) {
                    Ok(geometry) => value["shape"] = json!(geometry.shape),
                    Err(reason) => value["refused"] = json!(reason),
                }
                value
            })
            .collect();
        out.json(&list.into()).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let mut refused = Vec::new();
    let rows: Vec<Vec<String>> = catalogue
        .moe()
        .map(|recipe| {
            let cell = |value: &dyn std::fmt::Display| value.to_string();
            let mut row = vec![recipe.id.to_string(), cell(&recipe.parallelism().tp())];
            match resolve(recipe) {
                Ok(Geometry { shape, .. }) => row.extend([
                    cell(&shape.experts),
                    cell(&shape.intermediate),
                    cell(&shape.hidden),
                    cell(&shape.top_k),
                    cell(&shape.quantization),
                    cell(&recipe.target()),
                ]),
                Err(reason) => {
                    row.extend(["-", "-", "-", "-", "refused", "-"].map(String::from));
                    refused.push(reason);
                }
            }
            row
        })
        .collect();
    out.table(&["model", "tp", "E", "N", "K", "top-k", "quantisation", "target"], &rows)
        .map_err(OutputError)?;
    for reason in refused {
        out.line(&format!("refused: {reason}")).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}
