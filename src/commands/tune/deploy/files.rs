//! Which files go to which node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::gpus::Gpus;
use super::{Place, Ready};
use crate::artifact::check::{Finding, Rules};
use crate::artifact::name::Spelling;
use crate::artifact::{ConfigFile, ConfigName};
use crate::cluster::deploy::Deployment;
use crate::cluster::installed::Family;
use crate::commands::tune::check::{check_file, config_files};
use crate::commands::tune::subject;
use crate::device::DeviceCatalogue;
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;
use crate::runtime::TritonVersion;

/// Config files that were read and judged, and what each is for.
pub(in crate::commands::tune) struct ForNodes {
    files: Vec<File>,
    from: String,
    devices: DeviceCatalogue,
}

struct File {
    path: PathBuf,
    name: String,
    /// The device that it is named after.
    device: String,
    /// Who spells names like this; both where it has no block shape.
    spelling: Option<Spelling>,
    /// The Triton whose folder it lies in.
    triton: Option<TritonVersion>,
    bytes: Vec<u8>,
}

/// Why nothing is deployed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFiles {
    /// There is nothing to deploy.
    #[error("no config files (E=...json) below {0}: is it a run directory, and did the run finish?")]
    Empty(String),
    /// A file would not do what it is there for.
    #[error("`{path}` does not pass the check: {why}", path = path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// The worst finding.
        why: String,
    },
    /// A file that no runtime would find.
    #[error("`{path}`: {why}", path = path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        why: String,
    },
    /// The same name twice for one node.
    #[error("{on}: `{first}` and `{second}` have one name, and the node reads one file of it", first = first.display(), second = second.display())]
    Twice {
        /// The node.
        on: HostName,
        /// A file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// None of the files is for the node.
    #[error("{on}: none of the files is for {wanted}; they are for {found}")]
    NoneFor {
        /// The node.
        on: HostName,
        /// What the node would read.
        wanted: String,
        /// What is there.
        found: String,
    },
}

impl Failure for BadFiles {
    fn kind(&self) -> Kind {
        match self {
            BadFiles::Unsound { .. } => Kind::CheckFailed,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BadFiles::Unsound { .. } => {
                Some("`sparktune check --verbose` says everything that was found".into())
            }
            BadFiles::Twice { .. } => Some("name the one that is meant".into()),
            BadFiles::Empty(_) | BadFiles::Name { .. } | BadFiles::NoneFor { .. } => None,
        }
    }
}

impl ForNodes {
    /// The config files at or below `paths`, each of them sound by itself.
    pub(in crate::commands::tune) fn read(
        paths: &[PathBuf],
        profiles: Option<&Path>,
    ) -> Result<Self, Box<dyn Failure>> {
        let devices = subject::devices(profiles)?;
        let names: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let found = config_files(paths)?;
        if found.is_empty() {
            return Err(BadFiles::Empty(names.join(", ")).into());
        }
        let rules = Rules { device: None, runtime: None, triton: None, devices: &devices };
        let mut files = Vec::new();
        for path in found {
            let file = File::read(&path)?;
            sound(&path, &rules)?;
            files.push(file);
        }
        let from = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        Ok(Self { files, from, devices })
    }

    /// What keeps the files from `nodes`: none is for a node, two have one name there, or one would not be read or be
    /// unsafe by what is known of the runtime there.
    pub(in crate::commands::tune) fn refusals(&self, nodes: &[Ready]) -> Vec<Box<dyn Failure>> {
        nodes.iter().filter_map(|node| self.refusal(node).err()).collect()
    }

    fn refusal(&self, node: &Ready) -> Result<(), Box<dyn Failure>> {
        let on = || node.name().clone();
        let mut by_name: BTreeMap<&str, &File> = BTreeMap::new();
        for file in self.chosen(node) {
            if let Some(other) = by_name.insert(&file.name, file).filter(|other| other.bytes != file.bytes) {
                let (first, second) = (other.path.clone(), file.path.clone());
                return Err(BadFiles::Twice { on: on(), first, second }.into());
            }
            let rules = Rules {
                device: None,
                runtime: node.place.runtime,
                triton: node.place.triton,
                devices: &self.devices,
            };
            sound(&file.path, &rules)?;
        }
        if by_name.is_empty() {
            let wanted = wanted(&node.place, &node.gpus);
            return Err(BadFiles::NoneFor { on: on(), wanted, found: self.kinds() }.into());
        }
        Ok(())
    }

    /// The files for `node`.
    pub(in crate::commands::tune) fn of(&self, node: &Ready) -> Deployment {
        let files = self.chosen(node).map(|file| (file.name.clone(), file.bytes.clone()));
        Deployment { files: files.collect(), from: self.from.clone() }
    }

    /// Where the file that `node` gets by `name` is from, as the user named it.
    pub(in crate::commands::tune) fn source<'a>(&'a self, node: &'a Ready, name: &'a str) -> &'a Path {
        self.chosen(node).find(|file| file.name == name).map_or(Path::new(name), |file| &file.path)
    }

    /// The files that are for none of `nodes`, as the user named them.
    pub(in crate::commands::tune) fn left_out<'a>(&'a self, nodes: &'a [Ready]) -> Vec<&'a Path> {
        let is_chosen =
            |file: &File| nodes.iter().any(|node| self.chosen(node).any(|other| other.path == file.path));
        self.files.iter().filter(|file| !is_chosen(file)).map(|file| file.path.as_path()).collect()
    }

    fn chosen<'a>(&'a self, node: &'a Ready) -> impl Iterator<Item = &'a File> {
        let Ready { place, gpus, .. } = node;
        self.files.iter().filter(move |file| file.is_for(place.family, place.triton, gpus))
    }

    /// The one runtime and Triton that the files are for; none where there are several. A Triton is one only where
    /// every file lies in its folder.
    pub(super) fn kind(&self) -> Option<(Family, Option<TritonVersion>)> {
        let spelled: BTreeSet<Family> = self.files.iter().filter_map(|it| it.spelling.map(family)).collect();
        let tritons: BTreeSet<Option<TritonVersion>> = self.files.iter().map(|it| it.triton).collect();
        if spelled.len() > 1 || tritons.len() > 1 {
            return None;
        }
        let triton = tritons.into_iter().next().flatten();
        // Only SGLang has a folder for each Triton.
        let otherwise = if triton.is_some() { Family::Sglang } else { Family::Vllm };
        Some((spelled.into_iter().next().unwrap_or(otherwise), triton))
    }

    /// What the files are for, in words.
    pub(super) fn kinds(&self) -> String {
        let kind = |file: &File| {
            let triton = file.triton.map(|triton| format!(" with Triton {triton}")).unwrap_or_default();
            let family = file.spelling.map_or("SGLang or vLLM", |spelling| family(spelling).name());
            format!("{family}{triton} on {}", file.device)
        };
        self.files.iter().map(kind).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
    }
}

impl File {
    /// Whether a runtime of this family, with this Triton and these GPUs, looks for it.
    fn is_for(&self, runtime: Family, triton: Option<TritonVersion>, gpus: &Gpus) -> bool {
        let spelled = self.spelling.is_none_or(|spelling| family(spelling) == runtime);
        let triton = match (triton, self.triton) {
            (Some(wanted), Some(found)) if runtime == Family::Sglang => wanted == found,
            _ => true,
        };
        spelled && triton && gpus.read(&self.device, runtime)
    }

    fn read(path: &Path) -> Result<Self, Box<dyn Failure>> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bad = |why: String| BadFiles::Name { path: path.to_owned(), why };
        let (parsed, spelling) = ConfigName::parse(&name).map_err(|error| bad(error.to_string()))?;
        let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            path: path.to_owned(),
            name,
            device: parsed.device,
            spelling,
            triton: folder.and_then(|name| TritonVersion::from_directory(&name)),
            bytes: ConfigFile::read_bytes(path).map_err(|error| bad(error.to_string()))?,
        })
    }
}

fn family(spelling: Spelling) -> Family {
    match spelling {
        Spelling::Sglang => Family::Sglang,
        Spelling::Vllm => Family::Vllm,
    }
}

fn wanted(place: &Place, gpus: &Gpus) -> String {
    let triton = match (place.family, place.triton) {
        (Family::Sglang, Some(triton)) => format!(" with Triton {triton}"),
        _ => String::new(),
    };
    let gpus = if gpus.are_known() { format!(" on {}", gpus.words(place.family)) } else { String::new() };
    format!("{}{triton}{gpus}", place.family.name())
}

fn sound(path: &Path, rules: &Rules<'_>) -> Result<(), BadFiles> {
    let report = check_file(path, rules);
    let worst = report.findings.iter().filter(|it| it.severity.fails()).max_by_key(|it| it.severity);
    match worst {
        None => Ok(()),
        Some(Finding { key, message, .. }) => {
            let key = key.as_ref().map(|key| format!("entry {key}: ")).unwrap_or_default();
            Err(BadFiles::Unsound { path: path.to_owned(), why: format!("{key}{message}") })
        }
    }
}
