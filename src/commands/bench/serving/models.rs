//! `sparkbench models`: what can be served, and how.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::planning::{as_inventoried, planned};
use super::wanted::WantedModel;
use crate::cluster::inventory::{self, Inventory};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::device::DeviceCatalogue;
use crate::model::Catalogue;
use crate::serving::{Rules, number, variants};

/// What is listed.
#[derive(Debug)]
pub(crate) struct ModelsSettings {
    /// Recipes and rules of one's own.
    pub(crate) profiles: Option<PathBuf>,
    /// The inventory on which they are to fit; none asks for no fit.
    pub(crate) cluster: Option<PathBuf>,
    /// One JSON list.
    pub(crate) json: bool,
}

/// List every way in which a model is served.
pub(crate) fn run(settings: &ModelsSettings, out: &mut dyn Output) -> CommandResult {
    let catalogue = Catalogue::load(settings.profiles.as_deref())?;
    let rules = Rules::load(settings.profiles.as_deref())?;
    let devices = DeviceCatalogue::embedded();
    let inventory = match &settings.cluster {
        Some(path) => Some(inventory::find(Some(path))?.inventory),
        None => None,
    };
    let mut list = Vec::new();
    let mut served: Vec<_> = catalogue.models().iter().filter(|known| known.serve().is_some()).collect();
    // Those with a number first, in its order; the others stay sorted by name.
    served.sort_by_key(|known| number(known).unwrap_or(i64::MAX));
    for known in served {
        let named = variants(known);
        for variant in std::iter::once(None).chain(named.iter().map(|name| Some(name.as_str()))) {
            let wanted = WantedModel::of(known, variant)?;
            let fit = inventory.as_ref().map(|inventory| fit(&wanted, inventory, devices, &rules));
            list.push((wanted, fit));
        }
    }
    if settings.json {
        let values = list.iter().map(|(wanted, fit)| as_json(wanted, fit));
        out.json(&values.collect::<Vec<_>>().into()).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let row = |(wanted, fit): &(WantedModel, Option<Fit>)| {
        let recipe = &wanted.recipe;
        let keys = &recipe.keys;
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let mut row = vec![
            or_dash(keys.number.map(|number| number.to_string())),
            recipe.name(),
            keys.engine.name().to_owned(),
            recipe.split().to_string(),
            recipe.split().gpus().to_string(),
            or_dash(keys.weights_gb.map(|size| size.to_string())),
            or_dash(keys.context_length.map(|length| length.to_string())),
            if keys.needs_token { "yes" } else { "no" }.to_owned(),
        ];
        if let Some(fit) = fit {
            row.push(fit.as_ref().map_or_else(|why| format!("no: {why}"), |()| "yes".to_owned()));
        }
        row.push(keys.notes.clone());
        row
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let mut header = vec!["#", "model", "engine", "split", "nodes", "GB", "context", "token"];
    header.extend(inventory.as_ref().map(|_| "fits"));
    header.push("notes");
    out.table(&header, &rows).map_err(OutputError)?;
    Ok(Verdict::Done)
}

/// Whether a model fits, or why it does not, in a line.
type Fit = Result<(), String>;

fn fit(wanted: &WantedModel, inventory: &Inventory, devices: &DeviceCatalogue, rules: &Rules) -> Fit {
    let nodes = as_inventoried(&inventory.nodes, devices);
    let plan = planned(wanted, &inventory.name, nodes, rules, None);
    plan.map(drop).map_err(|error| error.in_short())
}

fn as_json(wanted: &WantedModel, fit: &Option<Fit>) -> Value {
    let recipe = &wanted.recipe;
    let keys = &recipe.keys;
    let mut value = json!({
        "number": keys.number,
        "model": recipe.model,
        "variant": recipe.variant,
        "served_name": recipe.served_name(),
        "engine": keys.engine,
        "split": recipe.split(),
        "nodes": recipe.split().gpus(),
        "ray": keys.ray.is_some(),
        "image": keys.image,
        "weights_gb": keys.weights_gb,
        "context_length": keys.context_length,
        "needs_token": keys.needs_token,
        "notes": keys.notes,
    });
    if let Some(fit) = fit {
        value["fits"] = json!(fit.is_ok());
        value["why_not"] = json!(fit.as_ref().err());
    }
    value
}
