//! The models this tool knows by name: the embedded recipes, and a folder that may replace them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::dense::DenseRecipe;
use super::limits::MAX_RECIPE_BYTES;
use super::model_id::ModelId;
use super::recipe::Recipe;
use crate::failure::{Failure, Kind};
use crate::fs::{FolderError, ReadError, is_toml, read_text_at_most, toml_files};
use crate::spelling::closest;
use crate::toml_text::{BadToml, from_toml};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/models");

/// Every known recipe, sorted by id, and the names they answer to.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    known: Vec<KnownModel>,
    by_name: HashMap<String, usize>,
}

/// A model that has a recipe.
#[derive(Debug, Clone)]
pub(crate) struct KnownModel {
    /// The recipe's file, for messages; an embedded one's in the source tree.
    pub path: PathBuf,
    /// The recipe.
    pub recipe: AnyRecipe,
}

/// A recipe, of whichever kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnyRecipe {
    /// Of a mixture of experts, which is tuned and may be served.
    Moe(Box<Recipe>),
    /// Of a model without experts, which is served.
    Dense(DenseRecipe),
}

impl KnownModel {
    /// The Hugging Face id.
    pub(crate) fn id(&self) -> &ModelId {
        match &self.recipe {
            AnyRecipe::Moe(recipe) => &recipe.id,
            AnyRecipe::Dense(recipe) => &recipe.id,
        }
    }

    /// How it is served, as it is written.
    pub(crate) fn serve(&self) -> Option<&toml::Table> {
        match &self.recipe {
            AnyRecipe::Moe(recipe) => recipe.serve.as_ref(),
            AnyRecipe::Dense(recipe) => Some(&recipe.serve),
        }
    }

    fn aliases(&self) -> &[String] {
        match &self.recipe {
            AnyRecipe::Moe(recipe) => &recipe.aliases,
            AnyRecipe::Dense(recipe) => &recipe.aliases,
        }
    }

    /// Read a recipe; the error is for a person.
    fn parse(text: &str, path: &Path) -> Result<Self, CatalogueError> {
        let bad = |message| CatalogueError::BadRecipe { path: path.to_owned(), message };
        let table: toml::Table = from_toml(text).map_err(|error| bad(said(error)))?;
        // What says anything of experts is a mixture of them, and must say all of it.
        let moe = ["target", "parallel", "config"].iter().any(|key| table.contains_key(*key));
        let recipe = match moe || !table.contains_key("serve") {
            true => AnyRecipe::Moe(Box::new(Recipe::parse(text).map_err(bad)?)),
            false => AnyRecipe::Dense(from_toml(text).map_err(|error| bad(said(error)))?),
        };
        Ok(Self { path: path.to_owned(), recipe })
    }
}

/// Why the catalogue cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    /// A recipe is wrong.
    #[error("recipe `{}`: {message}", path.display())]
    BadRecipe {
        path: PathBuf,
        /// Line, field and what was expected.
        message: String,
    },
    /// Two recipes answer to one name.
    #[error("`{name}` names both {first} and {second}: give one of them another alias")]
    Ambiguous {
        /// The name.
        name: String,
        /// One model.
        first: String,
        /// The other.
        second: String,
    },
}

impl Failure for CatalogueError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Catalogue {
    /// The embedded recipes; with `profiles`, those in its `models` folder added, replacing embedded
    /// ones of the same id.
    pub(crate) fn load(profiles: Option<&Path>) -> Result<Self, CatalogueError> {
        let mut known = Vec::new();
        for file in EMBEDDED.files().filter(|file| is_toml(file.path())) {
            let path = Path::new("profiles/models").join(file.path());
            let text = file.contents_utf8().unwrap_or_default();
            known.push(KnownModel::parse(text, &path)?);
        }
        for own in profiles.map(own_recipes).transpose()?.unwrap_or_default() {
            known.retain(|model: &KnownModel| lower(model.id()) != lower(own.id()));
            known.push(own);
        }
        known.sort_by_key(|model| lower(model.id()));
        let by_name = index(&known)?;
        Ok(Self { known, by_name })
    }

    /// The model that answers to `name`: its id, the id without the organisation, or an alias, in any case.
    pub(crate) fn find(&self, name: &str) -> Option<&KnownModel> {
        self.by_name.get(&name.to_lowercase()).map(|index| &self.known[*index])
    }

    /// Every model, sorted by id.
    pub(crate) fn models(&self) -> &[KnownModel] {
        &self.known
    }

    /// The recipes of mixtures of experts, sorted by id.
    pub(crate) fn moe(&self) -> impl Iterator<Item = &Recipe> {
        self.known.iter().filter_map(|model| match &model.recipe {
            AnyRecipe::Moe(recipe) => Some(&**recipe),
            AnyRecipe::Dense(_) => None,
        })
    }

    /// Ids that look like `name`, best first, at most three.
    pub(crate) fn closest(&self, name: &str) -> Vec<String> {
        // Below this two names have little more in common than letters.
        const ALIKE: f64 = 0.7;
        let short = name.rsplit('/').next().unwrap_or_default();
        let named = self.known.iter().flat_map(|model| {
            let names = model.aliases().iter().map(String::as_str).chain([model.id().name()]);
            names.map(move |name| (name, model.id()))
        });
        let mut ids: Vec<String> = Vec::new();
        for id in closest(short, named, ALIKE).into_iter().map(ToString::to_string) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids.truncate(3);
        ids
    }
}

fn index(known: &[KnownModel]) -> Result<HashMap<String, usize>, CatalogueError> {
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (at, model) in known.iter().enumerate() {
        let own = [lower(model.id()), model.id().name().to_lowercase()];
        for name in own.into_iter().chain(model.aliases().iter().map(|alias| alias.to_lowercase())) {
            match by_name.insert(name.clone(), at) {
                Some(other) if other != at => {
                    let (first, second) = (known[other].id().to_string(), model.id().to_string());
                    return Err(CatalogueError::Ambiguous { name, first, second });
                }
                _ => {}
            }
        }
    }
    Ok(by_name)
}

fn own_recipes(profiles: &Path) -> Result<Vec<KnownModel>, CatalogueError> {
    let unreadable =
        |path: PathBuf, error: io::Error| CatalogueError::Unreadable { path, reason: error.to_string() };
    let paths =
        toml_files(profiles, "models").map_err(|FolderError { path, source }| unreadable(path, source))?;
    let mut recipes: Vec<KnownModel> = Vec::new();
    for path in paths {
        let recipe = match read_text_at_most(&path, MAX_RECIPE_BYTES) {
            Ok(text) => KnownModel::parse(&text, &path),
            Err(ReadError::Io(error)) => Err(unreadable(path, error)),
            Err(ReadError::TooLarge { limit, .. }) => {
                Err(CatalogueError::BadRecipe { path, message: format!("more than {limit} bytes") })
            }
        }?;
        if let Some(twin) = recipes.iter().find(|twin| lower(twin.id()) == lower(recipe.id())) {
            let name = recipe.id().to_string();
            return Err(CatalogueError::Ambiguous {
                first: twin.id().to_string(),
                second: name.clone(),
                name,
            });
        }
        recipes.push(recipe);
    }
    Ok(recipes)
}

fn said(BadToml { place, message }: BadToml) -> String {
    format!("{place}: {message}")
}

fn lower(id: &ModelId) -> String {
    id.to_string().to_lowercase()
}
