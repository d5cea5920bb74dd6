//! `sparktune publish`: a run's files into a collection, never over better ones.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::check::{check_file, config_files};
use crate::artifact::check::{Finding, Rules};
use crate::artifact::manifest::ManifestError;
use crate::artifact::{ConfigFile, Manifest, index, manifest};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic;

/// What the user said.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// The run directory.
    pub run: PathBuf,
    /// The collection.
    pub into: PathBuf,
    /// A folder of its own below the collection, for a layer that shares its name with another.
    pub apart: Option<String>,
    /// The user's own profiles.
    pub profiles: Option<PathBuf>,
    /// Say what would be copied and copy nothing.
    pub dry_run: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is nothing to publish.
    #[error("`{run}` holds no config files: is it a run directory, and did the run finish?", run = run.display())]
    Empty {
        /// The run directory.
        run: PathBuf,
    },
    /// A file without a manifest says nothing of its evidence.
    #[error("`{path}` has no manifest beside it, so nothing is known of its evidence", path = path.display())]
    NoManifest {
        /// The config file.
        path: PathBuf,
    },
    /// A file would not do what it is there for.
    #[error("`{path}` does not pass the check: {why}", path = path.display())]
    Unsound {
        /// The config file.
        path: PathBuf,
        /// The worst finding.
        why: String,
    },
    /// What is published is better.
    #[error("`{path}` stays as it is: {why}", path = path.display())]
    Better {
        /// The published file.
        path: PathBuf,
        /// What would be lost.
        why: String,
    },
    /// What is published is another model's, under the same name.
    #[error("`{path}` was published for another layer: {was}, now {now}", path = path.display())]
    OtherLayer {
        /// The published file.
        path: PathBuf,
        /// Its shape.
        was: String,
        /// The new shape.
        now: String,
    },
    /// The collection's page is somebody's own.
    #[error("`{path}` was not made by `sparktune publish` and would be overwritten", path = path.display())]
    ForeignPage {
        /// The page.
        path: PathBuf,
    },
    /// `--apart` is no folder name.
    #[error("--apart `{name}` is no plain folder name")]
    BadFolder {
        /// What was given.
        name: String,
    },
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The file system refused.
    #[error("cannot publish into `{path}`: {source}", path = path.display())]
    Io {
        /// What was being written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Failure for PublishError {
    fn kind(&self) -> Kind {
        match self {
            PublishError::Unsound { .. } | PublishError::Better { .. } | PublishError::OtherLayer { .. } => {
                Kind::CheckFailed
            }
            PublishError::Io { .. } => Kind::Environment,
            PublishError::Empty { .. }
            | PublishError::NoManifest { .. }
            | PublishError::BadFolder { .. }
            | PublishError::ForeignPage { .. }
            | PublishError::Manifest(_) => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        matches!(self, PublishError::OtherLayer { .. }).then(|| {
            "a runtime cannot tell the two apart; give this one a folder of its own with --apart NAME, and \
             deploy only the one you serve"
                .into()
        })
    }
}

/// One file to copy.
struct Copy {
    folder: String,
    manifest: Manifest,
    text: Vec<u8>,
}

/// Publish the run. Everything is judged before anything is written.
pub fn run(settings: &PublishSettings, out: &mut dyn Output) -> CommandResult {
    let page = settings.into.join("README.md");
    match is_foreign(&page) {
        Ok(false) => {}
        Ok(true) => return Err(PublishError::ForeignPage { path: page }.into()),
        Err(source) => return Err(PublishError::Io { path: page, source }.into()),
    }
    let mut copies = sound_files(&settings.run, settings.profiles.as_deref())?;
    if let Some(name) = &settings.apart {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            return Err(PublishError::BadFolder { name: name.clone() }.into());
        }
        for copy in &mut copies {
            copy.folder = format!("{name}/{}", copy.folder);
        }
    }
    for copy in &mut copies {
        let path = settings.into.join(&copy.folder).join(&copy.manifest.file);
        let published = Manifest::read(&manifest::path_beside(&path)).map_err(PublishError::from)?;
        let Some(published) = published else { continue };
        let layer = |manifest: &Manifest| {
            format!("{} on {} for {}", manifest.shape, manifest.device.name, manifest.target)
        };
        let (was, now) = (layer(&published), layer(&copy.manifest));
        if was != now {
            return Err(PublishError::OtherLayer { path, was, now }.into());
        }
        published.may_be_replaced_by(&copy.manifest).map_err(|why| PublishError::Better { path, why })?;
        copy.manifest.take_over_models(&published);
    }
    if !settings.dry_run {
        for copy in &copies {
            write(&settings.into, copy)?;
        }
        write_index(&settings.into)?;
    }
    let paths: Vec<String> =
        copies.iter().map(|copy| format!("{}/{}", copy.folder, copy.manifest.file)).collect();
    if settings.json {
        let value = json!({ "into": settings.into, "dry_run": settings.dry_run, "files": paths });
        out.json(&value).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    let verb = if settings.dry_run { "would publish" } else { "published" };
    for (path, copy) in paths.iter().zip(&copies) {
        let rung = copy.manifest.evidence().map_or("none", crate::artifact::Evidence::name);
        out.line(&format!("  {verb} {path}  evidence: {rung}")).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}

/// Whether there is a page that `publish` did not make. However large it is, its beginning tells.
fn is_foreign(page: &Path) -> io::Result<bool> {
    let file = match File::open(page) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut beginning = Vec::new();
    file.take(index::TELLING_BYTES).read_to_end(&mut beginning)?;
    Ok(!index::is_ours(&beginning))
}

/// The config files of a run, each with its manifest, all passing the check.
fn sound_files(run: &Path, profiles: Option<&Path>) -> Result<Vec<Copy>, Box<dyn Failure>> {
    let devices = super::subject::devices(profiles)?;
    let rules = Rules { device: None, runtime: None, triton: None, devices: &devices };
    let mut copies = Vec::new();
    for path in config_files(&[run.to_owned()])? {
        let manifest = Manifest::read(&manifest::path_beside(&path)).map_err(PublishError::from)?;
        let Some(manifest) = manifest else { return Err(PublishError::NoManifest { path }.into()) };
        let report = check_file(&path, &rules);
        // A manifest that disagrees with its file proves nothing about it, and what fits a device that
        // nobody knows was not judged.
        let unsound = |finding: &&Finding| {
            finding.severity.fails()
                || finding.code.starts_with("manifest-")
                || finding.code == "unknown-device"
        };
        let reason = report.findings.iter().find(unsound).map(|finding| finding.message.clone());
        if let Some(why) = reason {
            return Err(PublishError::Unsound { path, why }.into());
        }
        let text = ConfigFile::read_bytes(&path)?;
        copies.push(Copy { folder: manifest.target.folder(), manifest, text });
    }
    if copies.is_empty() {
        return Err(PublishError::Empty { run: run.to_owned() }.into());
    }
    Ok(copies)
}

fn write(into: &Path, copy: &Copy) -> Result<(), PublishError> {
    let folder = into.join(&copy.folder);
    let path = folder.join(&copy.manifest.file);
    let io = |source| PublishError::Io { path: path.clone(), source };
    fs_err::create_dir_all(&folder).map_err(io)?;
    write_atomic(&path, &copy.text).map_err(io)?;
    write_atomic(&manifest::path_beside(&path), copy.manifest.render().as_bytes()).map_err(io)
}

/// Make the collection's page anew from every manifest in it.
fn write_index(into: &Path) -> Result<(), Box<dyn Failure>> {
    let mut manifests = Vec::new();
    for path in config_files(&[into.to_owned()])? {
        if let Some(manifest) = Manifest::read(&manifest::path_beside(&path)).map_err(PublishError::from)? {
            let folder = path.parent().and_then(|folder| folder.strip_prefix(into).ok());
            manifests.push((folder.unwrap_or(Path::new("")).display().to_string(), manifest));
        }
    }
    let page = into.join("README.md");
    write_atomic(&page, index::render(&manifests).as_bytes())
        .map_err(|source| PublishError::Io { path: page, source })?;
    Ok(())
}
