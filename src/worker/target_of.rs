//! What an interpreter compiles for.

use super::no_compiler::NoCompiler;
use crate::cluster::installed::{Family, Installed};
use crate::host::HostPath;
use crate::runtime::{Runtime, Target, TritonVersion, VllmVersion};

/// What an interpreter has of a family's runtime, and the folder above its package; `holder` says whose it is.
pub(crate) fn target_of(
    installed: &Installed,
    family: Family,
    holder: impl Fn() -> String,
) -> Result<(Target, HostPath), NoCompiler> {
    let lacks = |package| NoCompiler::Lacks { holder: holder(), package };
    let folder = installed.folder(family.package()).ok_or_else(|| lacks(family.name()))?;
    let version = installed.version(family.package()).unwrap_or("of unknown version");
    let runtime = match family {
        Family::Sglang => Runtime::from_sglang_version(version),
        Family::Vllm => version.parse::<VllmVersion>().map(|_| Runtime::Vllm),
    };
    let runtime = runtime.map_err(|unknown| NoCompiler::UnknownRuntime { holder: holder(), unknown })?;
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
        let installed = installed(&format!(r#"{{"sglang":{sglang},"triton":{triton}}}"#));
        target_of(&installed, Family::Sglang, || "the image `sglang:spark`".to_owned())
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
            let holder = || "the image `sglang:spark`".to_owned();
            target_of(&installed(&packages), Family::Sglang, holder).unwrap_err()
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

    #[test]
    fn a_vllm_is_looked_for_where_that_is_wanted_whatever_else_is_there() {
        let [vllm, sglang] = [("0.33.0+cu130", "vllm"), ("0.5.4.post2", "sglang")]
            .map(|(it, name)| package(it, &format!("/opt/site/{name}")));
        let triton = package("3.8.0", "/opt/site/triton");
        let of = |packages: String| {
            target_of(&installed(&packages), Family::Vllm, || "the image `vllm:spark`".to_owned())
        };
        let both = of(format!(r#"{{"vllm":{vllm},"sglang":{sglang},"triton":{triton}}}"#));
        let (target, root) = both.unwrap();
        assert_eq!((target, root.as_str()), (Target::of(Runtime::Vllm), "/opt/site"));
        let error = of(format!(r#"{{"sglang":{sglang},"triton":{triton}}}"#)).unwrap_err();
        assert!(error.to_string().contains("`vllm:spark` has no vLLM"), "{error}");
        assert!(error.hint().unwrap().contains("vllm/vllm-openai"));
        let old = package("0.9.2", "/opt/site/vllm");
        let error = of(format!(r#"{{"vllm":{old},"triton":{triton}}}"#)).unwrap_err();
        assert!(error.to_string().contains("unknown vLLM version `0.9.2`"), "{error}");
        assert_eq!(error.kind(), Kind::Environment);
    }
}
