//! Verdicts over models that are asked for: the nodes of the tests above with a model that is whole.

use super::super::asked::{AskedModel, ModelSource};
use super::super::seen::ModelSeen;
use super::*;
use crate::host::HostPath;
use crate::model::Parallelism;

/// A mounted cache, which is the usual case.
const VOLUME: &str =
    "container = { volumes = [\"~/.cache/huggingface:/root/.cache/huggingface\"] }\n[[nodes]]\nname = \"a\"";
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
const FOLDER: &str = "/home/me/.cache/huggingface/hub/models--zai-org--GLM-4.7-FP8";

fn seen() -> ModelSeen {
    ModelSeen {
        folder: FOLDER.into(),
        revision: Some(REVISION.into()),
        there: true,
        files: 93,
        total: Some(330 << 30),
        have: 330 << 30,
        free: Some(1 << 40),
        ..ModelSeen::default()
    }
}

fn asked(tp: u32) -> AskedModel {
    AskedModel {
        name: "zai-org/GLM-4.7-FP8".into(),
        source: ModelSource::Hub("zai-org/GLM-4.7-FP8".parse().unwrap()),
        parallelism: Parallelism::new(tp, 1).unwrap(),
        config: Err("nobody has it".into()),
    }
}

/// Three nodes that have the model, and then what a test changes of node b's.
fn with(change: impl FnOnce(&mut ModelSeen)) -> Examined {
    let mut examined = of(&INVENTORY.replace("[[nodes]]\nname = \"a\"", VOLUME));
    for node in &mut examined.nodes {
        node.models = Some(Ok(vec![seen()]));
    }
    examined.models = vec![asked(4)];
    let mut changed = seen();
    change(&mut changed);
    examined.nodes[1].models = Some(Ok(vec![changed]));
    examined
}

#[test]
fn a_model_that_is_whole_everywhere() {
    let examined = with(|_| ());
    assert_eq!(wrong(&examined), []);
    let of_b = examined.findings().into_iter().filter(|finding| finding.node.as_str() == "b");
    let lines: Vec<String> = of_b
        .filter(|finding| finding.item.starts_with("model_"))
        .map(|finding| format!("{}: {}", finding.item, finding.says))
        .collect();
    assert_eq!(
        lines,
        [
            format!(
                "model_files: zai-org/GLM-4.7-FP8: 93 files, 330.0 GiB, revision 0123456789ab, in {FOLDER}"
            ),
            "model_memory: zai-org/GLM-4.7-FP8: 82.5 GiB of weights a rank (tp 4), 121.7 GiB of memory"
                .to_owned(),
        ]
    );
}

#[test]
fn a_model_that_is_not_there_or_not_whole() {
    let fetch = "hf download zai-org/GLM-4.7-FP8 --cache-dir /home/me/.cache/huggingface/hub";
    let gone = with(|seen| {
        *seen = ModelSeen { folder: FOLDER.into(), free: Some(1 << 40), ..ModelSeen::default() };
    });
    is(&only(&gone), "b", "model_files", State::Failed, "is not in /home/me", fetch);
    let cut = with(|seen| {
        seen.faults = vec!["model-00001-of-00093.safetensors is missing".into()];
        seen.wrong = 3;
        seen.have = 320 << 30;
        seen.unfinished = (1, 2 << 30);
    });
    let says = "model-00001-of-00093.safetensors is missing and 2 more; 1 download is unfinished (2.0 GiB of it there)";
    is(&only(&cut), "b", "model_files", State::Failed, says, fetch);
    let slow = with(|seen| seen.unlooked = 7);
    is(&only(&slow), "b", "model_files", State::Unknown, "7 of them were not looked into", "");
    let mut silent = with(|_| ());
    silent.nodes[1].models = Some(Err(Obstacle { says: "did not answer".into(), fix: None }));
    is(&only(&silent), "b", "model_files", State::Unknown, "did not answer", "");
    // What is left of a download beside a whole model is told, and no fault.
    let beside = with(|seen| seen.unfinished = (2, 1 << 30));
    assert_eq!(wrong(&beside), []);
}

#[test]
fn another_revision_than_the_others() {
    let other = with(|seen| seen.revision = Some("fedcba9876543210".into()));
    let says = "revision fedcba987654, and 0123456789ab on a";
    is(&only(&other), "b", "model_files", State::Warning, says, "on every node");
}

#[test]
fn a_cache_that_goes_with_the_container() {
    let mut examined = with(|_| ());
    let text = INVENTORY.to_owned();
    examined.nodes[1].node = Inventory::parse(Path::new("sparks.toml"), &text).unwrap().nodes.remove(1);
    is(&only(&examined), "b", "model_files", State::Warning, "no volume is mounted", "volumes = ");
}

#[test]
fn room_for_what_is_still_to_be_fetched() {
    let with_free = |free: u64| {
        with(|seen| {
            let nothing = ModelSeen { folder: FOLDER.into(), free: Some(free), ..ModelSeen::default() };
            *seen = ModelSeen { unfinished: (4, 30 << 30), ..nothing };
        })
    };
    // 300 GiB are missing, and another node knows how large it is.
    let tight = wrong(&with_free(300 << 30));
    let expected = |item| ("b".to_owned(), item, State::Failed);
    assert_eq!(tight, [expected("model_files"), expected("model_disk")]);
    assert_eq!(wrong(&with_free((300 << 30) + 1)), [expected("model_files")]);
    let mut nobody = with_free(1);
    for node in [0, 2] {
        nobody.nodes[node].models =
            nobody.nodes[1].models.as_ref().map(|it| Ok(it.as_ref().unwrap().clone()));
    }
    assert!(wrong(&nobody).contains(&("b".to_owned(), "model_disk", State::Unknown)), "{:?}", wrong(&nobody));
}

#[test]
fn weights_that_no_rank_can_hold() {
    let split = |tp: u32| {
        let mut examined = with(|_| ());
        examined.models = vec![asked(tp)];
        let mut found = examined.findings().into_iter();
        found.find(|it| it.item == "model_memory" && it.node.as_str() == "b").unwrap()
    };
    is(&split(2), "b", "model_memory", State::Failed, "165.0 GiB of weights a rank (tp 2)", "more ranks");
    is(&split(3), "b", "model_memory", State::Warning, "110.0 GiB of weights", "more ranks");
    assert_eq!(split(4).state, State::Ok);
    // A GPU with memory of its own has what its profile says, whatever the machine has.
    let mut other = with(|_| ());
    other.models = vec![asked(2)];
    let h200 = spark(|value| gpu(value, "NVIDIA H200, 9.0, 580.1, 345, 1980, 30, 75"));
    other.nodes[1].read = Some(Ok(read(&h200)));
    let found = other.findings();
    let memory = found.iter().find(|it| it.item == "model_memory" && it.node.as_str() == "b").unwrap();
    assert!(memory.says.ends_with("131.3 GiB of memory"), "{memory:?}");
}

#[test]
fn a_model_in_a_folder_is_copied_from_a_node_that_has_it() {
    let mut examined =
        with(|seen| *seen = ModelSeen { folder: "/models/own".into(), ..ModelSeen::default() });
    examined.models[0].source = ModelSource::Folder(HostPath::new("/models/own"));
    is(&only(&examined), "b", "model_files", State::Failed, "is not in /models/own", "copy it from a: rsync");
}
