//! The models that the doctor is asked of.

use std::path::Path;
use std::time::Duration;

use super::DoctorSettings;
use crate::cluster::doctor::{AskedModel, ModelSource};
use crate::failure::{Failure, Kind};
use crate::host::HostPath;
use crate::model::source::{
    HfEnvironment, ModelOrigin, ResolveError, ResolveOptions, ResolvedModel, resolve,
};
use crate::model::{ModelId, Parallelism, Recipe};

/// How long the hub may take for the config of a model that is not on this machine.
const HUB_LIMIT: Duration = Duration::from_secs(10);

/// What the user's models are, each once. Without a recipe a model is split over all the inventory's `nodes`.
pub(super) async fn look_up(
    settings: &DoctorSettings,
    nodes: usize,
) -> Result<Vec<AskedModel>, Box<dyn Failure>> {
    let mut asked: Vec<AskedModel> = Vec::new();
    for query in &settings.models {
        let options = ResolveOptions {
            profiles_dir: settings.profiles.clone(),
            hub_timeout: HUB_LIMIT,
            ..ResolveOptions::new(HfEnvironment::from_process())
        };
        let found = resolve(query, &options).await;
        let model = model(query, found, settings.tp, nodes)?;
        if asked.iter().all(|other| other.source != model.source) {
            asked.push(model);
        }
    }
    Ok(asked)
}

/// A model as the nodes are asked for it. One that only this machine cannot look up is asked for by its id.
fn model(
    query: &str,
    found: Result<ResolvedModel, ResolveError>,
    tp: Option<u32>,
    nodes: usize,
) -> Result<AskedModel, Box<dyn Failure>> {
    let (name, source, recipe, config) = match found {
        Ok(ResolvedModel { name, config, origin, recipe }) => match &origin {
            ModelOrigin::File(file) => (name, ModelSource::Folder(folder(file)), recipe, Ok(config)),
            ModelOrigin::Catalogue(id) | ModelOrigin::Cache(id, _) | ModelOrigin::Hub(id, _) => {
                (id.to_string(), ModelSource::Hub(id.clone()), recipe, Ok(config))
            }
        },
        Err(error) => match query.parse::<ModelId>() {
            Ok(id) if error.kind() == Kind::Environment => {
                (id.to_string(), ModelSource::Hub(id), None, Err(error.to_string()))
            }
            _ => return Err(error.into()),
        },
    };
    let recipe = recipe.as_ref().map(Recipe::parallelism);
    let all = u32::try_from(nodes).unwrap_or(u32::MAX);
    let tp = tp.or(recipe.map(Parallelism::tp)).unwrap_or(all);
    let parallelism = Parallelism::new(tp, recipe.map_or(1, Parallelism::ep))?;
    Ok(AskedModel { name, source, parallelism, config })
}

/// The folder of a `config.json`, from the root.
fn folder(file: &Path) -> HostPath {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    HostPath::new(file.parent().unwrap_or(Path::new("/")).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(models: &[&str], tp: Option<u32>) -> DoctorSettings {
        let models = models.iter().map(|&model| model.to_owned()).collect();
        DoctorSettings { models, tp, ..super::super::tests::settings() }
    }

    #[tokio::test]
    async fn a_recipe_says_how_its_model_is_split_and_names_are_one_model() {
        let found = look_up(&settings(&["glm-4.7-fp8", "zai-org/GLM-4.7-FP8"], None), 2).await.unwrap();
        let [model] = &found[..] else { panic!("{found:?}") };
        assert_eq!(model.name, "zai-org/GLM-4.7-FP8");
        assert_eq!(model.parallelism, Parallelism::new(4, 1).unwrap());
        let said = look_up(&settings(&["glm-4.7-fp8"], Some(2)), 2).await.unwrap();
        assert_eq!(said[0].parallelism.tp(), 2);
        let bad = look_up(&settings(&["glm-4.7-fp8"], Some(0)), 2).await.unwrap_err();
        assert_eq!((bad.kind(), bad.to_string().contains("tp=0")), (Kind::Input, true));
    }

    #[tokio::test]
    async fn a_path_is_a_folder_and_is_split_over_all_nodes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"architectures":["LlamaForCausalLM"]}"#)
            .unwrap();
        let path = folder.path().to_str().unwrap();
        let found = look_up(&settings(&[path], None), 3).await.unwrap();
        assert_eq!(found[0].source, ModelSource::Folder(HostPath::new(path)));
        assert_eq!(found[0].parallelism.tp(), 3);
    }

    #[test]
    fn a_model_that_cannot_be_looked_up_here_is_asked_for_by_its_id() {
        let unreachable =
            || ResolveError::Offline { id: "org/model".parse::<ModelId>().unwrap(), cache: None };
        let found = model("org/model", Err(unreachable()), None, 2).unwrap();
        assert_eq!(found.source, ModelSource::Hub("org/model".parse().unwrap()));
        assert!(found.config.unwrap_err().contains("not on this machine"));
        let unknown = ResolveError::Unknown { query: "modle".into(), closest: Vec::new() };
        assert_eq!(model("modle", Err(unknown), None, 2).unwrap_err().kind(), Kind::Input);
    }
}
