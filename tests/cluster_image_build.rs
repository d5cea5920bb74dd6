//! `sparktune image build` on real engines: the files where the image's runtime looks, on every node, or the image that
//! was there.
//!
//! Ignored by default: needs `tests/cluster/up`. The images' SGLang is a look-alike: packages that cannot be imported.

mod support;

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/deployment.rs"]
mod deployment;

use serde_json::{Value, json};

use cluster::{Faults, TestCluster, TestNode, cluster, whole};
use deployment::{SITE, TRITON, files, text, write_files};
use support::{Sandbox, stderr, stdout};

const NAME: &str = "E=1,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";

fn said(cluster: &TestCluster, node: &TestNode, command: &str) -> String {
    let output = cluster.ssh(node, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A base on one node, what is built on it there and elsewhere, and files to put in; the images are gone in the end.
struct Bed<'a> {
    cluster: &'a TestCluster,
    sandbox: Sandbox,
    engine: &'static str,
    /// Without the tag.
    repository: String,
    /// Where its SGLang looks.
    folder: String,
}

impl<'a> Bed<'a> {
    fn new(cluster: &'a TestCluster, name: &str) -> Self {
        Self::with(cluster, name, "docker", &cluster.nodes[0], "")
    }

    /// The base on `node`, and an inventory with `keys` for all nodes; of Podman, of that node alone.
    fn with(cluster: &'a TestCluster, name: &str, engine: &'static str, node: &TestNode, keys: &str) -> Self {
        let repository = format!("spark-test/build-{name}");
        // One layer, as an image from somewhere else would not share any.
        let make = format!(
            "set -e; {engine} run --interactive --network none --name {name} spark-test:python python3 - <<'END'\n{SITE}\n\
             END\n{engine} export {name} | {engine} import --change 'CMD [\"sleep\", \"infinity\"]' --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - \
             {repository}:base >&2; {engine} rm {name} >&2"
        );
        let folder = format!("{}/{TRITON}", said(cluster, node, &make));
        let sandbox = Sandbox::new();
        let mut inventory = format!(
            "name = \"test\"\nimage = \"{repository}:base\"\nengine = \"{engine}\"\nexpect_gpu = \"NVIDIA GB10\"\n\
             ssh_config = \"{}\"\n{keys}\n[container]\ngpus = \"none\"\n",
            cluster.ssh_config.display()
        );
        let all = cluster.nodes.iter().filter(|it| engine == "docker" || it.name == node.name);
        for (index, node) in all.enumerate() {
            let role = if index == 0 { "head" } else { "worker" };
            inventory +=
                &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
        }
        sandbox.write("sparks.toml", inventory);
        write_files(&sandbox, "tuned", &files(3, 3));
        Self { cluster, sandbox, engine, repository, folder }
    }

    fn tag(&self) -> String {
        format!("{}:base-tuned", self.repository)
    }

    #[track_caller]
    fn json(&self, more: &[&str]) -> Value {
        self.sandbox.json(&[&["image", "build", "--tuned", "tuned", "--json"], more].concat())
    }

    /// The build does not work and says so; the tag is what it was on every node, and no container is left.
    #[track_caller]
    fn fails(&self, code: i32, more: &[&str], words: &str) {
        let before = self.ids();
        let assert = self.sandbox.sparktune(&[&["image", "build"], more].concat()).assert().code(code);
        let message = stderr(&assert);
        assert!(message.contains(words), "`{words}` is not in: {message}");
        assert_eq!(self.ids(), before, "{message}");
        assert_eq!(self.containers(), "", "{message}");
    }

    fn id(&self, node: &TestNode, tag: &str) -> String {
        let inspect = format!("{} image inspect --format '{{{{.Id}}}}' {tag} || echo none", self.engine);
        said(self.cluster, node, &inspect).lines().last().unwrap_or_default().to_owned()
    }

    /// What goes by the tag on each node.
    fn ids(&self) -> Vec<String> {
        let tag = self.tag();
        self.cluster.nodes.iter().map(|node| self.id(node, &tag)).collect()
    }

    /// Containers that were made to ask an image.
    fn containers(&self) -> String {
        let list = format!("{} ps --all --quiet --filter label=sparktune.purpose=image", self.engine);
        self.cluster.nodes.iter().map(|node| said(self.cluster, node, &list)).collect()
    }

    /// A file as a container of `tag` sees it.
    fn read(&self, node: &TestNode, tag: &str, name: &str) -> String {
        let cat = format!("{} run --rm --network none {tag} cat '{}/{name}'", self.engine, self.folder);
        said(self.cluster, node, &cat)
    }

    fn inspect(&self, node: &TestNode, tag: &str) -> Value {
        let found = said(self.cluster, node, &format!("{} image inspect {tag}", self.engine));
        serde_json::from_str::<Value>(&found).unwrap()[0].clone()
    }
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        let (engine, repository) = (self.engine, &self.repository);
        for node in &self.cluster.nodes {
            let remove = format!(
                // By its names: another name of the image is not this test's to take away.
                "{engine} image rm --force $({engine} image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' \
                 --filter reference='*{repository}'); {engine} image prune --force"
            );
            self.cluster.ssh(node, &remove);
        }
    }
}

fn how(value: &Value) -> Vec<&str> {
    let nodes = value["images"][0]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["how"].as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_tuned_image_is_built_once_and_is_everywhere() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::new(&cluster, "once");
    let tag = bed.tag();
    bed.sandbox.write(format!("tuned/triton_3_8_0/{NAME}"), text(3));
    bed.sandbox.write(format!("tuned/{TRITON}/{}", NAME.replace("GB10", "Thor")), text(3));

    let dry = bed.sandbox.succeeds(&["image", "build", "--tuned", "tuned", "--dry-run"]);
    assert!(
        dry.contains(&format!("\nFROM {}:base\nCOPY [\"files/\",\"{}/\"]\n", bed.repository, bed.folder)),
        "{dry}"
    );
    let config = cluster.ssh_config.display();
    let build = format!("| ssh -F {config} n1 'docker build --tag {tag} -'\n# n1: has it\n");
    assert!(dry.contains(&build), "{dry}");
    let copy = format!("ssh -F {config} n1 'docker save {tag}' | ssh -F {config} n4 'docker load'\n");
    assert!(dry.ends_with(&copy), "{dry}");
    assert_eq!((bed.ids(), bed.containers()), (vec!["none".to_owned(); 4], String::new()));

    let value = bed.json(&[]);
    let built = &value["built"];
    assert_eq!(
        (&built["outcome"], &built["on"], &built["image"]),
        (&json!("built"), &json!("n1"), &json!(tag))
    );
    assert_eq!(built["tuned"]["folder"], json!(bed.folder));
    assert_eq!(built["tuned"]["files"].as_object().unwrap().len(), 3);
    assert_eq!(built["left_out"].as_array().unwrap().len(), 2, "{built}");
    assert_eq!(how(&value), ["had_it", "copied", "copied", "copied"]);
    let first = bed.ids();
    assert!(first.iter().all(|id| *id == first[0]) && first[0].starts_with("sha256:"), "{first:?}");
    assert_eq!(bed.read(&cluster.nodes[3], &tag, NAME), text(3));
    assert_eq!(bed.containers(), "");
    // What containers begin with is the base's.
    let [base, tuned] =
        [format!("{}:base", bed.repository), tag.clone()].map(|tag| bed.inspect(&cluster.nodes[0], &tag));
    for field in ["Cmd", "Env", "Entrypoint", "User", "WorkingDir"] {
        assert_eq!(tuned["Config"][field], base["Config"][field], "{field}");
    }
    let labels = &tuned["Config"]["Labels"];
    assert_eq!(labels["sparktune.image.base_digest"], base["Id"]);
    assert_eq!(labels["sparktune.image.from"], "tuned");
    assert_eq!(labels["sparktune.project"], Value::Null, "its containers would be taken for ours");

    let again = bed.json(&[]);
    assert_eq!((&again["built"]["outcome"], how(&again)), (&json!("had_it"), vec!["had_it"; 4]));
    assert_eq!(bed.ids(), first);
    let list = bed.sandbox.succeeds(&["image", "list", &tag]);
    assert!(
        list.contains("  tuned: 3 files for NVIDIA_GB10 from tuned, on spark-test/build-once:base"),
        "{list}"
    );
    bed.fails(
        2,
        &["--tuned", "tuned", &tag],
        "is a tuned image itself, on top of `spark-test/build-once:base`",
    );

    bed.sandbox.write(format!("tuned/{TRITON}/{NAME}"), text(4));
    let value = bed.json(&["--no-sync"]);
    assert_eq!((&value["built"]["outcome"], &value["images"]), (&json!("built"), &json!([])));
    let second = bed.ids();
    assert!(second[0] != first[0] && second[1..] == first[1..], "{second:?}");
    assert_eq!(how(&bed.json(&[])), ["had_it", "copied", "copied", "copied"]);
    assert_eq!(bed.ids(), vec![second[0].clone(); 4]);
    assert_eq!(bed.read(&cluster.nodes[2], &tag, NAME), text(4));
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_cannot_be_built_leaves_the_tag_as_it_was() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = Bed::new(&cluster, "cannot");
    let build = ["--tuned", "tuned"];
    bed.json(&[]);

    bed.sandbox.write("bad/E=1,N=384,device_name=NVIDIA_GB10.json", "{\"1\": {}}");
    bed.fails(1, &["--tuned", "bad"], "does not pass the check");
    bed.sandbox.write(format!("other/triton_3_8_0/{NAME}"), text(3));
    bed.fails(2, &["--tuned", "other"], "none of the files is for SGLang with Triton 3.5.0 on NVIDIA_GB10");
    bed.fails(
        3,
        &[&build[..], &["spark-test:none"]].concat(),
        "n1: the image `spark-test:none` is not there",
    );
    bed.fails(
        3,
        &[&build[..], &["--on", "n2"]].concat(),
        "n2: the image `spark-test/build-cannot:base` is not there",
    );
    bed.fails(3, &[&build[..], &["spark-test:python"]].concat(), "has neither SGLang nor vLLM");
    let bare = [&build[..], &["spark-test:no-python"]].concat();
    bed.fails(3, &bare, "n1: the image `spark-test:no-python` has no `python3`");
    let taken = [&build[..], &["--tag", "spark-test:python"]].concat();
    bed.fails(2, &taken, "`spark-test:python` is there, and it is no tuned image");
    let foreign = format!("{}:foreign", bed.repository);
    said(&cluster, &cluster.nodes[2], &format!("docker tag spark-test:python {foreign}"));
    let taken = [&build[..], &["--tag", &foreign]].concat();
    bed.fails(2, &taken, &format!("n3: the image `{foreign}` is there"));

    bed.sandbox.write(format!("tuned/{TRITON}/{NAME}"), text(4));
    faults.cause("n1", &["fill-disk"]);
    bed.fails(3, &build, "n1: ");
    faults.cause("n1", &["heal"]);
    faults.cause("n1", &["stop-engine"]);
    let assert = bed.sandbox.sparktune(&["image", "build", "--tuned", "tuned"]).assert().code(3);
    assert!(stderr(&assert).contains("n1: "), "{}", stderr(&assert));
    faults.cause("n1", &["heal"]);
    assert_eq!(how(&bed.json(&[])), ["had_it", "copied", "copied", "copied"]);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn what_the_inventory_says_of_containers_counts_for_where_files_go() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::with(
        &cluster,
        "inventory",
        "docker",
        &cluster.nodes[0],
        "env = { SGLANG_MOE_CONFIG_DIR = \"/tuned\" }",
    );
    bed.json(&["--no-sync"]);
    let path = format!("/tuned/configs/{TRITON}/{NAME}");
    let held = said(
        &cluster,
        &cluster.nodes[0],
        &format!("docker run --rm --network none {} cat '{path}'", bed.tag()),
    );
    assert_eq!(held, text(3));

    let inventory = bed.sandbox.read("sparks.toml");
    let mounted = inventory.replace("gpus = \"none\"\n", "gpus = \"none\"\nvolumes = [\"/srv:/tuned\"]\n");
    bed.sandbox.write("sparks.toml", mounted);
    bed.fails(2, &["--tuned", "tuned"], "is hidden by the inventory's volume `/srv:/tuned`");
    bed.sandbox.write("sparks.toml", format!("{inventory}env = {{ SGLANG_MOE_CONFIG_DIR = \"/other\" }}\n"));
    bed.fails(2, &["--tuned", "tuned"], "on n1 and in `/other/configs/triton_3_5_0` on n4");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn podman_builds_the_same() {
    let (cluster, _whole) = (cluster(), whole());
    let node = cluster.nodes.iter().find(|node| node.podman_socket.is_some()).unwrap();
    let bed = Bed::with(&cluster, "podman", "podman", node, "");
    let tag = bed.tag();
    let value = bed.json(&[]);
    assert_eq!((&value["built"]["outcome"], how(&value)), (&json!("built"), vec!["had_it"]));
    assert_eq!(bed.read(node, &tag, NAME), text(3));
    let [base, tuned] = [format!("{}:base", bed.repository), tag.clone()].map(|tag| bed.inspect(node, &tag));
    assert_eq!(tuned["Config"]["Cmd"], base["Config"]["Cmd"]);
    let again = bed.json(&[]);
    assert_eq!(again["built"]["outcome"], "had_it");
    let list = bed.sandbox.sparktune(&["image", "list", &tag]).assert().code(0);
    assert!(stdout(&list).contains("  tuned: 3 files for NVIDIA_GB10"), "{}", stdout(&list));
    let dry = bed.sandbox.succeeds(&["image", "build", "--tuned", "tuned", "--dry-run", "--tag", "other:1"]);
    assert!(dry.contains("tar -C \"$d\" -x && podman build --tag other:1 \"$d\""), "{dry}");
    assert_eq!(said(&cluster, node, "podman ps --all --quiet --filter label=sparktune.purpose=image"), "");
}
