//! What is wrong with how a model is to be served.

use std::path::PathBuf;

use crate::failure::{Failure, Kind};

/// A recipe by which nothing can be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServingRecipeError {
    /// It is for tuning only.
    #[error("the recipe of {0} has no [serve]: nothing is known of how it is served")]
    NotServed(String),
    /// There is no such variant.
    #[error(
        "{model} has no variant `{variant}`; {}",
        if .known.is_empty() { "it has none".to_owned() } else { format!("it has {}", .known.join(", ")) }
    )]
    NoVariant {
        /// The model.
        model: String,
        /// What was asked for.
        variant: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A value makes no sense.
    #[error("recipe `{}`, field `{field}`: {message}", path.display())]
    Bad {
        /// The recipe.
        path: PathBuf,
        /// Where in it.
        field: String,
        /// What is wrong, with the value and what is accepted.
        message: String,
    },
}

impl Failure for ServingRecipeError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}
