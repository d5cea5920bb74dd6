//! What the program on a node says of models that lie there: this machine's Python, and folders made for it.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::asked::{AskedModel, ModelSource};
use super::super::on_node::look_for;
use super::super::seen::ModelSeen;
use super::*;
use crate::host::{Here, HostPath};
use crate::model::Parallelism;

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file of safetensors with one tensor of so many bytes.
fn tensors(bytes: usize) -> Vec<u8> {
    let header = json!({ "__metadata__": { "format": "pt" },
        "w": { "dtype": "U8", "shape": [bytes], "data_offsets": [0, bytes] } });
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

/// A cache with one whole model of two files, as huggingface_hub lays it out.
struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        let cache = Self(tempfile::tempdir().unwrap());
        for folder in ["refs", "blobs", &format!("snapshots/{REVISION}")] {
            fs::create_dir_all(cache.path(folder)).unwrap();
        }
        fs::write(cache.path("refs/main"), REVISION).unwrap();
        let index = json!({ "metadata": { "total_size": 300 },
            "weight_map": { "a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors" } });
        cache.put("model.safetensors.index.json", index.to_string().as_bytes());
        cache.put("one.safetensors", &tensors(100));
        cache.put("two.safetensors", &tensors(200));
        cache.put("config.json", b"{}");
        cache
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.0.path().join("hub/models--org--model").join(below)
    }

    fn blob(&self, name: &str) -> std::path::PathBuf {
        self.path("blobs").join(name)
    }

    /// A file of the snapshot, which links to its bytes.
    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.blob(name), bytes).unwrap();
        symlink(format!("../../blobs/{name}"), self.path(&format!("snapshots/{REVISION}/{name}"))).unwrap();
    }

    async fn look(&self) -> ModelSeen {
        self.look_at(ModelSource::Hub("org/model".parse().unwrap())).await
    }

    async fn look_at(&self, source: ModelSource) -> ModelSeen {
        let text = format!(
            "name = \"lab\"\nengine = \"none\"\nenv = {{ HF_HOME = \"{}\" }}\n[[nodes]]\nname = \"a\"\nrole = \
             \"head\"\nlocal = true\n",
            self.0.path().display()
        );
        let node = Inventory::parse(Path::new("sparks.toml"), &text).unwrap().nodes.remove(0);
        let model = AskedModel {
            name: "org/model".into(),
            source,
            parallelism: Parallelism::new(1, 1).unwrap(),
            config: Err(String::new()),
        };
        let found = look_for(&Here::named(node.name.clone()), &node, &[model]).await.unwrap().unwrap();
        let [found] = &found[..] else { panic!("{found:?}") };
        found.clone()
    }
}

#[tokio::test]
async fn a_whole_model_is_whole() {
    let cache = Cache::new();
    let found = cache.look().await;
    assert_eq!(found.folder, cache.path("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!((found.there, found.files, found.wrong), (true, 2, 0), "{found:?}");
    assert_eq!((found.revision.as_deref(), found.total), (Some(REVISION), Some(300)));
    assert_eq!(found.have, (tensors(100).len() + tensors(200).len()) as u64);
    assert!(found.free.is_some_and(|free| free > 0) && found.unlooked == 0 && found.unfinished == (0, 0));
    // A plain folder, where nothing names the files.
    let folder = HostPath::new(cache.path(&format!("snapshots/{REVISION}")).to_str().unwrap());
    fs::remove_file(cache.path(&format!("snapshots/{REVISION}/model.safetensors.index.json"))).unwrap();
    let found = cache.look_at(ModelSource::Folder(folder)).await;
    assert_eq!((found.there, found.files, found.wrong, found.revision), (true, 2, 0, None));
    assert_eq!(found.total, Some(found.have));
}

#[tokio::test]
async fn every_way_in_which_a_file_is_not_whole_is_named() {
    let faults = async |change: &dyn Fn(&Cache)| {
        let cache = Cache::new();
        change(&cache);
        let found = cache.look().await;
        assert!(found.there && found.wrong == found.faults.len(), "{found:?}");
        found.faults.join(", ")
    };
    let whole = tensors(100);
    let cut = |cache: &Cache| fs::write(cache.blob("one.safetensors"), &whole[..whole.len() - 1]).unwrap();
    let says = format!("one.safetensors has {} of {} bytes", whole.len() - 1, whole.len());
    assert_eq!(faults(&cut).await, says);
    let remove = |name: &'static str| move |cache: &Cache| fs::remove_file(cache.blob(name)).unwrap();
    assert_eq!(faults(&remove("one.safetensors")).await, "one.safetensors is a link that leads nowhere");
    assert_eq!(faults(&remove("config.json")).await, "config.json is a link that leads nowhere");
    let unlink = |cache: &Cache| {
        fs::remove_file(cache.path(&format!("snapshots/{REVISION}/two.safetensors"))).unwrap();
    };
    assert_eq!(faults(&unlink).await, "two.safetensors is missing");
    let write = |name: &'static str, text: &'static [u8]| {
        move |cache: &Cache| fs::write(cache.blob(name), text).unwrap()
    };
    assert_eq!(faults(&write("two.safetensors", b"")).await, "two.safetensors is empty");
    for garbage in [&b"\x02\0\0\0\0\0\0\0[]"[..], b"\x02\0\0\0\0\0\0\0{", b"\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let says = faults(&write("two.safetensors", garbage)).await;
        assert_eq!(says, "two.safetensors has a header that makes no sense");
    }
    let index = "model.safetensors.index.json";
    for garbage in [
        "",
        "[]",
        "{\"weight_map\": 1}",
        "{\"weight_map\": {\"a\": \"../../x\"}}",
        "{\"weight_map\": {\"a\": 1}}",
    ] {
        let says = faults(&write(index, Box::leak(garbage.as_bytes().into()))).await;
        assert_eq!(says, format!("{index} makes no sense"), "{garbage}");
    }
    assert_eq!(faults(&remove(index)).await, format!("{index} cannot be read"));
}

#[tokio::test]
async fn what_is_not_there_and_what_has_not_ended() {
    let cache = Cache::new();
    fs::write(cache.blob("abc.incomplete"), [0; 7]).unwrap();
    assert_eq!(cache.look().await.unfinished, (1, 7));
    // Without a word of `main` it is what is there; a word that leads elsewhere is none.
    for main in ["../../elsewhere", "gone", ""] {
        fs::write(cache.path("refs/main"), main).unwrap();
        assert_eq!(cache.look().await.revision.as_deref(), Some(REVISION), "{main}");
    }
    fs::remove_dir_all(cache.path("snapshots")).unwrap();
    let found = cache.look().await;
    assert_eq!((found.there, found.unfinished, found.total), (false, (1, 7), None));
    fs::remove_dir_all(cache.path("")).unwrap();
    let found = cache.look().await;
    assert!(!found.there && found.free.is_some(), "{found:?}");
}
