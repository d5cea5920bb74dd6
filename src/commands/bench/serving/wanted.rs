//! The model that a command names, and how it is served.

use serde::Serialize;

use crate::failure::{Failure, Kind, forwards};
use crate::model::{AnyRecipe, Catalogue, KnownModel};
use crate::serving::{ServingRecipe, ServingRecipeError, number};

/// A name by which nothing is served.
#[derive(Debug, thiserror::Error)]
pub(super) enum WantedError {
    /// No recipe answers to it.
    #[error("unknown model `{name}`: no recipe answers to it")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Ids that look like it.
        closest: Vec<String>,
    },
    /// A number that several recipes have.
    #[error("number {number} is {}'s: give all but one another `serve.number`", models.join("'s and "))]
    Ambiguous {
        /// The number.
        number: i64,
        /// Whose it is.
        models: Vec<String>,
    },
    /// A recipe by which nothing can be served.
    #[error(transparent)]
    Recipe(#[from] ServingRecipeError),
}

forwards! {
    impl Failure for WantedError forwarding Recipe {
        Self::Unknown { closest, .. } if closest.is_empty() => Kind::Input,
            "`sparkbench models` lists what there is; a recipe of your own goes below --profiles, and a model of the \
             hub is written organisation/name";
        Self::Unknown { closest, .. } => Kind::Input, format!("did you mean {}?", closest.join(" or "));
        Self::Ambiguous { .. } => Kind::Input;
    }
}

impl WantedError {
    /// Whether there are recipes whose names look like it.
    pub(super) fn names_others(&self) -> bool {
        matches!(self, Self::Unknown { closest, .. } if !closest.is_empty())
    }
}

/// A model and the way it is served.
#[derive(Debug)]
pub(super) struct WantedModel {
    pub(super) recipe: ServingRecipe,
    pub(super) architecture: Option<String>,
    pub(super) experts: Option<u32>,
    /// What the recipe was derived from, where none says how the model is served.
    pub(super) derived: Option<Derivation>,
}

/// What a recipe was derived from, and what there is to know of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Derivation {
    /// The config.json: a path or an address.
    pub(super) from: String,
    /// In sentences.
    pub(super) remarks: Vec<String>,
}

/// A name apart: the model, and behind a colon the variant.
pub(super) fn split_name(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((model, variant)) => (model, Some(variant)),
        None => (name, None),
    }
}

impl WantedModel {
    /// What `name` means: `MODEL` or `MODEL:VARIANT`, and a model may be named by its number.
    pub(super) fn find(catalogue: &Catalogue, name: &str) -> Result<Self, WantedError> {
        let (model, variant) = split_name(name);
        let known = match model.parse::<i64>() {
            Ok(number) => numbered(catalogue, number)?,
            Err(_) => catalogue.find(model),
        };
        let known = known.ok_or_else(|| WantedError::Unknown {
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
                let (architecture, experts) = (Some(moe.architecture()), moe.routed_experts());
                Self { recipe, architecture, experts, derived: None }
            }
            AnyRecipe::Dense(_) => Self { recipe, architecture: None, experts: None, derived: None },
        })
    }
}

fn numbered(catalogue: &Catalogue, wanted: i64) -> Result<Option<&KnownModel>, WantedError> {
    let named: Vec<&KnownModel> =
        catalogue.models().iter().filter(|known| number(known) == Some(wanted)).collect();
    match named.as_slice() {
        [] => Ok(None),
        [known] => Ok(Some(known)),
        several => Err(WantedError::Ambiguous {
            number: wanted,
            models: several.iter().map(|known| known.id().to_string()).collect(),
        }),
    }
}
