//! A tuned image made on one node: its base asked where config files go, the files put there, and read back before
//! the image gets its name.

use std::collections::BTreeMap;

use super::build_error::ImageBuildError;
use super::plan::runs;
use super::tuned::Tuned;
use crate::cluster::deploy::ConfigFolder;
use crate::cluster::installed::{ConfigPlace, Installed, probe};
use crate::cluster::inventory::Node;
use crate::host::container_spec::{ContainerVariable, Labels};
use crate::host::engine::{Engine, EngineFailure, Image, ImageName, Progress, ShortLived};
use crate::host::{ContainerSpec, HostPath};
use crate::host_name::HostName;

/// What a container of this kind is for, as its label says.
const PURPOSE: &str = "image";
const PYTHON: &str = "python3";

/// A container of `image`, which users know as `name`, that runs nothing, to be asked what it has. It sees nothing of its
/// node. Not to be given up half-way: what is being created cannot be removed yet.
pub async fn open(
    engine: &Engine,
    image: &Image,
    name: &ImageName,
    cluster: &str,
) -> Result<ShortLived, ImageBuildError> {
    let labels = Labels::of_this_command(cluster, PURPOSE);
    let spec = ContainerSpec::apart(id(image)?.to_string(), labels).short_lived(engine.node());
    engine.run_short_lived(&spec, &HostPath::new("/"), None).await.map_err(|error| match error.what {
        EngineFailure::NoPython(_) => {
            ImageBuildError::NoPython { on: engine.node().clone(), image: name.clone() }
        }
        _ => error.into(),
    })
}

/// The image `base` on the node of `engine`, whose programs are for `architecture`, if a tuned one can be built on it.
pub async fn base(engine: &Engine, base: &ImageName, architecture: &str) -> Result<Image, ImageBuildError> {
    let on = || engine.node().clone();
    let image = engine.image(base).await.map_err(|error| match error.what {
        EngineFailure::NoImage(_) => ImageBuildError::NoBase { on: on(), image: base.clone() },
        _ => error.into(),
    })?;
    if !runs(&image.architecture, architecture) {
        let (built_for, node) = (image.architecture, architecture.to_owned());
        return Err(ImageBuildError::Architecture { on: on(), image: base.clone(), built_for, node });
    }
    match Tuned::of(&image) {
        Some(tuned) => Err(ImageBuildError::BaseIsTuned { image: base.clone(), base: tuned.base }),
        None => Ok(image),
    }
}

/// Where the runtime of `image`, asked in `container`, looks for config files on all of `nodes`, which may set its
/// variables and mount folders of their own.
pub async fn place(
    image: &ImageName,
    container: &ShortLived,
    nodes: &[&Node],
) -> Result<ConfigPlace, ImageBuildError> {
    let (host, python) = (container.host(), HostPath::new(PYTHON));
    let place = |error| ImageBuildError::Place { image: image.clone(), error: Box::new(error) };
    let installed = probe(&*host, &python).await.map_err(place)?;
    let mut first: Option<(HostName, ConfigPlace)> = None;
    for node in nodes {
        let found = on_node(&installed, node, host.name(), &python).map_err(place)?;
        let volumes = node.settings.container_from(String::new(), Labels::default()).volumes;
        let hides = |target: &str| is_below(found.folder.as_str(), target);
        if let Some(volume) = volumes.iter().find(|volume| hides(volume.target.as_str())) {
            let (on, volume) = (node.name.clone(), volume.to_string());
            return Err(ImageBuildError::Mounted { on, folder: found.folder, volume });
        }
        match &first {
            None => first = Some((node.name.clone(), found)),
            Some((_, other)) if other.folder == found.folder => {}
            Some((other, place)) => {
                return Err(ImageBuildError::Folders {
                    first: other.clone(),
                    folder: place.folder.clone(),
                    second: node.name.clone(),
                    other: found.folder,
                });
            }
        }
    }
    first.map(|(_, place)| place).ok_or(ImageBuildError::NoNode)
}

/// Where the runtime looks that is started with the variables of `node`.
fn on_node(
    installed: &Installed,
    node: &Node,
    on: &HostName,
    python: &HostPath,
) -> Result<ConfigPlace, crate::cluster::installed::NoPlace> {
    let set = |(name, variable): (&String, &ContainerVariable)| match variable {
        ContainerVariable::Set(value) => Some((name.clone(), value.clone())),
        ContainerVariable::FromHarness => None,
    };
    let variables = node.settings.environment().iter().filter_map(set).collect();
    installed.place(on, python, None, &variables)
}

/// Whether `path` is `folder` or lies below it.
fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Build `tuned` of `files` on top of `base` on the node of `engine`, and return it. It has no name yet, and was not
/// looked into.
pub async fn make(
    engine: &Engine,
    tuned: &Tuned,
    base: &Image,
    files: &BTreeMap<String, Vec<u8>>,
    tell: impl FnMut(Progress) + Send,
) -> Result<Image, ImageBuildError> {
    let named = |id: &str| id.parse::<ImageName>().map_err(ImageBuildError::Id);
    // By its ID: its name may be another image's meanwhile.
    let context = tuned.context(&named(&base.id)?, files).map_err(ImageBuildError::Context)?;
    Ok(engine.build(context, tell).await?)
}

/// See that the image in `container` has what `tuned` says, where its runtime looks.
pub async fn verify(
    tuned: &Tuned,
    place: &ConfigPlace,
    container: &ShortLived,
) -> Result<(), ImageBuildError> {
    let (folder, above) = (place.folder.clone(), place.above.clone());
    let folder = ConfigFolder { host: container.host(), python: HostPath::new(PYTHON), folder, above };
    let held =
        folder.look().await.map_err(|error| ImageBuildError::Look { on: folder.on().clone(), error })?;
    let lacks =
        |(name, file): &(&String, &super::tuned::TunedFile)| held.files.get(*name) != Some(&file.sha256);
    match tuned.files.iter().find(lacks) {
        None => Ok(()),
        Some((name, _)) => Err(ImageBuildError::NotInIt {
            on: folder.on().clone(),
            folder: folder.folder,
            name: name.clone(),
        }),
    }
}

/// Give the image that was built the name `tag`, which another one may have had.
pub async fn name(engine: &Engine, built: &Image, tag: &ImageName) -> Result<(), ImageBuildError> {
    Ok(engine.tag(&id(built)?, tag).await?)
}

/// Remove an image that was built and is not what it should be. One that has a name was there before: an engine that has
/// made the same image once gives that one again.
pub async fn discard(engine: &Engine, built: &Image) -> Result<(), ImageBuildError> {
    match built.tags.is_empty() {
        true => Ok(engine.remove_image(&id(built)?).await?),
        false => Ok(()),
    }
}

/// The name by which an image without one is called.
fn id(image: &Image) -> Result<ImageName, ImageBuildError> {
    image.id.parse().map_err(ImageBuildError::Id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_hidden_by_what_is_mounted_on_it_or_above() {
        for (path, folder, below) in [
            ("/a/b/c", "/a/b", true),
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/b/", true),
            ("/a/bc", "/a/b", false),
            ("/a", "/a/b", false),
            ("/a", "/", true),
        ] {
            assert_eq!(is_below(path, folder), below, "{path} in {folder}");
        }
    }
}
