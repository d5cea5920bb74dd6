//! Every way to name a model, and every way that fails.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::canned::{Answer, Canned};
use crate::failure::{Failure, Kind};
use crate::model::limits::MAX_CONFIG_BYTES;
use crate::model::{FusionChoice, Parallelism, moe_shape};
use crate::runtime::Runtime;

const MIXTRAL: &str = r#"{"architectures": ["MixtralForCausalLM"], "num_local_experts": 8, "num_experts_per_tok": 2,
    "intermediate_size": 64, "hidden_size": 32, "torch_dtype": "float16"}"#;
const TOKEN: &str = "hf_do_not_show_me";
const CONFIG: &str = "/org/model/resolve/main/config.json";
const QUANT: &str = "/org/model/resolve/main/hf_quant_config.json";

fn options(pairs: &[(&str, &str)]) -> ResolveOptions {
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    ResolveOptions::new(HfEnvironment::from_getter(get))
}

fn shape(model: &ResolvedModel) -> String {
    let split = Parallelism::new(1, 1).unwrap();
    moe_shape(&model.config, split, Runtime::Sglang054, FusionChoice::Auto)
        .map_or_else(|error| error.to_string(), |geometry| geometry.shape.to_string())
}

/// A folder that is no home: nothing is cached in it.
fn empty_home() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    (folder, path)
}

async fn from_hub(hub: &Canned, token: bool) -> Result<ResolvedModel, ResolveError> {
    let (_home, home) = empty_home();
    let url = hub.url();
    let mut pairs = vec![("HF_ENDPOINT", url.as_str()), ("HOME", &home)];
    if token {
        pairs.push(("HF_TOKEN", TOKEN));
    }
    let result = resolve("org/model", &options(&pairs)).await;
    if let Err(error) = &result {
        let shown = format!("{error} {error:?} {:?}", error.hint());
        assert!(!shown.contains(TOKEN), "the token shows: {shown}");
    }
    result
}

async fn refused(answer: Answer, token: bool) -> (String, Kind, String) {
    let error = from_hub(&Canned::paths([(CONFIG, answer)]), token).await.unwrap_err();
    (error.to_string(), error.kind(), error.hint().unwrap_or_default())
}

#[tokio::test]
async fn a_path_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("My-Model");
    fs::create_dir(&model).unwrap();
    let file = model.join("config.json");
    fs::write(&file, MIXTRAL).unwrap();
    for query in [&model, &file] {
        let found = resolve(query.to_str().unwrap(), &options(&[])).await.unwrap();
        assert_eq!(
            (found.name.as_str(), found.origin.clone()),
            ("My-Model", ModelOrigin::File(file.clone()))
        );
        assert_eq!(shape(&found), "E=8 N=64 K=32 top-2  fp16");
        assert!(found.recipe.is_none() && found.origin.id().is_none());
    }
    let other = folder.path().join("other.json");
    fs::write(&other, MIXTRAL).unwrap();
    assert_eq!(resolve(other.to_str().unwrap(), &options(&[])).await.unwrap().name, "other");
}

#[tokio::test]
async fn what_is_wrong_with_a_path_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("empty.json"), "").unwrap();
    fs::write(at("cut.json"), &MIXTRAL[..80]).unwrap();
    fs::write(at("list.json"), "[]").unwrap();
    fs::write(at("binary.json"), [0xff, 0xfe, 0x00]).unwrap();
    fs::write(at("large.json"), vec![b' '; MAX_CONFIG_BYTES + 10]).unwrap();
    for (name, says) in [
        ("empty", "has no config.json"),
        ("missing.json", "No such file"),
        ("missing/dir/", "No such file"),
        ("empty.json", "the file is empty"),
        ("cut.json", "not valid JSON"),
        ("list.json", "expected a JSON object at the top"),
        ("binary.json", "not valid JSON"),
        ("large.json", "more than 16777216 bytes"),
    ] {
        let error = resolve(&at(name), &options(&[])).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Input, "{name}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(says), "{name}: {text}");
    }
    let error = resolve("/dev/null", &options(&[])).await.unwrap_err().to_string();
    assert_eq!(error, "cannot read `/dev/null`: not a regular file");
}

#[tokio::test]
async fn the_catalogue_answers_without_files_or_network() {
    for query in ["GLM-4.7-FP8", "glm-4.7-fp8", "zai-org/GLM-4.7-FP8"] {
        let found = resolve(query, &options(&[])).await.unwrap();
        assert_eq!(found.name, "GLM-4.7-FP8");
        assert_eq!(found.origin.to_string(), "recipe of zai-org/GLM-4.7-FP8");
        assert_eq!(found.recipe.unwrap().parallelism().to_string(), "tp 4");
    }
}

#[tokio::test]
async fn an_unknown_name_is_refused_with_those_that_look_like_it() {
    let error = resolve("GLM-4.7-FP9", &options(&[])).await.unwrap_err();
    assert_eq!(error.to_string(), "unknown model `GLM-4.7-FP9`: no such path, and not in the catalogue");
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.hint().unwrap().starts_with("did you mean zai-org/GLM-4.7-FP8"));
    for odd in ["", " ", "nothing-like-it", "a b", "a/b?c", "\u{1b}[31m"] {
        let error = resolve(odd, &options(&[])).await.unwrap_err();
        assert!(matches!(error, ResolveError::Unknown { .. }), "{odd:?}: {error}");
        assert!(error.hint().is_some() && !error.to_string().contains('\u{1b}'));
    }
}

#[tokio::test]
async fn ones_own_recipes_come_from_the_profiles_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    let recipe = r#"
        id = "me/mine"
        target = { sglang = "0.5.4", triton = "3.5.0" }
        parallel = { tp = 1 }
        config = { architectures = ["MixtralForCausalLM"], num_local_experts = 8, num_experts_per_tok = 2, intermediate_size = 64, hidden_size = 32 }
        sources = {}
    "#;
    fs::write(folder.path().join("models/mine.toml"), recipe).unwrap();
    let options = ResolveOptions { profiles_dir: Some(folder.path().to_owned()), ..options(&[]) };
    assert_eq!(shape(&resolve("mine", &options).await.unwrap()), "E=8 N=64 K=32 top-2  bf16");
    fs::write(folder.path().join("models/bad.toml"), "id = 5").unwrap();
    let error = resolve("mine", &options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("bad.toml"), "{error}");
}

fn snapshot(cache: &Path, revision: &str, config: Option<&str>) {
    let folder = cache.join("models--org--model/snapshots").join(revision);
    fs::create_dir_all(&folder).unwrap();
    if let Some(config) = config {
        fs::write(folder.join("config.json"), config).unwrap();
    }
}

#[tokio::test]
async fn the_local_cache_is_read_in_each_of_its_places() {
    for variable in ["HF_HUB_CACHE", "HF_HOME", "HOME"] {
        let folder = tempfile::tempdir().unwrap();
        let cache = match variable {
            "HF_HUB_CACHE" => folder.path().to_owned(),
            "HF_HOME" => folder.path().join("hub"),
            _ => folder.path().join(".cache/huggingface/hub"),
        };
        snapshot(&cache, "abc123", Some(MIXTRAL));
        let options = options(&[(variable, folder.path().to_str().unwrap()), ("HF_HUB_OFFLINE", "1")]);
        let found = resolve("org/model", &options).await.unwrap();
        assert!(
            matches!(&found.origin, ModelOrigin::Cache(id, _) if id.to_string() == "org/model"),
            "{variable}"
        );
        assert_eq!((found.name.as_str(), shape(&found).as_str()), ("model", "E=8 N=64 K=32 top-2  fp16"));
    }
}

#[tokio::test]
async fn the_cache_prefers_main_then_the_newest_snapshot_with_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&[("HF_HUB_CACHE", folder.path().to_str().unwrap()), ("HF_HUB_OFFLINE", "1")]);
    let with_experts =
        |n: u32| MIXTRAL.replace("\"num_local_experts\": 8", &format!("\"num_local_experts\": {n}"));
    let experts = async || {
        let text = shape(&resolve("org/model", &options).await.unwrap());
        text.split(' ').next().unwrap().to_owned()
    };
    let dated = |revision: &str, seconds: u64| {
        let folder =
            fs::File::open(folder.path().join("models--org--model/snapshots").join(revision)).unwrap();
        folder.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    snapshot(folder.path(), "older", Some(&with_experts(10)));
    snapshot(folder.path(), "newer", Some(&with_experts(20)));
    snapshot(folder.path(), "bare", None);
    for (revision, seconds) in [("older", 1000), ("newer", 2000), ("bare", 3000)] {
        dated(revision, seconds);
    }
    assert_eq!(experts().await, "E=20");
    let refs = folder.path().join("models--org--model/refs");
    fs::create_dir(&refs).unwrap();
    for (main, expected) in [("older\n", "E=10"), ("bare", "E=20"), ("gone", "E=20"), ("../../evil", "E=20")]
    {
        fs::write(refs.join("main"), main).unwrap();
        assert_eq!(experts().await, expected, "refs/main is {main:?}");
    }
}

#[tokio::test]
async fn offline_says_where_it_looked() {
    let (_home, home) = empty_home();
    let options = ResolveOptions {
        offline: true,
        ..options(&[("HF_HOME", &home), ("HF_ENDPOINT", "http://127.0.0.1:1")])
    };
    let error = resolve("org/model", &options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Environment);
    let text = error.to_string();
    assert!(
        text.contains("--offline") && text.ends_with(&format!("in {home}/hub/models--org--model")),
        "{text}"
    );
}

#[tokio::test]
async fn the_hub_answers() {
    let hub = Canned::paths([(CONFIG, Answer::ok(MIXTRAL))]);
    let found = from_hub(&hub, false).await.unwrap();
    assert_eq!(found.origin.to_string(), format!("{}{CONFIG}", hub.url()));
    assert_eq!(shape(&found), "E=8 N=64 K=32 top-2  fp16");
    let paths: Vec<String> = hub.asked().into_iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(paths, [CONFIG, QUANT]);
    assert!(hub.asked().iter().all(|asked| asked.header("authorization").is_none()));

    let hub = Canned::paths([(CONFIG, Answer::ok(MIXTRAL))]);
    from_hub(&hub, true).await.unwrap();
    assert!(
        hub.asked().iter().all(|asked| asked.header("authorization") == Some(&format!("Bearer {TOKEN}")))
    );
}

#[tokio::test]
async fn a_separate_quantisation_file_is_not_overlooked() {
    let quant = r#"{"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "exclude_modules": []}}"#;
    let hub = Canned::paths([(CONFIG, Answer::ok(MIXTRAL)), (QUANT, Answer::ok(quant))]);
    assert!(shape(&from_hub(&hub, false).await.unwrap()).contains("modelopt NVFP4"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), MIXTRAL).unwrap();
    fs::write(folder.path().join("hf_quant_config.json"), quant.replace("NVFP4", "FP8")).unwrap();
    let found = resolve(folder.path().to_str().unwrap(), &options(&[])).await.unwrap();
    assert_eq!(shape(&found), "E=8 N=64 K=32 top-2  fp8 per tensor");
    // Not knowing is not the same as knowing that there is none.
    let hub = Canned::paths([(CONFIG, Answer::ok(MIXTRAL)), (QUANT, Answer::status(503))]);
    assert!(from_hub(&hub, false).await.unwrap_err().to_string().ends_with("HTTP 503"));
}

#[tokio::test]
async fn each_refusal_of_the_hub_has_its_own_message() {
    let (text, kind, hint) = refused(Answer::status(401), false).await;
    assert!(text.contains("gated or private") && text.ends_with("HF_TOKEN is not set"), "{text}");
    assert!(kind == Kind::Environment && hint.contains("set HF_TOKEN"), "{hint}");
    let gated = Answer::status(403).header("x-error-code", "GatedRepo");
    assert!(refused(gated.clone(), false).await.0.contains("gated or private"));
    let (text, kind, hint) = refused(gated, true).await;
    assert!(text.contains("the account of HF_TOKEN may not read `org/model`"), "{text}");
    assert!(kind == Kind::Environment && hint.contains("accept the licence at https://"), "{hint}");
    let (text, _, hint) = refused(Answer::status(401), true).await;
    assert!(text.ends_with("(HTTP 401)") && hint.contains("expired"), "{text} {hint}");

    let hidden = Answer::status(401).header("x-error-code", "RepoNotFound");
    let (text, kind, hint) = refused(hidden, false).await;
    assert!(text.ends_with("or it is private") && kind == Kind::Input && hint.contains("HF_TOKEN"), "{text}");
    let (text, kind, _) = refused(Answer::status(404), false).await;
    assert!(text.starts_with("no model `org/model` at 127.0.0.1:") && kind == Kind::Input, "{text}");
    let (text, ..) = refused(Answer::status(404).header("x-error-code", "EntryNotFound"), false).await;
    assert!(text.contains("has no config.json"), "{text}");
    let (text, kind, _) = refused(Answer::status(500), false).await;
    assert!(text.ends_with("config.json: the hub answered HTTP 500") && kind == Kind::Environment, "{text}");
    assert!(refused(Answer::status(429), false).await.0.ends_with("HTTP 429"));
}

#[tokio::test]
async fn a_missing_model_comes_with_names_that_look_like_it() {
    let hub = Canned::paths([]);
    let (_home, home) = empty_home();
    let options = options(&[("HF_ENDPOINT", &hub.url()), ("HOME", &home)]);
    let error = resolve("zai-org/GLM-4.7-FP9", &options).await.unwrap_err();
    assert!(error.hint().unwrap().starts_with("did you mean zai-org/GLM-4.7-FP8"), "{:?}", error.hint());
}

#[tokio::test]
async fn a_bad_answer_names_its_address() {
    for (body, says) in
        [("<html>", "not valid JSON"), ("", "the file is empty"), ("[]", "expected a JSON object")]
    {
        let (text, kind, _) = refused(Answer::ok(body), false).await;
        assert!(text.starts_with("http://127.0.0.1:") && text.contains(says), "{text}");
        assert_eq!(kind, Kind::Input);
    }
    let cut = Answer::ok(&MIXTRAL.as_bytes()[..50]).cut_off();
    let (text, kind, _) = refused(cut, false).await;
    assert!(text.starts_with("cannot reach http://127.0.0.1:") && kind == Kind::Environment, "{text}");
    let (text, ..) = refused(Answer::ok(vec![b' '; MAX_CONFIG_BYTES + 5]), false).await;
    assert!(text.contains("more than 16777216 bytes"), "{text}");
}

#[tokio::test]
async fn a_slow_hub_is_given_up_on() {
    let slow = Answer::ok(MIXTRAL).after(Duration::from_secs(20));
    let hub = Canned::paths([(CONFIG, slow)]);
    let (_home, home) = empty_home();
    let options = ResolveOptions {
        hub_timeout: Duration::from_millis(300),
        ..options(&[("HF_ENDPOINT", &hub.url()), ("HOME", &home)])
    };
    let before = Instant::now();
    let error = resolve("org/model", &options).await.unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(10));
    assert!(error.to_string().ends_with("no answer within 0.3 s"), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
}

#[tokio::test]
async fn an_unreachable_hub_is_the_environments_fault() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let (_home, home) = empty_home();
    let error =
        resolve("org/model", &options(&[("HF_ENDPOINT", &address), ("HOME", &home)])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.to_string().starts_with(&format!("cannot reach {address}/org/model/")), "{error}");
    assert!(error.hint().unwrap().contains("HF_ENDPOINT"));
}

#[tokio::test]
async fn a_redirect_keeps_the_token_at_home() {
    let elsewhere = Canned::paths([("/blob", Answer::ok(MIXTRAL))]);
    let away = Answer::status(307).header("location", format!("{}/blob", elsewhere.url()));
    let hub = Canned::paths([(CONFIG, away)]);
    from_hub(&hub, true).await.unwrap();
    assert!(hub.asked()[0].header("authorization").is_some());
    assert!(elsewhere.asked().iter().all(|asked| asked.header("authorization").is_none()));

    let home = Answer::status(307).header("location", "/api/resolve-cache/x");
    let hub = Canned::paths([(CONFIG, home), ("/api/resolve-cache/x", Answer::ok(MIXTRAL))]);
    from_hub(&hub, true).await.unwrap();
    assert!(hub.asked().iter().all(|asked| asked.header("authorization").is_some()));

    let (text, ..) = refused(Answer::status(302).header("location", CONFIG), false).await;
    assert!(text.starts_with("cannot reach") && text.contains("redirect"), "{text}");
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named_without_their_value() {
    let (_home, home) = empty_home();
    for bad in ["not an address", "ftp://host", "https://user:passw0rd@host", "https://host?token=passw0rd"] {
        let error =
            resolve("org/model", &options(&[("HF_ENDPOINT", bad), ("HOME", &home)])).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("HF_ENDPOINT") && !text.contains("passw0rd"), "{text}");
        assert_eq!(error.kind(), Kind::Input);
    }
    let error = resolve("org/model", &options(&[("HF_TOKEN", "a\nb"), ("HOME", &home)])).await.unwrap_err();
    assert!(error.to_string().starts_with("HF_TOKEN holds characters"), "{error}");
}

/// The bytes of the weights beside a config in a folder with these files.
async fn bytes_beside(files: &[(&str, &str)]) -> Result<Option<u64>, ResolveError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), MIXTRAL).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let options = options(&[]);
    let found = resolve(folder.path().to_str().unwrap(), &options).await?;
    weights_bytes(&found.origin, &options).await
}

const INDEX: &str = "model.safetensors.index.json";

#[tokio::test]
async fn how_large_weights_are_is_said_by_their_index_or_themselves() {
    let index = r#"{"metadata": {"total_size": 360000000000}, "weight_map": {}}"#;
    assert_eq!(
        bytes_beside(&[(INDEX, index), ("a.safetensors", "12345")]).await.unwrap(),
        Some(360_000_000_000)
    );
    let float = index.replace("360000000000", "360000000000.0");
    assert_eq!(bytes_beside(&[(INDEX, &float)]).await.unwrap(), Some(360_000_000_000));
    assert_eq!(bytes_beside(&[(INDEX, r#"{"weight_map": {}}"#)]).await.unwrap(), None);
    assert_eq!(bytes_beside(&[("a.safetensors", "12345"), ("b.safetensors", "1")]).await.unwrap(), Some(6));
    assert_eq!(bytes_beside(&[("a.bin", "12345")]).await.unwrap(), None);
    for (bad, says) in [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        (
            r#"{"metadata": {"total_size": "9"}}"#,
            "field `metadata.total_size`: expected a number of bytes above 0",
        ),
        (
            r#"{"metadata": {"total_size": -9}}"#,
            "field `metadata.total_size`: expected a number of bytes above 0",
        ),
        (
            r#"{"metadata": {"total_size": 0}}"#,
            "field `metadata.total_size`: expected a number of bytes above 0",
        ),
    ] {
        let error = bytes_beside(&[(INDEX, bad)]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(INDEX) && text.contains(says), "{text}");
        assert_eq!(error.kind(), Kind::Input);
    }
}

#[tokio::test]
async fn how_large_weights_are_is_asked_of_the_hub() {
    const AT: &str = "/org/model/resolve/main/model.safetensors.index.json";
    let (_home, home) = empty_home();
    let bytes = async |hub: &Canned| {
        let options = options(&[("HF_ENDPOINT", &hub.url()), ("HOME", &home)]);
        let found = resolve("org/model", &options).await.unwrap();
        weights_bytes(&found.origin, &options).await
    };
    let index = r#"{"metadata": {"total_size": 77}}"#;
    let hub = Canned::paths([(CONFIG, Answer::ok(MIXTRAL)), (AT, Answer::ok(index))]);
    assert_eq!(bytes(&hub).await.unwrap(), Some(77));
    assert_eq!(bytes(&Canned::paths([(CONFIG, Answer::ok(MIXTRAL))])).await.unwrap(), None);
    let hub = Canned::paths([(CONFIG, Answer::ok(MIXTRAL)), (AT, Answer::status(503))]);
    assert!(bytes(&hub).await.unwrap_err().to_string().ends_with("HTTP 503"));
    let hub = Canned::paths([
        (CONFIG, Answer::ok(MIXTRAL)),
        (AT, Answer::ok("{\"metadata\": {\"total_size\": []}}")),
    ]);
    assert!(bytes(&hub).await.unwrap_err().to_string().contains("metadata.total_size"));
}
