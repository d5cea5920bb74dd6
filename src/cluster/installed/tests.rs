use std::path::Path;

use super::*;
use crate::host::Here;

/// A folder that an interpreter finds packages in, as an installation leaves them.
fn site(packages: &[(&str, &str)], folders: &[&str]) -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    for (name, version) in packages {
        let package = site.path().join(name);
        std::fs::create_dir_all(&package).unwrap();
        // Importing it would end the program.
        std::fs::write(package.join("__init__.py"), "raise SystemExit('imported')").unwrap();
        let metadata = site.path().join(format!("{name}-{version}.dist-info"));
        std::fs::create_dir_all(&metadata).unwrap();
        let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        std::fs::write(metadata.join("METADATA"), text).unwrap();
    }
    for folder in folders {
        std::fs::create_dir_all(site.path().join(folder)).unwrap();
    }
    site
}

/// An interpreter whose packages are those of `site`.
fn python(site: &Path) -> HostPath {
    let path = site.join("python");
    let script = format!(
        "#!/bin/sh\nshift; shift\nexec python3 -S -c \"import sys; sys.path.insert(0, '{}'); exec(sys.argv.pop(1))\" \"$1\"\n",
        site.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    HostPath::try_from(path.as_path()).unwrap()
}

async fn place(site: &Path, variables: &[(&str, &str)]) -> Result<ConfigPlace, NoPlace> {
    let (host, python) = (Here::new(), python(site));
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    probe(&host, &python).await?.place(host.name(), &python, None, &variables)
}

const OLD: &str = "sglang/srt/layers/moe/fused_moe_triton";
const NEW: &str = "sglang/srt/layers/moe/moe_runner/triton_utils";

#[tokio::test]
async fn the_folder_is_where_that_installation_looks() {
    let old = site(&[("sglang", "0.5.4.post2"), ("triton", "3.5.0")], &[OLD]);
    let found = place(old.path(), &[]).await.unwrap();
    let expected = old.path().canonicalize().unwrap().join(OLD).join("configs/triton_3_5_0");
    assert_eq!(found.folder.as_str(), expected.to_str().unwrap());
    assert_eq!((found.family, found.runtime), (Family::Sglang, Some(Runtime::Sglang054)));
    // A release that nobody has read, with both folders: the newer is the one it reads.
    let new = site(&[("sglang", "0.5.14"), ("triton", "3.6.0+git9")], &[OLD, NEW]);
    let found = place(new.path(), &[]).await.unwrap();
    assert!(found.folder.as_str().ends_with("moe_runner/triton_utils/configs/triton_3_6_0"), "{found:?}");
    assert_eq!(found.runtime, None);
    let found = place(new.path(), &[("SGLANG_MOE_CONFIG_DIR", "/tuned")]).await.unwrap();
    assert_eq!(found.folder.as_str(), "/tuned/configs/triton_3_6_0");
    assert!(found.reason.contains("SGLANG_MOE_CONFIG_DIR"), "{found:?}");
}

#[tokio::test]
async fn vllm_has_one_flat_folder() {
    let folder = "vllm/model_executor/layers/fused_moe";
    let site = site(&[("vllm", "0.33.0"), ("triton", "3.8.0")], &[folder]);
    let found = place(site.path(), &[]).await.unwrap();
    assert!(found.folder.as_str().ends_with("fused_moe/configs"), "{found:?}");
    assert_eq!((found.family, found.runtime), (Family::Vllm, Some(Runtime::Vllm)));
    let found = place(site.path(), &[("VLLM_TUNED_CONFIG_FOLDER", "/tuned")]).await.unwrap();
    assert_eq!(found.folder.as_str(), "/tuned");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let cases = [
        (site(&[("triton", "3.5.0")], &[]), "neither SGLang nor vLLM"),
        (site(&[("sglang", "0.5.23")], &[NEW]), "no Triton"),
        (site(&[("sglang", "0.5.23"), ("triton", "nightly")], &[NEW]), "Triton `nightly`"),
        (
            site(&[("sglang", "0.6.0"), ("triton", "3.8.0")], &["sglang/srt"]),
            "where no known release has them",
        ),
    ];
    for (site, words) in cases {
        let error = place(site.path(), &[]).await.unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(error.kind(), Kind::Environment);
        assert!(error.hint().is_some());
    }
}
