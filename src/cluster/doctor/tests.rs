//! Verdicts over made-up nodes: three Sparks behind a switch, each as its document says, and what a test changes.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::examine::data_links;
use super::ping_path::PingPath;
use super::seen::{
    CudaGpu, DataLink, EngineSeen, Examined, GpuInside, GpusSeen, ImageSeen, Looked, Obstacle, PingOutcome,
    Pinged, ReadNode, Seen,
};
use super::{NodeFinding, State};
use crate::cluster::facts::tests::{document, facts, replace_leaf, strange};
use crate::cluster::inventory::Inventory;
use crate::host::EngineKind;
use crate::host::engine::{ApiVersion, EngineFacts, GpuWays, Image};

const INVENTORY: &str = r#"
name = "lab"
image = "lmsysorg/sglang:spark"
expect_gpu = "NVIDIA GB10"
[[nodes]]
name = "a"
role = "head"
ssh = "a"
[[nodes]]
name = "b"
ssh = "b"
[[nodes]]
name = "c"
ssh = "c"
"#;

fn image(id: &str) -> Image {
    Image {
        id: format!("sha256:{id}"),
        tags: vec!["lmsysorg/sglang:spark".into()],
        repo_digests: Vec::new(),
        config_digest: Some(format!("sha256:{id}")),
        layers: vec![format!("sha256:layer-of-{id}")],
        start_digest: format!("sha256:start-of-{id}"),
        architecture: "arm64".into(),
        bytes: 1,
        labels: BTreeMap::new(),
    }
}

fn engine_facts(engine: EngineKind, version: &str) -> EngineFacts {
    EngineFacts {
        engine,
        version: version.into(),
        api: ApiVersion { major: 1, minor: 53 },
        storage_driver: "overlay2".into(),
        root: "/var/lib/docker".into(),
        architecture: "aarch64".into(),
        gpus: GpuWays { nvidia_runtime: true, ..GpuWays::default() },
    }
}

/// A Spark's document with a guard, room, links at full speed and no bad past, and then changed.
fn spark(change: impl FnOnce(&mut Value)) -> Value {
    let mut value: Value = serde_json::from_str(&document("spark-switch")).unwrap();
    value["guards"] = json!(["earlyoom"]);
    value["commands"]["kernel_log_before"]["exit"]["stdout"] = json!("");
    value["disks"] = json!({ "/": { "total": 4u64 << 40, "free": 3u64 << 40 } });
    for device in ["enp1s0f1np1", "enP2p1s0f1np1"] {
        value["files"][format!("/sys/class/net/{device}/speed")] = json!("200000");
    }
    change(&mut value);
    value
}

fn read(document: &Value) -> ReadNode {
    ReadNode { facts: facts(&document.to_string()), clock_ahead_s: [-0.4, 0.2] }
}

fn looked() -> Looked {
    Looked {
        user: 1000,
        taken: Vec::new(),
        foreign: BTreeMap::new(),
        ray_token: false,
        gpu_programs: Some(String::new()),
        owners: BTreeMap::new(),
        pings: Vec::new(),
    }
}

/// As a Spark's container has its GPU.
fn gpus_seen() -> GpusSeen {
    let gpu = CudaGpu { name: "NVIDIA GB10".into(), shared_memory_per_block: Some(101_376) };
    let nodes = ["nvidia-uvm", "nvidia0", "nvidiactl"].map(str::to_owned).to_vec();
    let driver = vec!["NVIDIA GB10".to_owned()];
    GpusSeen { nodes, driver, library: true, trouble: None, gpus: vec![gpu] }
}

/// Nodes with nothing wrong.
fn of(inventory: &str) -> Examined {
    let nodes = Inventory::parse(Path::new("sparks.toml"), inventory).unwrap().nodes;
    let seen = nodes.into_iter().map(|node| Seen {
        node,
        reached: Ok(()),
        read: Some(Ok(read(&spark(|_| ())))),
        engine: Some(Ok(EngineSeen {
            facts: engine_facts(EngineKind::Docker, "29.2.1"),
            image: ImageSeen::There(image("0123456789abcdef")),
        })),
        looked: Some(Ok(looked())),
        models: None,
        gpus_inside: Some(GpuInside::Seen(gpus_seen())),
        runtime: None,
        load: None,
        tuned: None,
    });
    let nodes: Vec<Seen> = seen.collect();
    let link = |at: usize| DataLink {
        address: [192, 168, 101, 11 + at as u8].into(),
        interface: "enp1s0f1np1".into(),
        mtu: Some(9000),
    };
    let data = (0..nodes.len()).map(|at| Some(link(at))).collect();
    let pairs = (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to)));
    let pings = pairs.filter(|(from, to)| from != to);
    let pinged = |(from, to)| Pinged {
        path: PingPath {
            from,
            to,
            source: link(from).address,
            target: link(to).address,
            interfaces: (link(from).interface, link(to).interface),
            mtu: 9000,
        },
        outcome: PingOutcome::Known(true),
    };
    Examined { data, pings: pings.map(pinged).collect(), nodes, models: Vec::new() }
}

fn healthy() -> Examined {
    of(INVENTORY)
}

/// Node and item of what is not fine.
fn wrong(examined: &Examined) -> Vec<(String, &'static str, State)> {
    let not_fine = examined.findings().into_iter().filter(|finding| finding.state != State::Ok);
    not_fine.map(|NodeFinding { node, item, state, .. }| (node.to_string(), item, state)).collect()
}

/// The one finding that is not fine.
fn only(examined: &Examined) -> NodeFinding {
    let all = examined.findings();
    let not_fine: Vec<&NodeFinding> = all.iter().filter(|finding| finding.state != State::Ok).collect();
    let [finding] = not_fine[..] else { panic!("{not_fine:#?}") };
    finding.clone()
}

fn is(finding: &NodeFinding, node: &str, item: &str, state: State, says: &str, fix: &str) {
    assert_eq!((finding.node.as_str(), finding.item, finding.state), (node, item, state), "{finding:?}");
    assert!(finding.says.contains(says), "{finding:?}");
    assert!(finding.fix.as_deref().unwrap_or_default().contains(fix), "{finding:?}");
}

/// What is found after `change` to node b's document.
fn with_document(change: impl FnOnce(&mut Value)) -> Examined {
    let mut examined = healthy();
    examined.nodes[1].read = Some(Ok(read(&spark(change))));
    examined
}

fn meminfo(value: &mut Value, name: &str, kib: u64) {
    let text = value["files"]["/proc/meminfo"].as_str().unwrap();
    let begins = format!("{name}:");
    let lines = text.lines().filter(|line| !line.starts_with(&begins)).map(str::to_owned);
    let lines: Vec<String> = lines.chain([format!("{begins} {kib} kB")]).collect();
    value["files"]["/proc/meminfo"] = json!(lines.join("\n"));
}

/// nvidia-smi's line: name, capability, driver, clock, clock at most, temperature, power.
fn gpu(value: &mut Value, line: &str) {
    value["commands"]["nvidia_smi"]["exit"]["stdout"] = json!(format!("{line}\n"));
}

#[test]
fn nodes_with_nothing_wrong_are_fine_in_every_item() {
    let examined = healthy();
    assert_eq!(wrong(&examined), []);
    let of_b = examined.findings().into_iter().filter(|finding| finding.node.as_str() == "b");
    let lines: Vec<String> = of_b.map(|finding| format!("{}: {}", finding.item, finding.says)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_node_out_of_reach_has_one_finding_and_spoils_no_other() {
    let mut examined = healthy();
    let trouble = Obstacle { says: "cannot be reached by ssh".into(), fix: Some("ssh-copy-id b".into()) };
    let node = examined.nodes[1].node.clone();
    examined.nodes[1] = Seen {
        node,
        reached: Err(trouble),
        read: None,
        engine: None,
        looked: None,
        models: None,
        gpus_inside: None,
        runtime: None,
        load: None,
        tuned: None,
    };
    examined.data[1] = None;
    examined.pings.retain(|ping| ping.path.from != 1 && ping.path.to != 1);
    is(&only(&examined), "b", "reachable", State::Failed, "cannot be reached", "ssh-copy-id b");
    assert!(examined.any_answered());
    assert_eq!(examined.findings().iter().filter(|finding| finding.node.as_str() == "b").count(), 1);
    for node in &mut examined.nodes {
        (node.read, node.engine, node.looked) = (None, None, None);
    }
    assert!(!examined.any_answered());
}

#[test]
fn a_node_that_does_not_say_what_it_is() {
    let mut examined = healthy();
    let trouble = || Obstacle { says: "cannot start `python3`".into(), fix: Some("install python3".into()) };
    examined.nodes[1].read = Some(Err(trouble()));
    examined.nodes[1].looked = Some(Err(trouble()));
    is(&only(&examined), "b", "readable", State::Failed, "cannot start", "install python3");
    let odd = with_document(|value| value["files"]["/sys/class/net/enP7s7/mtu"] = json!("many"));
    is(&only(&odd), "b", "readable", State::Warning, "/sys/class/net/enP7s7/mtu", "");
}

#[test]
fn an_engine_that_does_not_answer_is_started() {
    let trouble = Obstacle { says: "the connection is refused".into(), fix: None };
    let mut examined = healthy();
    examined.nodes[1].engine = Some(Err(trouble.clone()));
    is(&only(&examined), "b", "engine", State::Failed, "refused", "sudo systemctl start docker");
    // The engine's own command tells a user who may not.
    let mut examined = with_document(|value| {
        let words = "permission denied while trying to connect to the Docker daemon socket";
        value["commands"]["docker"] =
            json!({ "exit": { "status": 1, "stdout": "", "stderr": words, "cut": false } });
    });
    examined.nodes[1].engine = Some(Err(trouble.clone()));
    is(&only(&examined), "b", "engine", State::Failed, "refused", "usermod -aG docker");
    let mut podman =
        of(&INVENTORY.replace("[[nodes]]\nname = \"b\"", "[[nodes]]\nname = \"b\"\nengine = \"podman\""));
    podman.nodes[1].engine = Some(Err(trouble));
    is(&only(&podman), "b", "engine", State::Failed, "refused", "start podman.socket");
}

#[test]
fn another_gpu_or_none() {
    let other = with_document(|value| gpu(value, "NVIDIA Thor, 11.0, 580.1, 208, 3003, 38, 4"));
    is(
        &only(&other),
        "b",
        "gpu",
        State::Failed,
        "NVIDIA Thor, where the inventory expects NVIDIA GB10",
        "expect_gpu",
    );
    let none = with_document(|value| value["commands"]["nvidia_smi"] = json!("missing"));
    is(&only(&none), "b", "gpu", State::Failed, "no GPU", "nvidia-smi");
    let mut wanted = of(&INVENTORY.replace("expect_gpu = \"NVIDIA GB10\"\n", ""));
    assert_eq!(wrong(&wanted), []);
    wanted.nodes[1].read = Some(Ok(read(&spark(|value| value["commands"]["nvidia_smi"] = json!("missing")))));
    is(&only(&wanted), "b", "gpu", State::Failed, "no GPU", "gpus = \"none\"");
    // One that is to have none.
    let text = INVENTORY.replace("expect_gpu = \"NVIDIA GB10\"\n", "container = { gpus = \"none\" }\n");
    let mut unwanted = of(&text);
    for node in &mut unwanted.nodes {
        node.read = Some(Ok(read(&spark(|value| value["commands"]["nvidia_smi"] = json!("missing")))));
    }
    assert_eq!(wrong(&unwanted), []);
}

#[test]
fn an_engine_that_cannot_give_its_gpu_away() {
    let mut examined = healthy();
    let engine = |gpus| EngineSeen {
        facts: EngineFacts { gpus, ..engine_facts(EngineKind::Podman, "4.9.3") },
        image: ImageSeen::There(image("0123456789abcdef")),
    };
    examined.nodes[1].engine = Some(Ok(engine(GpuWays { dropped_by_the_api: true, ..GpuWays::default() })));
    is(
        &only(&examined),
        "b",
        "gpu_in_containers",
        State::Warning,
        "podman 4.9.3 leaves GPUs out",
        "5.4 or newer",
    );
    // Without a login there is no command that could do it instead.
    examined.nodes[1].node.reach.login = None;
    let found = wrong(&examined);
    assert!(found.contains(&("b".into(), "gpu_in_containers", State::Failed)), "{found:?}");
    let mut examined = with_document(|value| value["folders"]["/etc/cdi"] = json!([]));
    examined.nodes[1].engine = Some(Ok(engine(GpuWays::default())));
    is(&only(&examined), "b", "gpu_in_containers", State::Warning, "neither", "nvidia-ctk cdi generate");
}

#[test]
fn a_clock_is_judged_by_its_limit_alone() {
    let clock = |now: &str, most: &str| {
        with_document(|value| gpu(value, &format!("NVIDIA GB10, 12.1, 580.142, {now}, {most}, 38, 4.86")))
    };
    for capped in ["850", "500"] {
        is(&only(&clock("500", capped)), "b", "gpu_clock", State::Failed, "capped", "plug");
    }
    // A GPU that rests, and one that does not tell.
    assert_eq!(wrong(&clock("0", "3003")), []);
    assert_eq!(wrong(&clock("[N/A]", "[N/A]")), []);
    is(&only(&clock("208", "2100")), "b", "gpu_clock", State::Warning, "3003 MHz on a", "nvidia-smi");
}

#[test]
fn a_hot_gpu() {
    let at = |celsius: &str| {
        with_document(|value| gpu(value, &format!("NVIDIA GB10, 12.1, 580.142, 208, 3003, {celsius}, 4.86")))
    };
    assert_eq!(wrong(&at("79")), []);
    is(&only(&at("80")), "b", "gpu_temperature", State::Warning, "80 \u{b0}C", "nvidia-smi");
}

#[test]
fn an_image_that_is_missing_or_another() {
    let with = |seen| {
        let mut examined = healthy();
        let facts = engine_facts(EngineKind::Docker, "29.2.1");
        examined.nodes[1].engine = Some(Ok(EngineSeen { facts, image: seen }));
        examined
    };
    let missing = with(ImageSeen::Missing);
    is(&only(&missing), "b", "image", State::Failed, "is not there", "docker pull lmsysorg/sglang:spark");
    let late = with(ImageSeen::Unknown(Obstacle { says: "no answer".into(), fix: None }));
    is(&only(&late), "b", "image", State::Unknown, "no answer", "");
    let other = with(ImageSeen::There(image("fedcba9876543210")));
    is(&only(&other), "b", "image", State::Failed, "fedcba987654, and 0123456789ab on a", "docker load on b");
    let foreign = with(ImageSeen::There(Image { architecture: "amd64".into(), ..image("0123456789abcdef") }));
    is(
        &only(&foreign),
        "b",
        "image",
        State::Failed,
        "built for amd64, and the node is aarch64",
        "docker pull",
    );
    // Kept in another way it has another ID, and is the same: by its layers, or by what a registry calls it.
    let own = image("0123456789abcdef");
    let by_layers = Image { id: "sha256:ff".into(), config_digest: None, ..own.clone() };
    assert_eq!(wrong(&with(ImageSeen::There(by_layers))), []);
    let named = |id: &str, digest: &str| Image {
        repo_digests: vec![format!("lmsysorg/sglang@sha256:{digest}")],
        ..image(id)
    };
    let mut by_digest = with(ImageSeen::There(named("ff", "77")));
    for at in [0, 2] {
        let facts = engine_facts(EngineKind::Docker, "29.2.1");
        by_digest.nodes[at].engine =
            Some(Ok(EngineSeen { facts, image: ImageSeen::There(named("ee", "77")) }));
    }
    assert_eq!(wrong(&by_digest), []);
}

#[test]
fn what_most_have_is_right_and_of_two_the_heads() {
    let mut examined = healthy();
    examined.data[0].as_mut().unwrap().mtu = Some(1500);
    is(
        &only(&examined),
        "a",
        "mtu",
        State::Failed,
        "1500 on enp1s0f1np1, and 9000 on b",
        "enp1s0f1np1 mtu 9000",
    );
    let two = &INVENTORY[..INVENTORY.rfind("[[nodes]]").unwrap()];
    let mut examined = of(two);
    examined.data[0].as_mut().unwrap().mtu = Some(1500);
    is(&only(&examined), "b", "mtu", State::Failed, "9000 on enp1s0f1np1, and 1500 on a", "mtu 1500");
}

#[test]
fn a_node_without_rdma_among_others() {
    let none = with_document(|value| {
        let folders = value["folders"].as_object_mut().unwrap();
        folders.retain(|path, _| !path.starts_with("/sys/class/infiniband"));
    });
    is(&only(&none), "b", "rdma", State::Failed, "no RDMA device, and a has one", "modprobe");
    let down = with_document(|value| {
        for (path, text) in value["files"].as_object_mut().unwrap() {
            if path.starts_with("/sys/class/infiniband") && path.ends_with("/state") {
                *text = json!("1: DOWN");
            }
        }
    });
    is(&only(&down), "b", "rdma", State::Failed, "is DOWN", "cable");
}

#[test]
fn a_slow_link() {
    let slow = with_document(|value| value["files"]["/sys/class/net/enp1s0f1np1/speed"] = json!("100000"));
    is(&only(&slow), "b", "link_speed", State::Warning, "100 Gb/s on enp1s0f1np1", "switch");
    // Another machine's port has another speed.
    let other = with_document(|value| {
        value["files"]["/sys/class/net/enp1s0f1np1/speed"] = json!("100000");
        gpu(value, "NVIDIA Thor, 11.0, 580.1, 208, 3003, 38, 4");
    });
    assert_eq!(wrong(&other), [("b".into(), "gpu", State::Failed)]);
}

#[test]
fn a_fabric_address_that_is_not_there_is_its_own_item() {
    let fabric = |address: &str| {
        of(&INVENTORY.replace("ssh = \"b\"\n", &format!("ssh = \"b\"\nfabric = [\"{address}\"]\n")))
    };
    let examined = fabric("192.168.101.11");
    assert_eq!(wrong(&examined), []);
    assert_eq!(data_links(&examined.nodes)[1].as_ref().unwrap().interface, "enp1s0f1np1");
    let mut examined = fabric("192.168.7.7");
    is(
        &only(&examined),
        "b",
        "fabric_address",
        State::Failed,
        "no interface has 192.168.7.7",
        "sparktune nodes",
    );
    // Nothing else is pinged in its place.
    assert_eq!(data_links(&examined.nodes)[1], None);
    examined = fabric("192.168.101.11");
    let down = spark(|value| value["files"]["/sys/class/net/enp1s0f1np1/operstate"] = json!("down"));
    examined.nodes[1].read = Some(Ok(read(&down)));
    is(&only(&examined), "b", "fabric_address", State::Failed, "is down", "ip link set enp1s0f1np1 up");
    assert_eq!(data_links(&examined.nodes)[1], None);
}

#[test]
fn lost_pings_are_told_of_the_node_that_most_have_in_common() {
    let losing = |lost: &[(usize, usize)]| {
        let mut examined = healthy();
        for ping in examined.pings.iter_mut().filter(|ping| lost.contains(&(ping.path.from, ping.path.to))) {
            ping.outcome = PingOutcome::Known(false);
        }
        examined
    };
    let cut = losing(&[(0, 1), (1, 0), (1, 2), (2, 1)]);
    let says = "packets of 9000 bytes: none gets to a, c, none comes from a, c";
    is(&only(&cut), "b", "fabric", State::Failed, says, "ping -M do -s 8972 192.168.101.11");
    // One direction of one pair: of two it is not the head.
    is(&only(&losing(&[(0, 1)])), "b", "fabric", State::Failed, "none comes from a", "ping");
    is(&only(&losing(&[(1, 0)])), "b", "fabric", State::Failed, "none gets to a", "ping");
    let all = losing(&[(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)]);
    assert_eq!(wrong(&all).len(), 2, "{:?}", wrong(&all));
    let mut untold = healthy();
    for ping in untold.pings.iter_mut().filter(|ping| ping.path.from == 1) {
        ping.outcome = PingOutcome::Unknown("there is no `ping` (iputils-ping)".into());
    }
    is(&only(&untold), "b", "fabric", State::Unknown, "no `ping`", "apt-get install iputils-ping");
}

#[test]
fn taken_ports() {
    let mut examined = healthy();
    examined.nodes[1].looked = Some(Ok(Looked { taken: vec![30_000, 6379], ..looked() }));
    is(&only(&examined), "b", "ports", State::Failed, "30000, 6379", "sport = :30000 or sport = :6379");
    examined.nodes[1].looked = Some(Err(Obstacle { says: "did not answer".into(), fix: None }));
    is(&only(&examined), "b", "ports", State::Unknown, "did not answer", "");
}

#[test]
fn a_disk_that_is_full_or_nearly() {
    let free = |bytes: u64| with_document(|value| value["disks"]["/"]["free"] = json!(bytes));
    assert_eq!(wrong(&free(32 << 30)), []);
    is(&only(&free((32 << 30) - 1)), "b", "disk", State::Warning, "32.0 of 4096.0 GiB", "docker system df");
    is(&only(&free(0)), "b", "disk", State::Failed, "0.0 of 4096.0 GiB are free on /", "docker system df");
}

#[test]
fn memory_that_somebody_has() {
    let taken = with_document(|value| meminfo(value, "MemAvailable", 8 << 20));
    is(&only(&taken), "b", "memory", State::Warning, "8.0 GiB of", "ps ");
    let cached = with_document(|value| {
        meminfo(value, "MemFree", 4 << 20);
        meminfo(value, "Cached", 60 << 20);
    });
    is(&only(&cached), "b", "page_cache", State::Warning, "60.0 GiB hold files, 4.0 GiB", "drop_caches");
    let swapped = with_document(|value| {
        meminfo(value, "SwapTotal", 16 << 20);
        meminfo(value, "SwapFree", 14 << 20);
    });
    is(&only(&swapped), "b", "swap", State::Warning, "2.0 GiB of 16.0 GiB", "swapoff");
    let unguarded = with_document(|value| value["guards"] = json!([]));
    is(&only(&unguarded), "b", "memory_guard", State::Warning, "nothing", "apt-get install earlyoom");
    let line = "2026-11-30T01:02:03 spark kernel: NVRM: NV_ERR_NO_MEMORY";
    let traced = with_document(|value| {
        value["commands"]["kernel_log_before"] =
            json!({ "exit": { "status": 0, "stdout": line, "stderr": "", "cut": false } });
    });
    is(&only(&traced), "b", "memory_traces", State::Warning, line, "--mem-fraction-static");
}

#[test]
fn a_limit_for_locked_memory_counts_without_a_container_only() {
    let bare = INVENTORY.replace("image = \"lmsysorg/sglang:spark\"", "engine = \"none\"");
    let mut examined = of(&bare);
    for node in &mut examined.nodes {
        node.engine = None;
    }
    let found = wrong(&examined);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|(_, item, state)| (*item, *state) == ("memlock", State::Warning)), "{found:?}");
    for node in &mut examined.nodes {
        node.read = Some(Ok(read(&spark(|value| value["limits"]["memlock"] = json!([null, null])))));
    }
    assert_eq!(wrong(&examined), []);
}

#[test]
fn a_clock_is_off_only_where_no_delay_explains_it() {
    let ahead = |least: f64, most: f64| {
        let mut examined = healthy();
        let clock_ahead_s = [least, most];
        examined.nodes[1].read = Some(Ok(ReadNode { clock_ahead_s, ..read(&spark(|_| ())) }));
        examined
    };
    // The answer took 6 s: nothing is known.
    assert_eq!(wrong(&ahead(-3.0, 3.0)), []);
    assert_eq!(wrong(&ahead(1.0, 1.3)), []);
    is(&only(&ahead(61.0, 61.5)), "b", "clock", State::Failed, "61.0 s ahead of", "timedatectl set-ntp true");
    is(&only(&ahead(-61.5, -61.0)), "b", "clock", State::Failed, "61.0 s behind", "timedatectl");
}

#[test]
fn what_lies_in_the_home() {
    let mut examined = healthy();
    let foreign = BTreeMap::from([("~/.cache/huggingface".to_owned(), 0), ("~/.triton".to_owned(), 1001)]);
    examined.nodes[1].looked = Some(Ok(Looked { foreign: foreign.clone(), ..looked() }));
    let says = "~/.cache/huggingface is root's, ~/.triton is user 1001's";
    is(
        &only(&examined),
        "b",
        "folders",
        State::Warning,
        says,
        "chown -R $(id -u):$(id -g) ~/.cache/huggingface",
    );
    examined.nodes[1].looked = Some(Ok(Looked { user: 0, foreign, ..looked() }));
    assert_eq!(wrong(&examined), []);
    let token = || Some(Ok(Looked { ray_token: true, ..looked() }));
    examined.nodes[1].looked = token();
    is(&only(&examined), "b", "ray_token", State::Warning, "not on a, c", "RAY_AUTH_MODE=disabled");
    for node in &mut examined.nodes {
        node.looked = token();
    }
    assert_eq!(wrong(&examined), []);
}

#[test]
fn an_engine_without_a_login_is_looked_at_alone() {
    let mut examined = healthy();
    examined.nodes[1].node.reach.login = None;
    (examined.nodes[1].read, examined.nodes[1].looked) = (None, None);
    is(&only(&examined), "b", "reachable", State::Unknown, "no login", "ssh = ");
}

mod files;
mod gpus;
mod inside;
mod load;
mod models;
mod paths;
mod runtime;
mod tuned;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_a_node_says_there_is_a_verdict(
        changes in proptest::collection::vec((0..200_usize, strange()), 1..4),
    ) {
        let mut value = spark(|_| ());
        for (pick, with) in changes {
            replace_leaf(&mut value, &mut pick.clone(), &with);
        }
        let text = value.to_string();
        if crate::cluster::facts::NodeReading::parse(text.as_bytes()).is_ok() {
            let mut examined = healthy();
            examined.nodes[1].read = Some(Ok(read(&value)));
            examined.data = data_links(&examined.nodes);
            prop_assert!(examined.findings().iter().any(|finding| finding.node.as_str() == "b"));
        }
    }
}
