//! The stock tuner's script: given by the user, or where the runtime lies on a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Kind};
use crate::fs::{ReadError, read_text_at_most};
use crate::host::{Host, HostFailure, HostPath};
use crate::host_name::HostName;
use crate::tuner::stock::order::ScriptPlace;
use crate::tuner::stock::own_tuner::OwnTuner;
use crate::tuner::stock::script::{CannotAsk, MOST_BYTES, Script, ScriptIdentity};

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoScript {
    /// What the user named cannot be read.
    #[error("--stock-script: cannot read `{path}`: {source}", path = path.display())]
    Read { path: PathBuf, source: ReadError },
    /// It is not where the runtime lies.
    #[error("{on} has no {file}; looked in {looked}", file = tuner.file)]
    NotThere { tuner: &'static OwnTuner, on: HostName, looked: String },
    /// It cannot be read there.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// It is no script, or none for this.
    #[error("`{path}`: {source}")]
    Cannot { path: String, source: CannotAsk },
    /// Nodes have different ones.
    #[error(
        "the {file} on {other} is another than on {first} (SHA-256 {theirs}, there {ours}): what one chooses says nothing of the other"
    )]
    Unlike { file: &'static str, first: HostName, ours: String, other: HostName, theirs: String },
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
            Self::NotThere { tuner: OwnTuner { runtime, folder, file, .. }, .. } => Some(format!(
                "it is in no wheel: name a checkout of {runtime} at the same version with --stock-script, or its \
                 {folder}/{file}"
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

/// The script of `tuner` that the user named: the file, or a checkout.
pub(super) fn given(named: &Path, tuner: &OwnTuner) -> Result<Found, NoScript> {
    let OwnTuner { file, folder, .. } = *tuner;
    let path = if named.is_dir() { named.join(folder).join(file) } else { named.to_owned() };
    let read = |path: &Path| {
        read_text_at_most(path, MOST_BYTES).map_err(|source| NoScript::Read { path: path.to_owned(), source })
    };
    let script = read(&path)?;
    let beside = |name: &'static str| (name, path.with_file_name(name));
    let helper = match tuner.helper.map(beside).filter(|(_, path)| path.exists()) {
        Some((name, path)) => Some((name, read(&path)?)),
        None => None,
    };
    let found = Script::read(script.as_bytes(), helper.as_ref().map(|(_, text)| text.as_bytes()), tuner);
    let path = path.display().to_string();
    let found = found.map_err(|source| NoScript::Cannot { path: path.clone(), source })?;
    let files = std::iter::once((file, script)).chain(helper);
    let files: BTreeMap<String, String> = files.map(|(name, text)| (name.to_owned(), text)).collect();
    Ok(Found { script: found, place: ScriptPlace::Sent(files), path })
}

/// The script of `tuner` whose runtime's package lies in the folder `root` of `host`: in the checkout around it, or where
/// images have that.
pub(super) async fn there(
    host: &dyn Host,
    root: Option<&HostPath>,
    tuner: &'static OwnTuner,
) -> Result<Found, NoScript> {
    let OwnTuner { file, folder: below, in_images, .. } = *tuner;
    let root = root.map(|root| root.as_str().trim_end_matches('/'));
    let around = root.and_then(|root| match tuner.package_folder {
        Some(_) => root.rsplit_once('/').map(|(above, _)| above),
        None => Some(root),
    });
    let mut folders: Vec<String> = around.map(|checkout| format!("{checkout}/{below}")).into_iter().collect();
    let of_images = format!("{in_images}/{below}");
    if !folders.contains(&of_images) {
        folders.push(of_images);
    }
    for folder in &folders {
        let path = format!("{folder}/{file}");
        let Some(script) = read(host, &path).await? else { continue };
        let helper = match tuner.helper {
            Some(name) => read(host, &format!("{folder}/{name}")).await?,
            None => None,
        };
        let script = Script::read(&script, helper.as_deref(), tuner)
            .map_err(|source| NoScript::Cannot { path: path.clone(), source })?;
        return Ok(Found { script, place: ScriptPlace::There(path.clone()), path });
    }
    let looked: Vec<String> = folders.iter().map(|folder| format!("`{folder}`")).collect();
    Err(NoScript::NotThere { tuner, on: host.name().clone(), looked: looked.join(" and ") })
}

/// That two nodes have the same script of `tuner`.
pub(super) fn same(
    tuner: &OwnTuner,
    (first, ours): (&HostName, &ScriptIdentity),
    (other, theirs): (&HostName, &ScriptIdentity),
) -> Result<(), NoScript> {
    if ours == theirs {
        return Ok(());
    }
    let both = |identity: &ScriptIdentity| match (&identity.helper_sha256, tuner.helper) {
        (Some(helper), Some(name)) => format!("{}, {name} {helper}", identity.sha256),
        _ => identity.sha256.clone(),
    };
    Err(NoScript::Unlike {
        file: tuner.file,
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
    use crate::runtime::Runtime;

    const TEXT: &str = "add_argument(\"--model\") add_argument(\"--tp-size\") add_argument(\"--dtype\") \
                        add_argument(\"--batch-size\") add_argument(\"--tune\") add_argument(\"--trust-remote-code\")";

    fn sglang() -> &'static OwnTuner {
        OwnTuner::of(Runtime::Sglang0523)
    }

    fn checkout_of(tuner: &OwnTuner, helper: Option<&str>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(tuner.folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(tuner.file), TEXT).unwrap();
        if let Some(helper) = helper {
            std::fs::write(folder.join("common_utils.py"), helper).unwrap();
        }
        root
    }

    fn checkout(helper: Option<&str>) -> tempfile::TempDir {
        checkout_of(sglang(), helper)
    }

    #[tokio::test]
    async fn a_checkout_gives_the_same_script_by_its_folder_by_its_file_and_around_the_package() {
        let root = checkout(Some("x = 1"));
        let OwnTuner { folder, file, .. } = *sglang();
        let by_folder = given(root.path(), sglang()).unwrap();
        let by_file = given(&root.path().join(folder).join(file), sglang()).unwrap();
        assert_eq!(by_folder.script, by_file.script);
        let ScriptPlace::Sent(files) = by_file.place else { panic!("it is not on any node") };
        assert_eq!(files.keys().collect::<Vec<_>>(), ["common_utils.py", file]);
        let package = HostPath::new(format!("{}/python", root.path().display()));
        let there = there(&Here::new(), Some(&package), sglang()).await.unwrap();
        assert_eq!(there.script, by_folder.script);
        assert_eq!(there.place, ScriptPlace::There(there.path));
    }

    #[tokio::test]
    async fn vllms_lies_in_the_repository_that_has_the_package_itself_and_imports_nothing_from_beside_it() {
        let vllm = OwnTuner::of(Runtime::Vllm);
        let root = checkout_of(vllm, Some("of somebody else"));
        let by_folder = given(root.path(), vllm).unwrap();
        let ScriptPlace::Sent(files) = by_folder.place else { panic!("it is not on any node") };
        assert_eq!(files.keys().collect::<Vec<_>>(), [vllm.file]);
        let package = HostPath::new(root.path().display().to_string());
        let there = there(&Here::new(), Some(&package), vllm).await.unwrap();
        assert_eq!((&there.script, there.script.identity.helper_sha256.as_ref()), (&by_folder.script, None));
        // A checkout of the other runtime is none.
        let error = given(root.path(), sglang()).unwrap_err().to_string();
        assert!(error.contains("tuning_fused_moe_triton.py"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_script_or_not_there_says_where_it_was_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let error = given(root.path(), sglang()).unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains(sglang().file), "{error}");
        let path = root.path().join("other.py");
        std::fs::write(&path, "print()").unwrap();
        assert!(given(&path, sglang()).unwrap_err().to_string().contains("no option `--model`"));
        let package = HostPath::new(format!("{}/python", root.path().display()));
        let error = there(&Here::new(), Some(&package), sglang()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Environment);
        assert!(
            error.to_string().contains(&format!("`{}/{}`", root.path().display(), sglang().folder)),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("--stock-script"));
    }

    #[test]
    fn nodes_with_another_script_or_helper_are_told_apart() {
        let of = |helper| given(checkout(helper).path(), sglang()).unwrap().script.identity;
        let (first, other): (HostName, HostName) = ("n1".parse().unwrap(), "n2".parse().unwrap());
        assert!(same(sglang(), (&first, &of(Some("a"))), (&other, &of(Some("a")))).is_ok());
        let error =
            same(sglang(), (&first, &of(Some("a"))), (&other, &of(Some("b")))).unwrap_err().to_string();
        assert!(error.contains("on n2 is another than on n1"), "{error}");
        assert!(same(sglang(), (&first, &of(Some("a"))), (&other, &of(None))).is_err());
    }
}
