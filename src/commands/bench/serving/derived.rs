//! A model that no recipe names: how it is served follows from its `config.json` and the nodes.

use std::path::Path;

use super::wanted::{Derivation, WantedError, WantedModel, split_name};
use crate::failure::Failure;
use crate::model::ModelLayout;
use crate::model::source::{
    HfEnvironment, ModelOrigin, ResolveError, ResolveOptions, ResolvedModel, resolve, weights_bytes,
};
use crate::serving::{DerivableModel, ServingNode, ServingRecipeError, derive};

/// A model that was found, and has no recipe.
#[derive(Debug)]
pub(super) struct Found {
    model: DerivableModel,
    architecture: Option<String>,
    derivation: Derivation,
}

impl Found {
    /// What `name` means that no recipe answers to: a path, or an id of the hub; else it is `unknown`.
    pub(super) async fn find(
        name: &str,
        unknown: WantedError,
        profiles: Option<&Path>,
        offline: bool,
    ) -> Result<Self, Box<dyn Failure>> {
        let (query, variant) = split_name(name);
        // Ids have a slash; a path without one is there, or nobody can know that it is meant as one.
        if !query.contains('/') && !Path::new(query).exists() {
            return Err(unknown.into());
        }
        if let Some(variant) = variant {
            let (model, variant) = (query.to_owned(), variant.to_owned());
            return Err(ServingRecipeError::NoVariant { model, variant, known: Vec::new() }.into());
        }
        let options = ResolveOptions {
            profiles_dir: profiles.map(Path::to_owned),
            offline,
            ..ResolveOptions::new(HfEnvironment::from_process())
        };
        let found = match resolve(query, &options).await {
            // Rather mistyped than the hub's.
            Err(ResolveError::Offline { .. }) if unknown.names_others() => return Err(unknown.into()),
            found => found?,
        };
        let bytes = weights_bytes(&found.origin, &options).await?;
        Self::of(found, bytes)
    }

    fn of(found: ResolvedModel, weights_bytes: Option<u64>) -> Result<Self, Box<dyn Failure>> {
        let layout = ModelLayout::of(&found.config).map_err(ResolveError::from)?;
        let mut remarks = Vec::new();
        let (model, served_name) = match &found.origin {
            ModelOrigin::File(config) => {
                let config = std::path::absolute(config).unwrap_or_else(|_| config.clone());
                let folder = config.parent().unwrap_or(&config).display().to_string();
                remarks.push(format!("{folder} has to be there on every node, and in its containers"));
                (folder, Some(found.name.clone()))
            }
            ModelOrigin::Catalogue(id) | ModelOrigin::Cache(id, _) | ModelOrigin::Hub(id, _) => {
                (id.to_string(), None)
            }
        };
        if weights_bytes.is_none() {
            remarks.push(
                "nothing says how large its weights are: that they go into memory was not looked at"
                    .to_owned(),
            );
        }
        if layout.own_code {
            remarks.push(
                "its class is code of its repository, which the engine refuses unless a recipe says \
                 `trust_remote_code`"
                    .to_owned(),
            );
        }
        // Exact below 2^53 bytes.
        let weights_gb = weights_bytes.map(|bytes| bytes as f64 / 1e9);
        Ok(Self {
            model: DerivableModel { model, served_name, layout, weights_gb },
            architecture: found.config.architecture().ok().map(str::to_owned),
            derivation: Derivation { from: found.origin.to_string(), remarks },
        })
    }

    /// How it is served on `nodes`.
    pub(super) fn on(self, nodes: &[ServingNode<'_>]) -> Result<WantedModel, Box<dyn Failure>> {
        Ok(WantedModel {
            recipe: derive(&self.model, nodes)?,
            architecture: self.architecture,
            experts: self.model.layout.experts,
            derived: Some(self.derivation),
        })
    }
}
