//! Verdicts over config files for a model's kernels.

use super::super::asked::{AskedModel, ModelSource};
use super::super::seen::Tuned;
use super::*;
use crate::cluster::installed::{ConfigPlace, Family};
use crate::cluster::runtimes::NoRuntime;
use crate::host::HostPath;
use crate::model::{Catalogue, Parallelism, Recipe};
use crate::runtime::{Runtime, TritonVersion};

const UP: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const DOWN: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json";

fn place(family: Family, runtime: Option<Runtime>) -> ConfigPlace {
    ConfigPlace {
        family,
        version: "0.5.4.post2".into(),
        runtime,
        triton: TritonVersion::new(3, 5, 0),
        folder: HostPath::new("/sgl/configs/triton_3_5_0"),
        above: HostPath::new("/sgl"),
        reason: String::new(),
    }
}

/// Three nodes whose runtime finds both files of `model`, and node b those of `files`.
fn with(model: &str, files: &[&str]) -> Examined {
    let catalogue = Catalogue::load(None).unwrap();
    let named = |recipe: &&Recipe| recipe.id.name().eq_ignore_ascii_case(model);
    let recipe = catalogue.moe().find(named).unwrap();
    let mut examined = healthy();
    let tuned = |files: &[&str]| Tuned {
        place: place(Family::Sglang, Some(Runtime::Sglang054)),
        whose: "in the container sglang".into(),
        files: files.iter().map(|&file| file.to_owned()).collect(),
    };
    for node in &mut examined.nodes {
        node.tuned = Some(Ok(tuned(&[UP, DOWN])));
    }
    examined.nodes[1].tuned = Some(Ok(tuned(files)));
    examined.models = vec![AskedModel {
        name: recipe.id.to_string(),
        source: ModelSource::Hub(recipe.id.clone()),
        parallelism: recipe.parallelism(),
        config: Ok(recipe.config()),
    }];
    // Without a volume for its cache a model has an item of its own.
    for node in &mut examined.nodes {
        node.node.settings = of(&INVENTORY.replace(
            "expect_gpu = \"NVIDIA GB10\"",
            "expect_gpu = \"NVIDIA GB10\"\ncontainer = { volumes = [\"/c:/root/.cache/huggingface\"] }",
        ))
        .nodes
        .remove(0)
        .node
        .settings;
    }
    examined
}

#[test]
fn both_files_are_wanted_where_the_runtime_looks() {
    assert_eq!(wrong(&with("glm-4.7-fp8", &[UP, DOWN, "other.json"])), []);
    let fix = "sparktune moe --model zai-org/GLM-4.7-FP8 --tp 4 --sglang 0.5.4.post2 --triton 3.5.0, then sparktune \
               deploy results/RUN";
    let says = format!("{DOWN} not in /sgl/configs/triton_3_5_0, in the container sglang");
    is(&only(&with("glm-4.7-fp8", &[UP])), "b", "tuned_files", State::Warning, &says, fix);
    let both = only(&with("glm-4.7-fp8", &[]));
    is(&both, "b", "tuned_files", State::Warning, &format!("{UP}, {DOWN} not in"), fix);
    // The names depend on the split.
    let mut other = with("glm-4.7-fp8", &[UP, DOWN]);
    other.models[0].parallelism = Parallelism::new(8, 1).unwrap();
    assert_eq!(wrong(&other).len(), 3, "{:?}", wrong(&other));
}

#[test]
fn vllm_reads_no_file_of_its_own_for_down() {
    let mut examined = with("glm-4.7-fp8", &[UP]);
    let found = examined.nodes[1].tuned.as_mut().unwrap().as_mut().unwrap();
    found.place = place(Family::Vllm, Some(Runtime::Vllm));
    assert_eq!(wrong(&examined), []);
}

#[test]
fn where_no_name_can_be_worked_out_nothing_is_known() {
    let unknown = |examined: &Examined, says: &str| {
        is(&only(examined), "b", "tuned_files", State::Unknown, says, "");
    };
    let mut examined = with("glm-4.7-fp8", &[UP, DOWN]);
    examined.nodes[1].tuned = Some(Err(Obstacle { says: "has neither SGLang nor vLLM".into(), fix: None }));
    unknown(&examined, "neither SGLang nor vLLM");
    // Of an image it is said once.
    examined.nodes[1].runtime = Some(Err(NoRuntime::Neither { on: "b".parse().unwrap(), image: "i".into() }));
    assert_eq!(wrong(&examined), [("b".into(), "runtime", State::Warning)]);
    let mut examined = with("glm-4.7-fp8", &[UP, DOWN]);
    examined.nodes[1].tuned.as_mut().unwrap().as_mut().unwrap().place = place(Family::Sglang, None);
    unknown(&examined, "nobody has read its rules");
    let mut examined = with("glm-4.7-fp8", &[UP, DOWN]);
    examined.models[0].config = Err("cannot reach the hub".into());
    assert!(
        wrong(&examined).iter().all(|(_, item, state)| (*item, *state) == ("tuned_files", State::Unknown))
    );
    assert_eq!(wrong(&examined).len(), 3);
}

#[test]
fn a_model_whose_kernels_read_no_files_wants_none() {
    let examined = with("gpt-oss-20b", &[]);
    assert_eq!(wrong(&examined), []);
    let says: Vec<String> =
        examined.findings().into_iter().filter(|it| it.item == "tuned_files").map(|it| it.says).collect();
    assert!(says.len() == 3 && says[0].contains("mxfp4"), "{says:?}");
}
