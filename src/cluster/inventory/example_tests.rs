//! The example inventories against the documents that they are after.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::host::container_spec::{ContainerVariable, Labels};
use crate::host::{EngineKind, HostPath};

macro_rules! example {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../profiles/clusters/", $name, ".toml")))
    };
}

const S1: (&str, &str) = example!("s1-four-sparks");
const S2: (&str, &str) = example!("s2-sparks-and-thors");
const S3: (&str, &str) = example!("s3-two-sparks");
const S4: (&str, &str) = example!("s4-dedicated-fabric");
const S5: (&str, &str) = example!("s5-podman-ray");

/// The page that lists every deviation.
const PAGE: &str = include_str!("../../../docs/clusters.md");

fn read((name, text): (&str, &str)) -> Inventory {
    Inventory::parse(Path::new(name), text).unwrap_or_else(|error| panic!("{error}"))
}

/// The command line of a node's container.
fn line(cluster: &Inventory, node: &Node) -> String {
    let labels = Labels {
        cluster: cluster.name.clone(),
        purpose: "serve".into(),
        owner: "me".into(),
        ..Labels::default()
    };
    let engine = node.settings.engine().unwrap();
    node.settings.container(labels).unwrap().run_line(engine).to_string()
}

/// What `docker run` or `podman run` is told: each option by its long name with its value, and behind the options
/// the image with the command.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    options: BTreeSet<(String, String)>,
    image: String,
    command: Vec<String>,
}

impl Told {
    fn of(line: &str) -> Self {
        let words = shlex::split(&line.replace("\\\n", " ")).unwrap();
        let mut words = words.into_iter().skip_while(|word| word != "run").skip(1).peekable();
        let mut options = BTreeSet::new();
        while let Some(word) = words.next_if(|word| word.starts_with('-')) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let name = match name.as_str() {
                "-d" => "--detach".to_owned(),
                "-e" => "--env".to_owned(),
                "-v" => "--volume".to_owned(),
                _ => name,
            };
            let value = if name == "--detach" { Some(String::new()) } else { value.or_else(|| words.next()) };
            options.insert((name, value.unwrap()));
        }
        Self { options, image: words.next().unwrap_or_default(), command: words.collect() }
    }

    /// Panics unless every option, the image and the command of `document` are told too.
    #[track_caller]
    fn holds(&self, document: &Told) {
        let missing: Vec<_> = document.options.difference(&self.options).collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        assert_eq!((&self.image, &self.command), (&document.image, &document.command));
    }
}

/// Panics unless the node's variables are those of the document, but for the deviations (variable, what the document
/// says), each of which the page lists.
#[track_caller]
fn has_variables(node: &Node, document: &[(&str, &str)], deviations: &[(&str, &str)]) {
    for (name, value) in document {
        let ours = node.settings.environment().get(*name);
        let same = ours == Some(&ContainerVariable::Set((*value).to_owned()));
        let deviates = deviations.contains(&(name, value));
        assert!(same != deviates, "{}: {name}={value}, ours is {ours:?}", node.name);
        assert!(!deviates || PAGE.contains(&format!("`{name}={value}`")), "not listed: {name}={value}");
    }
}

#[test]
fn four_sparks() {
    let cluster = read(S1);
    let document = Told::of(
        r"docker run -d --name sglang_node \
  --network host \
  --ipc=host \
  --gpus all \
  --ulimit memlock=-1 \
  --ulimit stack=67108864 \
  --device=/dev/infiniband \
  --cap-add=IPC_LOCK \
  -v ~/.cache/huggingface:/root/.cache/huggingface \
  lmsysorg/sglang:spark sleep infinity",
    );
    let exports = [
        ("NCCL_SOCKET_IFNAME", "enp1s0f1np1"),
        ("GLOO_SOCKET_IFNAME", "enp1s0f1np1"),
        ("NCCL_IB_HCA", "mlx5_1"),
        ("NCCL_DEBUG", "WARN"),
    ];
    assert_eq!(cluster.nodes.len(), 4);
    for node in &cluster.nodes {
        Told::of(&line(&cluster, node)).holds(&document);
        has_variables(node, &exports, &[("NCCL_IB_HCA", "mlx5_1")]);
    }
    let addresses: Vec<String> =
        cluster.nodes.iter().map(|node| node.address.as_ref().unwrap().to_string()).collect();
    assert_eq!(addresses, ["227", "224", "225", "226"].map(|end| format!("192.168.12.{end}")));
    assert_eq!(cluster.nodes[0].role, NodeRole::Head);
}

#[test]
fn sparks_and_thors_without_containers() {
    let cluster = read(S2);
    let exports = [
        ("CUDA_HOME", "/usr/local/cuda-13"),
        ("TRITON_PTXAS_PATH", "/usr/local/cuda/bin/ptxas"),
        ("NCCL_SOCKET_IFNAME", "^lo,docker,tailscale,veth"),
        ("NCCL_IB_DISABLE", "1"),
        ("NCCL_P2P_DISABLE", "1"),
        ("NCCL_SHM_DISABLE", "1"),
        ("NCCL_PROTO", "Simple"),
    ];
    for node in &cluster.nodes {
        let thor = node.name.as_str().contains("thor");
        assert_eq!(node.settings.engine(), None);
        let home = HostPath::new("/home/me");
        let virtualenv = node.settings.virtualenv().unwrap().on(&home);
        assert_eq!(virtualenv, HostPath::new("/home/me/Projects/sglang/.sglang"));
        assert_eq!(node.settings.expect_gpu(), Some(if thor { "NVIDIA Thor" } else { "NVIDIA GB10" }));
        has_variables(node, &exports, &[]);
        has_variables(node, &[("TORCH_CUDA_ARCH_LIST", if thor { "11.0a" } else { "12.1a" })], &[]);
        let gloo = [("GLOO_SOCKET_IFNAME", "enp1s0f0np0")];
        has_variables(node, &gloo, if thor { &gloo } else { &[] });
    }
    assert_eq!(
        cluster.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["spark-ea8e", "spark-4080", "jetson-thor", "thorx"]
    );
}

#[test]
fn two_sparks() {
    let cluster = read(S3);
    // The document shows no `docker run`; these are what its text says: the containers' names, the GPU check, the
    // model cache, a token for gated models, an API on the host's port, InfiniBand.
    for (node, name) in cluster.nodes.iter().zip(["sglang-head", "sglang-worker-1"]) {
        let document = format!(
            "docker run --name {name} --gpus all --network host --device /dev/infiniband -e HF_TOKEN \
             -v /raid/hf-cache:/root/.cache/huggingface lmsysorg/sglang:spark sleep infinity"
        );
        let ours = line(&cluster, node);
        Told::of(&ours).holds(&Told::of(&document));
        assert!(!ours.contains("HF_TOKEN="), "{ours}");
    }
    assert_eq!(
        cluster.nodes.iter().map(|node| node.role).collect::<Vec<_>>(),
        [NodeRole::Head, NodeRole::Worker]
    );
}

#[test]
fn a_dedicated_fabric() {
    let cluster = read(S4);
    let document = Told::of(
        r"docker run -d --name sglang_node \
  --network host --ipc=host --gpus all \
  --ulimit memlock=-1 --ulimit stack=67108864 \
  --device=/dev/infiniband/uverbs0 \
  --device=/dev/infiniband/uverbs1 \
  --device=/dev/infiniband/uverbs2 \
  --device=/dev/infiniband/uverbs3 \
  -v ~/.cache/huggingface:/root/.cache/huggingface \
  ghcr.io/btankut/sglang-spark-glm47:latest sleep infinity",
    );
    let exports = [
        ("NCCL_SOCKET_IFNAME", "enP2p1s0f1np1"),
        ("GLOO_SOCKET_IFNAME", "enP2p1s0f1np1"),
        ("NCCL_IB_HCA", "mlx5_1"),
        ("VLLM_HOST_IP", "192.168.101.11"),
    ];
    for (node, end) in cluster.nodes.iter().zip(11..) {
        Told::of(&line(&cluster, node)).holds(&document);
        has_variables(node, &exports, &[("NCCL_IB_HCA", "mlx5_1"), ("VLLM_HOST_IP", "192.168.101.11")]);
        let fabric = format!("192.168.101.{end}");
        assert_eq!(node.fabric.iter().map(ToString::to_string).collect::<Vec<_>>(), [fabric.as_str()]);
        has_variables(node, &[("SGLANG_HOST_IP", fabric.as_str())], &[]);
    }
    assert_eq!(cluster.nodes.len(), 4);
}

#[test]
fn podman_and_ray() {
    let cluster = read(S5);
    // "Container-Flags (head + worker)" of the document; its GPUs are CDI's, as Podman has them.
    let document = Told::of(
        r"podman run
--device /dev/infiniband/uverbs0
--device /dev/infiniband/rdma_cm
--device nvidia.com/gpu=all
-e NCCL_IB_DISABLE=0
-e NCCL_IB_HCA=rocep1s0f0
-e NCCL_SOCKET_IFNAME=enp1s0f0np0
localhost/vllm-next sleep infinity",
    );
    for (node, fabric) in cluster.nodes.iter().zip(["192.168.0.117", "192.168.0.116"]) {
        assert_eq!(node.settings.engine(), Some(EngineKind::Podman));
        Told::of(&line(&cluster, node)).holds(&document);
        assert_eq!(node.fabric, [fabric.parse::<IpAddr>().unwrap()]);
    }
    assert_eq!(cluster.nodes[0].reach.login, Some(Login::Local));
}

#[test]
fn the_worker_of_s3_is_behind_its_head_for_whoever_is_elsewhere() {
    let text = S3.1.replace("local = true", "ssh = \"nvidia@192.168.1.11\"");
    let text = text.replace("\n# through = \"head\"", "\nthrough = \"head\"");
    let cluster = read((S3.0, &text));
    let Some(Login::Ssh(route)) = &cluster.nodes[1].reach.login else { panic!("{:?}", cluster.nodes[1]) };
    assert_eq!(route.to_string(), "nvidia@169.254.10.2 through head");
}

#[test]
fn a_flag_that_were_missing_would_be_noticed() {
    let document = Told::of("docker run -d --gpus all -v /a:/b image sleep infinity");
    Told::of("docker run --volume=/a:/b --gpus=all --detach image sleep infinity").holds(&document);
    for short in [
        "docker run -d --gpus all image sleep infinity",
        "docker run -d --gpus all -v /a:/b other sleep infinity",
    ] {
        assert!(std::panic::catch_unwind(|| Told::of(short).holds(&document)).is_err(), "{short}");
    }
}

#[test]
fn every_example_is_tried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/clusters");
    let there: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let tried = [S1, S2, S3, S4, S5].map(|(name, _)| name.to_owned());
    assert_eq!(there, BTreeSet::from(tried));
}

#[test]
fn the_page_has_every_key_and_its_examples_read() {
    let blocks: Vec<&str> =
        PAGE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        Inventory::parse(Path::new("docs/clusters.md"), block)
            .unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
    // An unknown key is answered with all that are known.
    let top = "name = \"a\"\nimage = \"a\"\n";
    let node = format!("{top}[[nodes]]\nname = \"a\"\nrole = \"head\"\nlocal = true\n");
    for (text, table) in [
        (format!("{top}qqq = 1\n"), ""),
        (format!("{node}qqq = 1\n"), ""),
        (format!("{top}[container]\nqqq = 1\n"), ""),
        (format!("{top}[bare]\nqqq = 1\n"), ""),
        (format!("{node}tls = {{ qqq = 1 }}\n"), "tls."),
    ] {
        let message = Inventory::parse(Path::new("a"), &text).unwrap_err().to_string();
        let (_, known) = message.split_once("expected ").unwrap_or_else(|| panic!("{message}"));
        for key in known.split('`').skip(1).step_by(2) {
            assert!(
                PAGE.contains(&format!("| `{table}{key}` |")),
                "docs/clusters.md has no row for `{table}{key}`"
            );
        }
    }
}
