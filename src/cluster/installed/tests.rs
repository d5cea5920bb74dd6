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

/// A program that says something to each of its options.
fn tool(path: &Path, says: &[(&str, &str)]) {
    let case = |(option, words): &(&str, &str)| format!("case \"$1\" in {option}) echo \"{words}\";; esac\n");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{}", says.iter().map(case).collect::<String>())).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn what_lies_beside_the_packages_is_asked_and_nothing_is_imported() {
    let packages =
        [("sglang", "0.5.4.post2"), ("triton", "3.5.0"), ("torch", "2.9.0"), ("sgl_kernel", "0.3.16")];
    let site = site(&packages, &[OLD]);
    let at = |path: &str| site.path().join(path);
    let bin = "triton/backends/nvidia/bin";
    let ptxas = [
        ("--version", "Cuda compilation tools, release 12.8, V12.8.93"),
        ("--help", "'sm_90a','sm_120','lto_120'"),
    ];
    tool(&at(&format!("{bin}/ptxas")), &ptxas);
    let code = "ELF file    1: a.1.sm_90.cubin\nELF file    2: a.2.sm_120a.cubin";
    tool(
        &at(&format!("{bin}/cuobjdump")),
        &[("--list-elf", code), ("--list-ptx", "PTX file    1: a.1.sm_80.ptx")],
    );
    std::fs::write(at("sgl_kernel/small.so"), "x").unwrap();
    std::fs::write(at("sgl_kernel/common.so"), vec![0; 2 << 20]).unwrap();
    std::fs::write(at("torch/version.py"), "__version__ = '2.9.0+cu128'\ncuda: Optional[str] = '12.8'\n")
        .unwrap();
    std::fs::create_dir_all(at(&format!("{OLD}/configs/triton_3_5_0"))).unwrap();
    std::fs::write(at(&format!("{OLD}/configs/triton_3_5_0/E=1.json")), "{}").unwrap();
    let found = probe_with_tools(&Here::new(), &python(site.path())).await.unwrap();
    assert_eq!(found.version("sgl_kernel"), Some("0.3.16"));
    let tools = found.tools.unwrap();
    assert_eq!(tools.cuda.as_deref(), Some("12.8"));
    let own = tools.assembler(121).unwrap();
    assert_eq!((own.of.as_str(), own.version.as_deref()), ("triton", Some("12.8.93")));
    assert!(
        own.knows("sm_90a")
            && own.knows("sm_120")
            && !own.knows("lto_120")
            && !own.knows(&Tools::target(121))
    );
    let [(library, kernels)] = &tools.kernels.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one library")
    };
    assert!(library.ends_with("sgl_kernel/common.so"), "{library}");
    assert_eq!(kernels.code.iter().collect::<Vec<_>>(), ["sm_120a", "sm_90"]);
    assert_eq!(kernels.assembly.iter().collect::<Vec<_>>(), ["sm_80"]);
    assert_eq!(tools.no_kernels, None);
    let [(folder, configs)] = &tools.configs.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one folder")
    };
    assert!(folder.ends_with(OLD) && configs.writable, "{folder}");
    assert_eq!(configs.files, ["configs/triton_3_5_0/E=1.json"]);
}

#[tokio::test]
async fn a_version_without_metadata_is_the_packages_own_word() {
    let site = site(&[("triton", "3.5.0")], &["vllm"]);
    std::fs::write(site.path().join("vllm/_version.py"), "__version__ = version = '0.11.2+local'\n").unwrap();
    let found = probe(&Here::new(), &python(site.path())).await.unwrap();
    assert_eq!((found.version("vllm"), found.family()), (Some("0.11.2+local"), Some(Family::Vllm)));
    assert_eq!(found.tools, None, "they were not asked");
}

#[test]
fn triton_takes_another_assembler_for_newer_gpus_once_it_has_one() {
    let tools = |all: &[(&str, bool)]| {
        let ptxas = all.iter().map(|(of, runs)| Assembler {
            of: (*of).to_owned(),
            path: HostPath::new(*of),
            version: runs.then(|| "13.0".to_owned()),
            targets: Default::default(),
        });
        let ptxas = ptxas.collect();
        Tools {
            cuda: None,
            nccl: None,
            ptxas,
            kernels: BTreeMap::new(),
            no_kernels: None,
            configs: BTreeMap::new(),
        }
    };
    let old = [("cuda", true), ("triton", true)];
    let variable = [("TRITON_PTXAS_PATH", true), ("triton", true)];
    let broken = [("TRITON_PTXAS_PATH", false), ("triton", true)];
    let new = [("TRITON_PTXAS_PATH", true), ("triton", true), ("triton_blackwell", true)];
    let both = [("TRITON_PTXAS_BLACKWELL_PATH", true), ("triton", true), ("triton_blackwell", true)];
    for (all, capability, expected) in [
        (&old[..], 121, Some("triton")),
        (&variable, 121, Some("TRITON_PTXAS_PATH")),
        (&broken, 121, Some("triton")),
        (&new, 121, Some("triton_blackwell")),
        (&new, 90, Some("TRITON_PTXAS_PATH")),
        (&both, 121, Some("TRITON_PTXAS_BLACKWELL_PATH")),
        (&both, 90, Some("triton")),
        (&[("cuda", true)], 121, None),
    ] {
        let tools = tools(all);
        assert_eq!(tools.assembler(capability).map(|it| it.of.as_str()), expected, "{all:?} {capability}");
    }
    assert_eq!([Tools::target(121), Tools::target(90), Tools::target(89)], ["sm_121a", "sm_90a", "sm_89"]);
}
