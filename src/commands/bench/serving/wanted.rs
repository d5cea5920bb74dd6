//! The model that a command names, and how it is served.

use crate::failure::{Failure, Kind};
use crate::model::{AnyRecipe, Catalogue, KnownModel};
use crate::serving::{ServingRecipe, ServingRecipeError, number};

/// A name that leads to no model.
#[derive(Debug, thiserror::Error)]
#[error("unknown model `{name}`: no recipe answers to it")]
pub(super) struct UnknownModel {
    name: String,
    closest: Vec<String>,
}

impl Failure for UnknownModel {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some(match self.closest.as_slice() {
            [] => "`sparkbench models` lists what there is; a recipe of your own goes below --profiles"
                .to_owned(),
            closest => format!("did you mean {}?", closest.join(" or ")),
        })
    }
}

/// A number that several recipes have.
#[derive(Debug, thiserror::Error)]
#[error("number {number} is {}'s: give all but one another `serve.number`", models.join("'s and "))]
pub(super) struct AmbiguousNumber {
    number: i64,
    models: Vec<String>,
}

impl Failure for AmbiguousNumber {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// A model and the way it is served.
#[derive(Debug)]
pub(super) struct WantedModel {
    pub(super) recipe: ServingRecipe,
    pub(super) architecture: Option<String>,
    pub(super) experts: Option<u32>,
}

impl WantedModel {
    /// What `name` means: `MODEL` or `MODEL:VARIANT`, and a model may be named by its number.
    pub(super) fn find(catalogue: &Catalogue, name: &str) -> Result<Self, Box<dyn Failure>> {
        let (model, variant) = match name.rsplit_once(':') {
            Some((model, variant)) => (model, Some(variant)),
            None => (name, None),
        };
        let known = match model.parse::<i64>() {
            Ok(number) => numbered(catalogue, number)?,
            Err(_) => catalogue.find(model),
        };
        let known = known.ok_or_else(|| UnknownModel {
            name: model.chars().take(200).collect(),
            closest: catalogue.closest(model),
        })?;
        Ok(Self::of(known, variant)?)
    }

    /// `known` as its recipe has it, or one of its variants.
    pub(super) fn of(known: &KnownModel, variant: Option<&str>) -> Result<Self, ServingRecipeError> {
        let recipe = ServingRecipe::of(known, variant)?;
        Ok(match &known.recipe {
            AnyRecipe::Moe(moe) => {
                Self { recipe, architecture: Some(moe.architecture()), experts: moe.routed_experts() }
            }
            AnyRecipe::Dense(_) => Self { recipe, architecture: None, experts: None },
        })
    }
}

fn numbered(catalogue: &Catalogue, wanted: i64) -> Result<Option<&KnownModel>, AmbiguousNumber> {
    let named: Vec<&KnownModel> =
        catalogue.models().iter().filter(|known| number(known) == Some(wanted)).collect();
    match named.as_slice() {
        [] => Ok(None),
        [known] => Ok(Some(known)),
        several => Err(AmbiguousNumber {
            number: wanted,
            models: several.iter().map(|known| known.id().to_string()).collect(),
        }),
    }
}
