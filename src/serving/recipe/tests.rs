use super::*;
use crate::model::Catalogue;

const OWN: &str = "id = \"me/model\"\nsources = {}\n[serve]\nengine = \"sglang\"\ntp = 2\nport = 4000\n\
                   arguments = [\"--attention-backend\", \"triton\"]\nnumber = 77\nnotes = \"of its own\"\n\
                   memory_fraction = 0.8\n[serve.variants.long]\ncontext_length = 9000\narguments = []\n\
                   without = [\"memory_fraction\"]\n";

fn catalogue(text: &str) -> Catalogue {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    std::fs::write(folder.path().join("models/own.toml"), text).unwrap();
    Catalogue::load(Some(folder.path())).unwrap()
}

fn recipe(text: &str, variant: Option<&str>) -> Result<ServingRecipe, ServingRecipeError> {
    ServingRecipe::of(catalogue(text).find("me/model").unwrap(), variant)
}

#[test]
fn every_recipe_that_serves_reads_with_all_its_variants() {
    let catalogue = Catalogue::load(None).unwrap();
    let mut numbers = Vec::new();
    for known in catalogue.models().iter().filter(|known| known.serve().is_some()) {
        let own = ServingRecipe::of(known, None).unwrap();
        numbers.extend(own.keys.number);
        for variant in variants(known) {
            let variant = ServingRecipe::of(known, Some(&variant)).unwrap();
            assert_eq!((variant.keys.number, &variant.model), (None, &own.model));
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=14).collect::<Vec<_>>());
}

#[test]
fn a_variants_keys_take_the_place_of_the_recipes_whole() {
    let own = recipe(OWN, None).unwrap();
    let long = recipe(OWN, Some("long")).unwrap();
    assert_eq!((own.name(), long.name()), ("me/model".into(), "me/model:long".into()));
    assert_eq!((own.keys.arguments.len(), long.keys.arguments.len()), (2, 0));
    assert_eq!((own.keys.memory_fraction, long.keys.memory_fraction), (Some(0.8), None));
    assert_eq!((own.port(), long.port(), long.split().tp), (4000, 4000, 2));
    assert_eq!(
        (long.keys.context_length, long.keys.number, long.keys.notes.as_str()),
        (Some(9000), None, "")
    );
    let error = recipe(OWN, Some("longer")).unwrap_err().to_string();
    assert_eq!(error, "me/model has no variant `longer`; it has long");
}

#[test]
fn what_is_wrong_is_named_with_file_field_and_what_is_accepted() {
    for (from, to, says) in [
        (
            "engine = \"sglang\"",
            "engine = \"sglan\"",
            "field `serve.engine`: unknown variant `sglan` (did you mean `sglang`?)",
        ),
        ("tp = 2", "tp = 0", "field `serve.tp`: 0 is no number of GPUs; accepted: 1 and more"),
        ("tp = 2", "tp = 2\nep = 3", "field `serve.ep`: 3 does not divide tp = 2"),
        ("tp = 2", "tpp = 2", "unknown field `tpp` (did you mean `tp`?)"),
        ("tp = 2", "tp = -1", "field `serve.tp`"),
        ("port = 4000", "port = 0", "field `serve.port`: 0 is no port; accepted: 1 to 65535"),
        ("port = 4000", "port = 70000", "field `serve.port`"),
        ("port = 4000", "ray = { port = 0 }", "field `serve.ray.port`: 0 is no port"),
        ("port = 4000", "ray = {}\nrendezvous_port = 3", "field `serve.rendezvous_port`: with `ray`"),
        (
            "memory_fraction = 0.8",
            "memory_fraction = 1.5",
            "field `serve.memory_fraction`: 1.5 is not accepted; accepted: above 0, at most 1",
        ),
        ("memory_fraction = 0.8", "memory_fraction = nan", "field `serve.memory_fraction`: NaN"),
        (
            "memory_fraction = 0.8",
            "memory_fraction = 0.8\nweights_gb = -3",
            "field `serve.weights_gb`: -3 is not accepted; accepted: above 0",
        ),
        (
            "memory_fraction = 0.8",
            "memory_fraction = 0.8\ncontext_length = 0",
            "field `serve.context_length`: 0 is no length",
        ),
        (
            "memory_fraction = 0.8",
            "memory_fraction = 0.8\nkv_cache_memory = \"10g\"",
            "field `serve.kv_cache_memory`: SGLang has no such option",
        ),
        ("memory_fraction = 0.8", "memory_fraction = 0.8\nversion = \"latest\"", "`latest` is no release"),
        (
            "memory_fraction = 0.8",
            "memory_fraction = 0.8\nattention = { layers = 1, heads = 0, kv_heads = 1, head_dim = 1 }",
            "field `serve.attention`: 0 is no number",
        ),
        (
            "memory_fraction = 0.8",
            "memory_fraction = 0.8\nenvironment = { \"A-B\" = \"c\" }",
            "field `serve.environment`: `A-B` is no name of a variable",
        ),
        ("--attention-backend", "--tp", "field `serve.arguments`: `--tp` is what the key `tp` is for"),
        (
            "--attention-backend",
            "--port=3",
            "field `serve.arguments`: `--port=3` is what the key `port` is for",
        ),
        (
            "without = [\"memory_fraction\"]",
            "without = [\"pp\"]",
            "field `serve.variants.long.without`: [serve] has no `pp`",
        ),
        ("without = [\"memory_fraction\"]", "without = 3", "field `serve.variants.long.without`"),
        ("context_length = 9000", "context_length = \"9000\"", "field `serve.variants.long.context_length`"),
    ] {
        assert!(OWN.contains(from), "{from}");
        let text = OWN.replace(from, to);
        let errors =
            [None, Some("long")].map(|variant| recipe(&text, variant).err().map(|error| error.to_string()));
        let error = errors.into_iter().flatten().next().unwrap_or_else(|| panic!("{to} is taken"));
        assert!(error.starts_with("recipe `") && error.contains("own.toml`, "), "{error}");
        let of_variant = says.replace("`serve.", "`serve.variants.long.");
        assert!(error.contains(says) || error.contains(&of_variant), "{to}: {error}");
    }
    let tuned_only = Catalogue::load(None).unwrap();
    let error = ServingRecipe::of(tuned_only.find("DeepSeek-V3").unwrap(), None).unwrap_err().to_string();
    assert!(error.contains("has no [serve]"), "{error}");
}
