//! `sparktune merge`: partial config files of one layer into one.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::artifact::merge::{Disagreement, Part, merge};
use crate::artifact::{ConfigFile, ConfigName};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::fs::write_atomic_new;
use crate::kernel::space::STANDARD_BATCH_SIZES;

/// What the user said.
#[derive(Debug, Clone)]
pub struct MergeSettings {
    /// The partial files.
    pub parts: Vec<PathBuf>,
    /// The folder the merged file goes to.
    pub into: PathBuf,
    /// The part that wins where two differ.
    pub prefer: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The parts are of different layers.
    #[error("`{first}` and `{second}` are not parts of one file: their names differ", first = first.display(), second = second.display())]
    OtherFile {
        /// One part.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// The name says nothing of the layer.
    #[error("`{path}`: {reason}", path = path.display())]
    BadName {
        /// The part.
        path: PathBuf,
        /// What is wrong with its name.
        reason: String,
    },
    /// The preferred part is none of the parts.
    #[error("`{prefer}` is preferred and is none of the files to merge", prefer = prefer.display())]
    UnknownPreference {
        /// What was preferred.
        prefer: PathBuf,
    },
    /// There is a file already, perhaps with a manifest that describes it.
    #[error("`{path}` is there already", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Two parts differ.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// The file system refused.
    #[error("cannot write below `{path}`: {source}", path = path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Failure for MergeError {
    fn kind(&self) -> Kind {
        match self {
            MergeError::Io { .. } => Kind::Environment,
            _ => Kind::Input,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            MergeError::Disagreement(_) => Some("say which file wins with --prefer FILE".into()),
            MergeError::Exists { .. } => Some("choose another folder with --into, or remove it first".into()),
            _ => None,
        }
    }
}

/// Merge the files. The result has no manifest: evidence is not merged, it is gathered.
pub fn run(settings: &MergeSettings, observer: &mut dyn Observer, out: &mut dyn Output) -> CommandResult {
    let name = common_name(&settings.parts)?;
    let origin = |path: &Path| path.display().to_string();
    let preferred = match &settings.prefer {
        None => None,
        Some(prefer) => {
            let part = settings.parts.iter().find(|part| *part == prefer || same_file(part, prefer));
            Some(part.ok_or_else(|| MergeError::UnknownPreference { prefer: prefer.clone() })?)
        }
    };
    let mut parts = Vec::new();
    for path in &settings.parts {
        parts.push(Part { origin: origin(path), file: ConfigFile::read(path)? });
    }
    let preferred = preferred.map(|part| origin(part));
    let merged =
        merge(&parts, &STANDARD_BATCH_SIZES, preferred.as_deref()).map_err(MergeError::Disagreement)?;
    let path = settings.into.join(&name);
    let io = |source| MergeError::Io { path: settings.into.clone(), source };
    fs_err::create_dir_all(&settings.into).map_err(io)?;
    write_atomic_new(&path, merged.file.render().as_bytes()).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => MergeError::Exists { path: path.clone() },
        _ => io(source),
    })?;
    for (key, loser) in &merged.overruled {
        observer.note(format!("key \"{key}\" of {loser} was overruled"));
    }
    if !merged.missing.is_empty() {
        let keys: Vec<String> = merged.missing.iter().map(ToString::to_string).collect();
        observer.note(format!("no part has the standard keys {}", keys.join(", ")));
    }
    if settings.json {
        let value = json!({
            "file": path,
            "entries": merged.file.entries().len(),
            "missing": merged.missing,
            "overruled": merged.overruled.iter().map(|(key, _)| key).collect::<Vec<_>>(),
        });
        out.json(&value).map_err(OutputError)?;
    } else {
        out.line(&format!("  wrote {} ({} entries)", path.display(), merged.file.entries().len()))
            .map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}

/// The file name all parts share.
fn common_name(parts: &[PathBuf]) -> Result<String, MergeError> {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let first = parts.first().cloned().unwrap_or_default();
    if let Some(second) = parts.iter().find(|part| name(part) != name(&first)) {
        return Err(MergeError::OtherFile { first, second: second.clone() });
    }
    ConfigName::parse(&name(&first))
        .map_err(|error| MergeError::BadName { path: first.clone(), reason: error.to_string() })?;
    Ok(name(&first))
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
