//! What goes into a tuned image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;

use super::{Asked, BuildSettings, Reached};
use crate::artifact::{ConfigName, Manifest, manifest};
use crate::cluster::deploy::ConfigFolder;
use crate::cluster::images::{ImageBuildError, Tuned, TunedFile, content};
use crate::cluster::installed::ConfigPlace;
use crate::commands::tune::deploy::{ForNodes, Gpus, Place, Ready};
use crate::failure::Failure;
use crate::host::engine::{Image, ImageName};
use crate::host::{Host, HostPath};

/// What goes into the image, and what does not.
pub(super) struct Contents {
    pub(super) tuned: Tuned,
    /// The bytes of its files by name.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Where each is from, in the order of the names.
    pub(super) sources: Vec<PathBuf>,
    /// Files that are for none of the nodes.
    pub(super) left_out: Vec<PathBuf>,
}

/// What is known of an image before it is built.
pub(super) struct About<'a> {
    pub(super) base_name: &'a ImageName,
    pub(super) base: &'a Image,
    pub(super) place: &'a ConfigPlace,
    pub(super) host: &'a Arc<dyn Host>,
    pub(super) settings: &'a BuildSettings,
}

impl About<'_> {
    /// The files for any of the nodes that were reached, each of them sound there.
    pub(super) async fn contents(
        &self,
        files: &ForNodes,
        asked: Vec<Asked>,
    ) -> Result<(Vec<Asked>, Contents), Box<dyn Failure>> {
        let gpus = join_all(asked.iter().map(|asked| async {
            match &asked.answer {
                Ok(reached) => Gpus::of(&reached.node).await,
                Err(_) => Gpus::unknown(),
            }
        }));
        let gpus = gpus.await;
        let mut nodes = Vec::new();
        let mut others = Vec::new();
        for (Asked { node, answer }, gpus) in asked.into_iter().zip(gpus) {
            match answer {
                Ok(Reached { node: connected, engine, held }) => {
                    nodes.push(Ready { node: connected, place: self.place(), gpus });
                    others.push((node, Ok((engine, held))));
                }
                Err(error) => others.push((node, Err(error))),
            }
        }
        let contents = self.of(files, &nodes);
        let mut nodes = nodes.into_iter();
        let again = |(node, answer)| match answer {
            Err(error) => Some(Asked { node, answer: Err(error) }),
            Ok((engine, held)) => {
                let connected = nodes.next()?.node;
                Some(Asked { node, answer: Ok(Reached { node: connected, engine, held }) })
            }
        };
        let asked = others.into_iter().filter_map(again).collect();
        Ok((asked, contents?))
    }

    fn place(&self) -> Place {
        let (folder, above) = (self.place.folder.clone(), self.place.above.clone());
        let host = Arc::clone(self.host);
        Place {
            folder: ConfigFolder { host, python: HostPath::new("python3"), folder, above },
            container: None,
            family: self.place.family,
            runtime: self.place.runtime,
            triton: Some(self.place.triton),
            reason: self.place.reason.clone(),
        }
    }

    fn of(&self, files: &ForNodes, nodes: &[Ready]) -> Result<Contents, Box<dyn Failure>> {
        let mut bytes = BTreeMap::new();
        let mut described = BTreeMap::new();
        let mut sources = BTreeMap::new();
        let mut none = None;
        for node in nodes {
            let chosen = files.of(node).files;
            let refused = files.refusals(std::slice::from_ref(node)).into_iter().next();
            match refused {
                // A node of another kind takes the image as it is.
                Some(refused) if chosen.is_empty() => none = none.or(Some(refused)),
                Some(refused) => return Err(refused),
                None => {}
            }
            for (name, content) in chosen {
                let source = files.source(node, &name).to_owned();
                let device = ConfigName::parse(&name).map_or_else(|_| String::new(), |(it, _)| it.device);
                let manifest = Manifest::read(&manifest::path_beside(&source)).ok().flatten();
                let evidence = manifest.and_then(|manifest| manifest.evidence());
                described.insert(name.clone(), TunedFile::new(&content, device, evidence));
                sources.insert(name.clone(), source);
                bytes.insert(name, content);
            }
        }
        if bytes.is_empty() {
            return Err(none.unwrap_or_else(|| ImageBuildError::NoNode.into()));
        }
        let tuned = Tuned {
            version: env!("CARGO_PKG_VERSION").into(),
            base: self.base_name.to_string(),
            base_digest: content(self.base).to_owned(),
            from: self.from(),
            folder: self.place.folder.clone(),
            files: described,
        };
        let left_out = files.left_out(nodes).into_iter().map(Path::to_owned).collect();
        Ok(Contents { tuned, files: bytes, sources: sources.into_values().collect(), left_out })
    }

    /// The names of the runs or folders, without the rest of this machine's paths.
    fn from(&self) -> String {
        let name = |path: &PathBuf| {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            whole.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned())
        };
        self.settings.tuned.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}
