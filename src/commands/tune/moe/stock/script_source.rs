//! The stock tuner's script: given by the user, or where SGLang lies on a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};
use crate::fs::{ReadError, read_text_at_most};
use crate::host::{Host, HostFailure, HostPath};
use crate::host_name::HostName;
use crate::tuner::stock::order::ScriptPlace;
use crate::tuner::stock::script::{CannotAsk, FILE, FOLDER, HELPER, MOST_BYTES, Script, ScriptIdentity};

/// Where SGLang's own images have its repository.
const IN_IMAGES: &str = "/sgl-workspace/sglang";

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoScript {
    /// What the user named cannot be read.
    #[error("--stock-script: cannot read `{path}`: {source}", path = path.display())]
    Read { path: PathBuf, source: ReadError },
    /// It is not where SGLang lies.
    #[error("{on} has no {FILE}; looked in {looked}")]
    NotThere { on: HostName, looked: String },
    /// It cannot be read there.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// It is no script, or none for this.
    #[error("`{path}`: {source}")]
    Cannot { path: String, source: CannotAsk },
    /// Nodes have different ones.
    #[error(
        "the {FILE} on {other} is another than on {first} (SHA-256 {theirs}, there {ours}): what one chooses says nothing of the other"
    )]
    Unlike { first: HostName, ours: String, other: HostName, theirs: String },
}

impl Failure for NoScript {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } | Self::Cannot { .. } => Kind::Input,
            Self::Host(error) => error.kind(),
            Self::NotThere { .. } | Self::Unlike { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotThere { .. } => Some(format!(
                "it is in no wheel: name a checkout of SGLang at the same version with --stock-script, or its \
                 {FOLDER}/{FILE}"
            )),
            Self::Unlike { .. } => Some("--stock-script gives all nodes the same one".into()),
            Self::Host(error) => error.hint(),
            Self::Read { .. } | Self::Cannot { .. } => None,
        }
    }
}

/// A script, and where it is for a node.
#[derive(Debug)]
pub(super) struct Found {
    pub script: Script,
    pub place: ScriptPlace,
    /// Its path, for messages.
    pub path: String,
}

/// The script that the user named: the file, or a checkout.
pub(super) fn given(named: &Path) -> Result<Found, NoScript> {
    let path = if named.is_dir() { named.join(FOLDER).join(FILE) } else { named.to_owned() };
    let read = |path: &Path| {
        read_text_at_most(path, MOST_BYTES).map_err(|source| NoScript::Read { path: path.to_owned(), source })
    };
    let script = read(&path)?;
    let helper = path.with_file_name(HELPER);
    let helper = if helper.exists() { Some(read(&helper)?) } else { None };
    let found = Script::read(script.as_bytes(), helper.as_deref().map(str::as_bytes));
    let path = path.display().to_string();
    let found = found.map_err(|source| NoScript::Cannot { path: path.clone(), source })?;
    let files = std::iter::once((FILE, script)).chain(helper.map(|text| (HELPER, text)));
    let files: BTreeMap<String, String> = files.map(|(name, text)| (name.to_owned(), text)).collect();
    Ok(Found { script: found, place: ScriptPlace::Sent(files), path })
}

/// The script of the SGLang whose package lies in the folder `root` of `host`: in the checkout around it, or where images
/// have that.
pub(super) async fn there(host: &dyn Host, root: Option<&HostPath>) -> Result<Found, NoScript> {
    // A checkout has the package in `python/`.
    let around = root.and_then(|root| root.as_str().trim_end_matches('/').rsplit_once('/'));
    let mut folders: Vec<String> = around.map(|(above, _)| format!("{above}/{FOLDER}")).into_iter().collect();
    let of_images = format!("{IN_IMAGES}/{FOLDER}");
    if !folders.contains(&of_images) {
        folders.push(of_images);
    }
    for folder in &folders {
        let path = format!("{folder}/{FILE}");
        let Some(script) = read(host, &path).await? else { continue };
        let helper = read(host, &format!("{folder}/{HELPER}")).await?;
        let script = Script::read(&script, helper.as_deref())
            .map_err(|source| NoScript::Cannot { path: path.clone(), source })?;
        return Ok(Found { script, place: ScriptPlace::There(path.clone()), path });
    }
    let looked: Vec<String> = folders.iter().map(|folder| format!("`{folder}`")).collect();
    Err(NoScript::NotThere { on: host.name().clone(), looked: looked.join(" and ") })
}

/// That two nodes have the same script.
pub(super) fn same(
    (first, ours): (&HostName, &ScriptIdentity),
    (other, theirs): (&HostName, &ScriptIdentity),
) -> Result<(), NoScript> {
    if ours == theirs {
        return Ok(());
    }
    let both = |identity: &ScriptIdentity| match &identity.helper_sha256 {
        Some(helper) => format!("{}, {HELPER} {helper}", identity.sha256),
        None => identity.sha256.clone(),
    };
    Err(NoScript::Unlike {
        first: first.clone(),
        ours: both(ours),
        other: other.clone(),
        theirs: both(theirs),
    })
}

/// A file's bytes; none where it is not there.
async fn read(host: &dyn Host, path: &str) -> Result<Option<Vec<u8>>, NoScript> {
    match host.get(&HostPath::new(path), MOST_BYTES).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match &error.what {
            HostFailure::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Here;

    const TEXT: &str = "add_argument(\"--model\") add_argument(\"--tp-size\") add_argument(\"--dtype\") \
                        add_argument(\"--batch-size\") add_argument(\"--tune\")";

    fn checkout(helper: Option<&str>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE), TEXT).unwrap();
        if let Some(helper) = helper {
            std::fs::write(folder.join(HELPER), helper).unwrap();
        }
        root
    }

    #[tokio::test]
    async fn a_checkout_gives_the_same_script_by_its_folder_by_its_file_and_around_the_package() {
        let root = checkout(Some("x = 1"));
        let by_folder = given(root.path()).unwrap();
        let by_file = given(&root.path().join(FOLDER).join(FILE)).unwrap();
        assert_eq!(by_folder.script, by_file.script);
        let ScriptPlace::Sent(files) = by_file.place else { panic!("it is not on any node") };
        assert_eq!(files.keys().collect::<Vec<_>>(), [HELPER, FILE]);
        let package = HostPath::new(format!("{}/python", root.path().display()));
        let there = there(&Here::new(), Some(&package)).await.unwrap();
        assert_eq!(there.script, by_folder.script);
        assert_eq!(there.place, ScriptPlace::There(there.path));
    }

    #[tokio::test]
    async fn what_is_no_script_or_not_there_says_where_it_was_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let error = given(root.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains(FILE), "{error}");
        let path = root.path().join("other.py");
        std::fs::write(&path, "print()").unwrap();
        assert!(given(&path).unwrap_err().to_string().contains("no option `--model`"));
        let package = HostPath::new(format!("{}/python", root.path().display()));
        let error = there(&Here::new(), Some(&package)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Environment);
        assert!(error.to_string().contains(&format!("`{}/{FOLDER}`", root.path().display())), "{error}");
        assert!(error.hint().unwrap().contains("--stock-script"));
    }

    #[test]
    fn nodes_with_another_script_or_helper_are_told_apart() {
        let of = |helper| given(checkout(helper).path()).unwrap().script.identity;
        let (first, other): (HostName, HostName) = ("n1".parse().unwrap(), "n2".parse().unwrap());
        assert!(same((&first, &of(Some("a"))), (&other, &of(Some("a")))).is_ok());
        let error = same((&first, &of(Some("a"))), (&other, &of(Some("b")))).unwrap_err().to_string();
        assert!(error.contains("on n2 is another than on n1"), "{error}");
        assert!(same((&first, &of(Some("a"))), (&other, &of(None))).is_err());
    }
}
