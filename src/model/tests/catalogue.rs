//! The embedded recipes give the shapes the field knows, and a folder of one's own can replace them.

use std::path::Path;

use super::*;
use crate::model::catalogue::{AnyRecipe, CatalogueError};
use crate::model::geometry_error::GeometryError;

fn moe<'a>(catalogue: &'a Catalogue, name: &str) -> &'a Recipe {
    match catalogue.find(name).map(|model| &model.recipe) {
        Some(AnyRecipe::Moe(recipe)) => recipe,
        other => panic!("{name}: {other:?}"),
    }
}

fn shape_of(name: &str, runtime: Option<Runtime>, tp: Option<u32>) -> Result<String, GeometryError> {
    let catalogue = Catalogue::load(None).unwrap();
    let recipe = moe(&catalogue, name);
    let parallelism = tp.map_or(recipe.parallelism(), |tp| Parallelism::new(tp, 1).unwrap());
    let runtime = runtime.unwrap_or(recipe.target.runtime);
    let geometry = moe_shape(&recipe.config(), parallelism, runtime, FusionChoice::Auto)?;
    Ok(format!("{}: {}", geometry.parallelism, geometry.shape))
}

#[test]
fn every_recipe_gives_its_shape() {
    let table = [
        ("GLM-4.7-FP8", "tp 4: E=160 N=384 K=5120 top-8  fp8 per channel"),
        ("GLM-4.6-FP8", "tp 4: E=160 N=384 K=5120 top-8  fp8 per channel"),
        ("GLM-4.5-FP8", "tp 4: E=160 N=384 K=5120 top-8  fp8 per channel"),
        ("GLM-4.5-Air-FP8", "tp 2: E=128 N=704 K=4096 top-8  fp8 per channel"),
        ("Qwen3-30B-A3B", "tp 1: E=128 N=768 K=2048 top-8  bf16"),
        ("Qwen3-30B-A3B-FP8", "tp 1: E=128 N=768 K=2048 top-8  fp8 block [128, 128]"),
        ("Qwen3-Coder-30B-A3B-Instruct", "tp 1: E=128 N=768 K=2048 top-8  bf16"),
        ("Qwen3-Coder-30B-A3B-Instruct-FP8", "tp 1: E=128 N=768 K=2048 top-8  fp8 block [128, 128]"),
        ("Qwen3-235B-A22B-FP8", "tp 4: E=128 N=384 K=4096 top-8  fp8 block [128, 128]"),
        ("Qwen3-Next-80B-A3B-Instruct-FP8", "tp 1: E=512 N=512 K=2048 top-10  fp8 block [128, 128]"),
        ("Qwen3.5-122B-A10B-FP8", "tp 2: E=256 N=512 K=3072 top-8  fp8 block [128, 128]"),
        ("Qwen3.6-35B-A3B", "tp 1: E=256 N=512 K=2048 top-8  bf16"),
        ("Qwen3.6-35B-A3B-FP8", "tp 1: E=256 N=512 K=2048 top-8  fp8 block [128, 128]"),
        ("MiniMax-M2.5", "tp 4: E=256 N=384 K=3072 top-8  fp8 block [128, 128]"),
        ("MiniMax-M2", "tp 4: E=256 N=384 K=3072 top-8  fp8 block [128, 128]"),
        ("gpt-oss-20b", "refused: mxfp4"),
        ("gpt-oss-120b", "refused: mxfp4"),
        ("Mixtral-8x7B-Instruct-v0.1", "tp 2: E=8 N=7168 K=4096 top-2  bf16"),
        ("DeepSeek-V2-Lite-Chat", "tp 1: E=64 N=1408 K=2048 top-6  bf16"),
        ("DeepSeek-V3", "tp 4: E=257 N=512 K=7168 top-8+1 shared  fp8 block [128, 128]"),
        ("NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4", "refused: NVFP4"),
        ("NVIDIA-Nemotron-3-Super-120B-A12B-FP8", "tp 2: E=512 N=1344 K=1024 top-22  fp8 per tensor"),
    ];
    for (name, expected) in table {
        match (shape_of(name, None, None), expected.strip_prefix("refused: ")) {
            (Err(error), Some(reason)) => assert!(error.to_string().contains(reason), "{name}: {error}"),
            (got, _) => assert_eq!(got.unwrap(), expected, "{name}"),
        }
    }
    assert_eq!(Catalogue::load(None).unwrap().moe().count(), table.len());
}

#[test]
fn the_newer_server_counts_shared_experts() {
    let new = |name, tp| shape_of(name, Some(Runtime::Sglang0523), tp).unwrap();
    assert_eq!(new("glm-4.7-fp8", None), "tp 4: E=161 N=384 K=5120 top-8+1 shared  fp8 per channel");
    assert_eq!(
        new("Qwen3-Next-80B-A3B-FP8", None),
        "tp 1: E=513 N=512 K=2048 top-10+1 shared  fp8 block [128, 128]"
    );
    assert_eq!(new("Qwen3.5-122B-A10B-FP8", None), "tp 2: E=256 N=512 K=3072 top-8  fp8 block [128, 128]");
}

/// Every recipe's own defaults are free of surprises: nothing misaligned, nothing unserved.
#[test]
fn no_recipe_warns_at_its_defaults() {
    for recipe in Catalogue::load(None).unwrap().moe() {
        let runtime = recipe.target.runtime;
        if let Ok(geometry) = moe_shape(&recipe.config(), recipe.parallelism(), runtime, FusionChoice::Auto) {
            assert_eq!(geometry.warnings, [], "{}", recipe.id);
        }
        assert!(
            recipe.sources.contains_key("config") && recipe.sources.contains_key("parallel"),
            "{}",
            recipe.id
        );
    }
}

#[test]
fn names_are_found_in_any_case_with_or_without_organisation() {
    let catalogue = Catalogue::load(None).unwrap();
    for name in ["zai-org/GLM-4.7-FP8", "GLM-4.7-FP8", "glm-4.7-fp8", "ZAI-ORG/glm-4.7-FP8"] {
        assert_eq!(catalogue.find(name).unwrap().id().to_string(), "zai-org/GLM-4.7-FP8");
    }
    assert!(catalogue.find("GLM-4.7").is_none(), "the unquantised model is another model");
    assert!(catalogue.find("other/GLM-4.7-FP8").is_none());
    assert_eq!(catalogue.closest("GLM-4.7-FP9")[0], "zai-org/GLM-4.7-FP8");
    assert_eq!(catalogue.closest("gpt-oss-12b").len(), 2);
    assert_eq!(catalogue.closest("completely-different"), [""; 0]);
}

const OWN: &str = r#"
id = "zai-org/GLM-4.7-FP8"
aliases = ["mine"]
[target]
sglang = "0.5.23"
triton = "3.7.1"
[parallel]
tp = 2
[config]
architectures = ["MixtralForCausalLM"]
num_local_experts = 8
num_experts_per_tok = 2
intermediate_size = 64
hidden_size = 32
[sources]
config = "made up"
"#;

fn load(folder: &Path, files: &[(&str, &str)]) -> Result<Catalogue, CatalogueError> {
    std::fs::create_dir_all(folder.join("models")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join("models").join(name), text).unwrap();
    }
    Catalogue::load(Some(folder))
}

#[test]
fn ones_own_recipe_replaces_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = load(folder.path(), &[("a.toml", OWN), ("note.txt", "not a recipe")]).unwrap();
    assert_eq!(catalogue.models().len(), Catalogue::load(None).unwrap().models().len());
    let recipe = moe(&catalogue, "MINE");
    assert_eq!(recipe.id.to_string(), "zai-org/GLM-4.7-FP8");
    assert_eq!(
        (recipe.parallelism().to_string(), recipe.target().to_string()),
        ("tp 2".into(), "SGLang 0.5.23 with Triton 3.7.1".into())
    );
}

#[test]
fn what_a_recipe_says_of_serving_is_kept_as_it_is_and_decides_no_shape() {
    let folder = tempfile::tempdir().unwrap();
    let serve = "[serve]\nnodes = 2\nflags = [\"--mem-fraction-static\", \"0.8\"]\n[serve.env]\nA = \"b\"\n";
    let catalogue = load(folder.path(), &[("a.toml", &format!("{OWN}{serve}"))]).unwrap();
    let recipe = moe(&catalogue, "mine");
    let said = recipe.serve.as_ref().unwrap();
    assert_eq!(said["nodes"].as_integer(), Some(2));
    assert_eq!((said["flags"].as_array().map(Vec::len), said["env"]["A"].as_str()), (Some(2), Some("b")));
    let silent = load(folder.path(), &[("a.toml", OWN)]).unwrap();
    let silent = moe(&silent, "mine");
    assert_eq!(silent.serve, None);
    let mut unserved = recipe.clone();
    unserved.serve = None;
    assert_eq!(unserved, *silent);
}

#[test]
fn a_model_without_experts_is_served_and_not_tuned() {
    let folder = tempfile::tempdir().unwrap();
    let dense = "id = \"me/dense\"\naliases = [\"thin\"]\nsources = {}\n[serve]\nengine = \"vllm\"\n";
    let catalogue = load(folder.path(), &[("d.toml", dense)]).unwrap();
    let known = catalogue.find("thin").unwrap();
    assert_eq!(known.id().to_string(), "me/dense");
    assert_eq!(known.serve().unwrap()["engine"].as_str(), Some("vllm"));
    assert!(matches!(known.recipe, AnyRecipe::Dense(_)));
    assert_eq!(catalogue.moe().count(), Catalogue::load(None).unwrap().moe().count());
    for (text, says) in [
        (dense.replace("[serve]", "[serv]"), "unknown field `serv` (did you mean `serve`?)"),
        (dense.replace("sources = {}", "tp = 1\nsources = {}"), "unknown field `tp`"),
        (format!("{dense}[parallel]\ntp = 1\n"), "missing field `target`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = load(folder.path(), &[("d.toml", &text)]).unwrap_err().to_string();
        assert!(error.contains("models/d.toml") && error.contains(says), "{text}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_recipe_is_named() {
    for (from, to, says) in [
        ("tp = 2", "tp = 0", "[parallel]: tp=0 is no parallelism"),
        ("tp = 2", "tp = \"2\"", "invalid type: string \"2\", expected a whole number from 0 to 4294967295"),
        ("tp = 2", "tpp = 2", "unknown field `tpp` (did you mean `tp`?), expected `tp` or `ep`"),
        ("tp = 2", "tp = 4\nep = 3", "tp=4 is not divisible by ep=3"),
        ("0.5.23", "0.6.0", "unknown SGLang version `0.6.0`"),
        ("3.7.1", "3.7", "`3.7` is not a Triton version"),
        ("zai-org/", "", "`GLM-4.7-FP8` is no model id"),
        ("architectures", "architecture", "`architectures` is missing"),
        ("aliases", "unverified", "`unverified` names `mine`"),
        ("[sources]", "[sources", "line"),
        ("id =", "id = 5 #", "line 2"),
        ("config = \"made up\"", "config = 7", "expected a string"),
        ("id =", "serve = 3\nid =", "expected a"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = load(folder.path(), &[("bad.toml", &OWN.replacen(from, to, 1))]).unwrap_err().to_string();
        assert!(error.contains("models/bad.toml") && error.contains(says), "{to}: {error}");
    }
}

#[test]
fn two_recipes_for_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), &[("a.toml", OWN), ("b.toml", OWN)]).unwrap_err();
    assert!(matches!(error, CatalogueError::Ambiguous { .. }), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let other = OWN.replace("zai-org/GLM-4.7-FP8", "me/x").replace("mine", "DeepSeek-V3");
    let error = load(folder.path(), &[("a.toml", &other)]).unwrap_err().to_string();
    assert_eq!(
        error,
        "`deepseek-v3` names both deepseek-ai/DeepSeek-V3 and me/x: give one of them another alias"
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error_one_without_models_is_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Catalogue::load(Some(folder.path())).is_ok());
    let error = Catalogue::load(Some(&folder.path().join("typo"))).unwrap_err();
    assert!(error.to_string().contains("typo"), "{error}");
}
