//! The SGLang and the Triton that the user's own interpreter has: what files are for, where nobody says otherwise.

use std::path::{Path, PathBuf};

use crate::cluster::installed::probe;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::fs::read_text_at_most;
use crate::host::{Here, HostPath};
use crate::runtime::{Runtime, TritonVersion};

/// Bytes of a file that says a version.
const MOST_BYTES: u64 = 1 << 20;

/// What the user named: by `--python`, by `--sglang-root`, or not at all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Named<'a> {
    /// An interpreter.
    pub(super) python: Option<&'a Path>,
    /// The folder that holds the package `sglang`; it counts before the interpreter's own.
    pub(super) sglang_root: Option<&'a Path>,
}

/// What is there. Nothing where nothing was named, or where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Installation {
    /// Who has it, as messages call it, and its version in its own words.
    sglang: Option<(String, String)>,
    triton: Option<(String, TritonVersion)>,
}

/// What the user said of the target is not so where it is from.
#[derive(Debug, thiserror::Error)]
pub(super) enum OtherTarget {
    #[error("--sglang says {said}, {holder} has {found}")]
    Sglang { holder: String, said: Runtime, found: Runtime },
    #[error("--triton says Triton {said}, {holder} has Triton {found}")]
    Triton { holder: String, said: TritonVersion, found: TritonVersion },
}

impl Failure for OtherTarget {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some("leave --sglang and --triton out: what is there decides".into())
    }
}

/// An SGLang whose rules nobody has read.
#[derive(Debug, thiserror::Error)]
#[error("{holder} has SGLang {found}, whose rules are not known; known: {known}", known = known())]
pub(super) struct UnknownInstalled {
    holder: String,
    found: String,
}

impl Failure for UnknownInstalled {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        Some("say --sglang with the known version that is like it".into())
    }
}

fn known() -> String {
    let versions = Runtime::ALL.into_iter().filter_map(Runtime::sglang_version);
    versions.collect::<Vec<_>>().join(", ")
}

/// That `found` is what the user `said`, where anything was said. Both are of `holder`.
pub(super) fn same_target(
    holder: &str,
    found: (Option<Runtime>, Option<TritonVersion>),
    said: (Option<Runtime>, Option<TritonVersion>),
) -> Result<(), OtherTarget> {
    let holder = holder.to_owned();
    match (found, said) {
        ((Some(found), _), (Some(said), _)) if said != found => {
            Err(OtherTarget::Sglang { holder, said, found })
        }
        ((_, Some(found)), (_, Some(said))) if said != found => {
            Err(OtherTarget::Triton { holder, said, found })
        }
        _ => Ok(()),
    }
}

impl Installation {
    /// Look at what was named. An interpreter that does not answer has nothing: whoever needs it says why.
    pub(super) async fn find(named: Named<'_>) -> Self {
        let mut found = Self::default();
        let installed = match named.python.map(HostPath::try_from) {
            Some(Ok(python)) => probe(&Here::new(), &python).await.ok(),
            Some(Err(_)) | None => None,
        };
        if let (Some(installed), Some(path)) = (installed, named.python) {
            let holder = || format!("`{}`", path.display());
            let triton = installed.version("triton").and_then(|it| it.parse().ok());
            let triton = triton.filter(|triton| TritonVersion::KNOWN.contains(triton));
            found.triton = triton.map(|triton| (holder(), triton));
            found.sglang = installed.version("sglang").map(|version| (holder(), version.to_owned()));
        }
        if let Some(root) = named.sglang_root {
            found.sglang = version_below(root).map(|version| (format!("`{}`", root.display()), version));
        }
        found
    }

    /// The runtime and the Triton that it decides, held against what the user `said`, and told of. Where an SGLang is
    /// there whose rules are not known, `--sglang` says which it is like.
    pub(super) fn decide(
        &self,
        said: (Option<Runtime>, Option<TritonVersion>),
        observer: &mut dyn Observer,
    ) -> Result<(Option<Runtime>, Option<TritonVersion>), Box<dyn Failure>> {
        let mut runtime = None;
        if let Some((holder, version)) = &self.sglang {
            runtime = Runtime::from_sglang_version(version).ok();
            match (runtime, said.0) {
                (None, None) => {
                    return Err(UnknownInstalled { holder: holder.clone(), found: version.clone() }.into());
                }
                (None, Some(said)) => {
                    observer.note(format!(
                        "{holder} has SGLang {version}: its files are made by the rules of {said}"
                    ));
                }
                (Some(_), _) => same_target(holder, (runtime, None), said)?,
            }
        }
        let triton = self.triton.as_ref().map(|(_, triton)| *triton);
        if let Some((holder, _)) = &self.triton {
            same_target(holder, (None, triton), said)?;
        }
        // Only what nobody said is news.
        let sglang = self.sglang.as_ref().filter(|_| runtime.is_some() && said.0.is_none());
        for (holder, what) in [
            sglang.map(|(holder, version)| (holder, format!("SGLang {version}"))),
            self.triton
                .as_ref()
                .filter(|_| said.1.is_none())
                .map(|(holder, it)| (holder, format!("Triton {it}"))),
        ]
        .into_iter()
        .flatten()
        {
            observer.note(format!("{holder} has {what}: files are for that"));
        }
        Ok((runtime, triton))
    }
}

/// The version of the package `sglang` in the folder `root`: of an installation or a wheel by its metadata, of a
/// checkout by what its source says.
fn version_below(root: &Path) -> Option<String> {
    let entries = std::fs::read_dir(root).ok()?.filter_map(Result::ok);
    let named = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_prefix("sglang-")?.strip_suffix(".dist-info")?.to_owned())
    });
    let said = |file: &str| {
        let path: PathBuf = root.join("sglang").join(file);
        let text = read_text_at_most(&path, MOST_BYTES).ok()?;
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        line.split(['"', '\'']).nth(1).map(str::to_owned)
    };
    // The last of several, so that which one does not depend on the file system.
    named.max().or_else(|| said("_version.py")).or_else(|| said("version.py"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Silent;
    use crate::runtime::Target;

    fn of(sglang: Option<&str>, triton: Option<&str>) -> Installation {
        Installation {
            sglang: sglang.map(|version| ("`p`".to_owned(), version.to_owned())),
            triton: triton.map(|version| ("`p`".to_owned(), version.parse().unwrap())),
        }
    }

    #[test]
    fn what_is_there_decides_and_what_is_said_must_be_so() {
        let found = Target::of(Runtime::Sglang054);
        let (old, new) = (found.triton, Runtime::Sglang0523.default_triton());
        let there = of(Some("0.5.4.post2"), Some("3.5.0"));
        let decided = |said| there.decide(said, &mut Silent);
        for said in [(None, None), (Some(Runtime::Sglang054), Some(old))] {
            assert_eq!(decided(said).unwrap(), (Some(Runtime::Sglang054), Some(old)));
        }
        let error = decided((Some(Runtime::Sglang0523), None)).unwrap_err();
        let says = "--sglang says SGLang 0.5.23, `p` has SGLang 0.5.4.post2";
        assert_eq!((error.to_string(), error.kind()), (says.to_owned(), Kind::Input));
        let error = decided((None, Some(new))).unwrap_err();
        assert_eq!(error.to_string(), "--triton says Triton 3.8.0, `p` has Triton 3.5.0");
        let nothing = of(None, None).decide((Some(Runtime::Sglang0523), Some(old)), &mut Silent);
        assert_eq!(nothing.unwrap(), (None, None));
    }

    #[test]
    fn an_sglang_that_nobody_read_needs_a_word() {
        let there = of(Some("0.5.17"), None);
        let error = there.decide((None, None), &mut Silent).unwrap_err();
        let says = "`p` has SGLang 0.5.17, whose rules are not known; known: 0.5.4.post2, 0.5.23";
        assert_eq!((error.to_string(), error.kind()), (says.to_owned(), Kind::Environment));
        assert!(error.hint().unwrap().contains("--sglang"));
        let decided = there.decide((Some(Runtime::Sglang0523), None), &mut Silent);
        assert_eq!(decided.unwrap(), (None, None), "what was said stands");
    }

    #[test]
    fn a_folder_says_its_version_in_one_of_three_ways() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(version_below(root.path()), None);
        assert_eq!(version_below(Path::new("/nowhere")), None);
        std::fs::create_dir(root.path().join("sglang")).unwrap();
        let write =
            |file: &str, text: &str| std::fs::write(root.path().join("sglang").join(file), text).unwrap();
        write("version.py", "# a\n__version__ = \"0.5.4.post2\"\n");
        assert_eq!(version_below(root.path()).as_deref(), Some("0.5.4.post2"));
        write("_version.py", "__version__ = version = '0.5.17'\n");
        assert_eq!(version_below(root.path()).as_deref(), Some("0.5.17"));
        std::fs::create_dir(root.path().join("sglang-0.5.23.dist-info")).unwrap();
        assert_eq!(version_below(root.path()).as_deref(), Some("0.5.23"));
    }
}
