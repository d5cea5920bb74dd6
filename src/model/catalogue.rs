//! The models this tool knows by name: the embedded recipes, and a folder that may replace them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::limits::MAX_RECIPE_BYTES;
use super::recipe::Recipe;
use crate::failure::{Failure, Kind};
use crate::fs::{FolderError, ReadError, is_toml, read_text_at_most, toml_files};
use crate::spelling::closest;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/models");

/// Every known recipe, sorted by id, and the names they answer to.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    recipes: Vec<Recipe>,
    by_name: HashMap<String, usize>,
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
        let mut recipes = Vec::new();
        for file in EMBEDDED.files().filter(|file| is_toml(file.path())) {
            let path = Path::new("profiles/models").join(file.path());
            let text = file.contents_utf8().unwrap_or_default();
            recipes.push(parse(text, &path)?);
        }
        for recipe in profiles.map(own_recipes).transpose()?.unwrap_or_default() {
            recipes.retain(|known: &Recipe| lower(&known.id) != lower(&recipe.id));
            recipes.push(recipe);
        }
        recipes.sort_by_key(|recipe| lower(&recipe.id));
        let by_name = index(&recipes)?;
        Ok(Self { recipes, by_name })
    }

    /// The recipe that answers to `name`: its id, the id without the organisation, or an alias, in
    /// any case.
    pub(crate) fn find(&self, name: &str) -> Option<&Recipe> {
        self.by_name.get(&name.to_lowercase()).map(|index| &self.recipes[*index])
    }

    /// Every recipe, sorted by id.
    pub(crate) fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// Ids that look like `name`, best first, at most three.
    pub(crate) fn closest(&self, name: &str) -> Vec<String> {
        // Below this two names have little more in common than letters.
        const ALIKE: f64 = 0.7;
        let short = name.rsplit('/').next().unwrap_or_default();
        let named = self.recipes.iter().flat_map(|recipe| {
            let names = recipe.aliases.iter().map(String::as_str).chain([recipe.id.name()]);
            names.map(move |name| (name, &recipe.id))
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

fn index(recipes: &[Recipe]) -> Result<HashMap<String, usize>, CatalogueError> {
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (at, recipe) in recipes.iter().enumerate() {
        let own = [lower(&recipe.id), recipe.id.name().to_lowercase()];
        for name in own.into_iter().chain(recipe.aliases.iter().map(|alias| alias.to_lowercase())) {
            match by_name.insert(name.clone(), at) {
                Some(other) if other != at => {
                    let (first, second) = (recipes[other].id.to_string(), recipe.id.to_string());
                    return Err(CatalogueError::Ambiguous { name, first, second });
                }
                _ => {}
            }
        }
    }
    Ok(by_name)
}

fn own_recipes(profiles: &Path) -> Result<Vec<Recipe>, CatalogueError> {
    let unreadable =
        |path: PathBuf, error: io::Error| CatalogueError::Unreadable { path, reason: error.to_string() };
    let paths =
        toml_files(profiles, "models").map_err(|FolderError { path, source }| unreadable(path, source))?;
    let mut recipes: Vec<Recipe> = Vec::new();
    for path in paths {
        let recipe = match read_text_at_most(&path, MAX_RECIPE_BYTES) {
            Ok(text) => parse(&text, &path),
            Err(ReadError::Io(error)) => Err(unreadable(path, error)),
            Err(ReadError::TooLarge { limit, .. }) => {
                Err(CatalogueError::BadRecipe { path, message: format!("more than {limit} bytes") })
            }
        }?;
        if let Some(twin) = recipes.iter().find(|twin| lower(&twin.id) == lower(&recipe.id)) {
            let name = recipe.id.to_string();
            return Err(CatalogueError::Ambiguous { first: twin.id.to_string(), second: name.clone(), name });
        }
        recipes.push(recipe);
    }
    Ok(recipes)
}

fn parse(text: &str, path: &Path) -> Result<Recipe, CatalogueError> {
    Recipe::parse(text).map_err(|message| CatalogueError::BadRecipe { path: path.to_owned(), message })
}

fn lower(id: &super::model_id::ModelId) -> String {
    id.to_string().to_lowercase()
}
