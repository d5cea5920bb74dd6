//! What an interpreter compiles for.

use super::no_compiler::NoCompiler;
use crate::cluster::installed::Installed;
use crate::host::HostPath;
use crate::runtime::{Runtime, Target, TritonVersion};

/// What an interpreter has, and the folder above its SGLang; `holder` says whose it is.
pub(super) fn target_of(
    installed: &Installed,
    holder: impl Fn() -> String,
) -> Result<(Target, HostPath), NoCompiler> {
    let lacks = |package| NoCompiler::Lacks { holder: holder(), package };
    let folder = installed.folder("sglang").ok_or_else(|| lacks("SGLang"))?;
    let version = installed.version("sglang").unwrap_or("of unknown version");
    let runtime = Runtime::from_sglang_version(version)
        .map_err(|unknown| NoCompiler::UnknownSglang { holder: holder(), unknown })?;
    installed.folder("triton").ok_or_else(|| lacks("Triton"))?;
    let found = installed.version("triton").unwrap_or("of unknown version");
    let triton = found.parse().ok().filter(|triton| TritonVersion::KNOWN.contains(triton));
    let triton = triton.ok_or_else(|| NoCompiler::UnknownTriton { holder: holder(), found: found.into() })?;
    let root = folder.as_str().rsplit_once('/').map_or("", |(above, _)| above);
    let root = HostPath::new(if root.is_empty() { "/" } else { root });
    Ok((Target { runtime, triton }, root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Kind};

    /// What an interpreter says.
    fn installed(packages: &str) -> Installed {
        let text = format!(r#"{{"python":"3.12.3","packages":{packages},"folders":[],"variables":{{}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn package(version: &str, folder: &str) -> String {
        format!(r#"{{"version":"{version}","folder":"{folder}"}}"#)
    }

    fn having(sglang: &str, triton: &str) -> Result<(Target, HostPath), NoCompiler> {
        let [sglang, triton] = [(sglang, "sglang"), (triton, "triton")]
            .map(|(it, name)| package(it, &format!("/opt/site/{name}")));
        target_of(&installed(&format!(r#"{{"sglang":{sglang},"triton":{triton}}}"#)), || {
            "the image `sglang:spark`".to_owned()
        })
    }

    #[test]
    fn the_target_is_what_the_image_has() {
        let (target, root) = having("0.5.4.post2", "3.5.0").unwrap();
        assert_eq!((target, root.as_str()), (Target::of(Runtime::Sglang054), "/opt/site"));
        // Not the Triton that this SGLang usually runs with.
        let (target, _) = having("0.5.4.post2", "3.5.1").unwrap();
        assert_eq!(target.triton, TritonVersion::new(3, 5, 1));
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_version_found() {
        for (sglang, triton, words) in [
            (
                "0.5.14",
                "3.5.0",
                "the image `sglang:spark`: unknown SGLang version `0.5.14`; known: 0.5.4.post2",
            ),
            ("0.5.4.post2", "3.4.0", "the image `sglang:spark` has Triton 3.4.0; known: 3.5.0"),
            ("0.5.4.post2", "3.5.0+git1234", "has Triton 3.5.0+git1234; known: "),
            ("0.5.4.post2", "", "has Triton ; known: "),
        ] {
            let error = having(sglang, triton).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), Kind::Environment);
            assert!(error.hint().unwrap().contains("--sglang and --triton"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let both = |packages: String| {
            target_of(&installed(&packages), || "the image `sglang:spark`".to_owned()).unwrap_err()
        };
        let triton = package("3.5.0", "/s/triton");
        let error = both(format!(r#"{{"triton":{triton}}}"#));
        assert!(error.to_string().contains("`sglang:spark` has no SGLang"), "{error}");
        let error = both(format!(r#"{{"sglang":{}}}"#, package("0.5.4.post2", "/s/sglang")));
        assert!(error.to_string().contains("`sglang:spark` has no Triton"), "{error}");
        assert_eq!(error.kind(), Kind::Environment);
        // A source tree without its metadata tells no version.
        let bare = r#"{"version":null,"folder":"/s/sglang"}"#;
        let error = both(format!(r#"{{"sglang":{bare},"triton":{triton}}}"#));
        assert!(error.to_string().contains("`of unknown version`"), "{error}");
    }
}
