//! Nodes as documents: what is understood of them, and that nothing written there breaks anything.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::reading::{BadAnswer, NodeReading};
use super::{InterfaceKind, NodeFacts};

/// The text of a node below `tests/fixtures/nodes`.
pub(in crate::cluster) fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/nodes/{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The facts in a document.
pub(in crate::cluster) fn facts(document: &str) -> NodeFacts {
    NodeFacts::of(&NodeReading::parse(document.as_bytes()).unwrap())
}

/// A node's facts after `change` to its document.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> NodeFacts {
    let mut value: Value = serde_json::from_str(&document(name)).unwrap();
    change(&mut value);
    facts(&value.to_string())
}

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nodes");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let documents = paths.filter(|path: &PathBuf| path.extension().is_some_and(|it| it == "json"));
    documents.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_node_is_understood_without_a_doubt() {
    let names = names();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        assert_eq!(facts(&document(&name)).doubts, [], "{name}");
    }
}

#[test]
fn a_spark_with_both_twins_addressed() {
    let facts = facts(&document("spark-twins"));
    assert_eq!((facts.host_name.as_str(), facts.kernel.as_str()), ("dgx-spark-1", "6.17.0-1021-nvidia"));
    let gpu = &facts.gpus[0];
    assert_eq!((gpu.name.as_str(), gpu.compute_capability.as_deref()), ("NVIDIA GB10", Some("12.1")));
    assert_eq!(gpu.driver.as_deref(), Some("580.142"));
    assert_eq!((gpu.clock_mhz, gpu.max_clock_mhz), (Some(208.0), Some(3003.0)));
    assert_eq!((gpu.temperature_c, gpu.power_w), (Some(38.0), Some(4.86)));
    assert_eq!(facts.memory.total, Some(127_601_388 * 1024));
    assert_eq!(facts.memory.page_cache, Some(20_471_712 * 1024));
    assert_eq!(facts.default_route.as_ref().unwrap().interface, "wlP9s9");

    let cabled = facts.interface("enP2p1s0f1np1").unwrap();
    assert_eq!((cabled.kind, cabled.up, cabled.mtu), (InterfaceKind::Wired, true, Some(1500)));
    assert_eq!(cabled.speed_mbps, Some(200_000));
    assert_eq!(cabled.pci.unwrap().to_string(), "0002:01:00.1");
    let empty = facts.interface("enp1s0f0np0").unwrap();
    assert_eq!((empty.up, empty.speed_mbps), (false, None));
    assert_eq!(facts.interface("wlP9s9").unwrap().kind, InterfaceKind::Wireless);
    assert_eq!(facts.interface("lo").unwrap().kind, InterfaceKind::Loopback);
    assert_eq!(facts.interface("docker0").unwrap().kind, InterfaceKind::Virtual);

    let devices: Vec<_> = facts.rdma.iter().map(|it| (it.name.as_str(), it.active())).collect();
    let expected =
        [("roceP2p1s0f0", false), ("roceP2p1s0f1", true), ("rocep1s0f0", false), ("rocep1s0f1", true)];
    assert_eq!(devices, expected);
    // A neighbour that did not answer is none.
    assert_eq!(facts.neighbours.len(), 2);
}

#[test]
fn a_gid_index_is_that_of_the_address_and_of_the_device() {
    let facts = facts(&document("spark-twins"));
    let device = |name: &str| facts.rdma.iter().find(|it| it.name == name).unwrap();
    // Of four entries, the one that is RoCE v2 and IPv4.
    assert_eq!(device("rocep1s0f1").gid_index("192.168.100.10".parse().unwrap()), Some(3));
    assert_eq!(device("roceP2p1s0f1").gid_index("192.168.101.10".parse().unwrap()), Some(3));
    assert_eq!(device("rocep1s0f1").gid_index("192.168.101.10".parse().unwrap()), None);
    assert_eq!(device("rocep1s0f0").gid_index("192.168.100.10".parse().unwrap()), None);
    // Of IPv6 as it is: the text of an address is another one in `/sys`.
    let text = document("spark-twins")
        .replace("0000:0000:0000:0000:0000:ffff:c0a8:640a", "fd00:0064:0000:0000:0000:0000:0000:000a");
    let device = self::facts(&text).rdma.into_iter().find(|it| it.name == "rocep1s0f1").unwrap();
    assert_eq!(device.gid_index("fd00:64::a".parse().unwrap()), Some(3));
    assert_eq!(device.gid_index("fd00:64::b".parse().unwrap()), None);
}

#[test]
fn addresses_of_ipv6_that_pass_or_need_an_interface_are_not_for_others() {
    let listed = |address: &str, more: &str| {
        format!(
            r#"{{\"family\":\"inet6\",\"local\":\"{address}\",\"prefixlen\":64,\"scope\":\"global\"{more}}},"#
        )
    };
    let more = [
        listed("2001:db8::1", r#",\"temporary\":true"#),
        listed("2001:db8::2", r#",\"deprecated\":true"#),
        listed("2001:db8::3", r#",\"tentative\":true"#),
        listed("fd00::5", ""),
    ];
    let before = r#"{\"family\":\"inet\",\"local\":\"192.168.100.10\""#;
    let text = document("spark-twins").replace(before, &(more.concat() + before));
    let facts = facts(&text);
    let interface = facts.interface("enp1s0f1np1").unwrap();
    let addresses: Vec<String> = interface.addresses_for_others().map(|(it, _)| it.to_string()).collect();
    // IPv4 comes first, whatever the kernel's order is.
    assert_eq!(addresses, ["192.168.100.10", "fd00::5"]);
    assert!(interface.has_link_local_v6());
}

#[test]
fn the_way_out_by_ipv6_counts_where_there_is_no_other() {
    let route = |dev: &str| json!({ "exit": { "status": 0, "stdout": format!("[{{\"dst\":\"default\",\"gateway\":\"fe80::1\",\"dev\":\"{dev}\",\"metric\":100}}]"), "stderr": "", "cut": false } });
    let of = |without_v4: bool| {
        changed("spark-twins", |it| {
            it["commands"]["ip_route_v6"] = route("enP7s7");
            if without_v4 {
                it["commands"]["ip_route"]["exit"]["stdout"] = json!("[]");
            }
        })
    };
    assert_eq!(of(false).default_route.unwrap().interface, "wlP9s9");
    let route = of(true).default_route.unwrap();
    assert_eq!((route.interface.as_str(), route.gateway), ("enP7s7", Some("fe80::1".parse().unwrap())));
}

#[test]
fn what_a_thor_does_not_tell_is_not_known_and_no_doubt() {
    let facts = facts(&document("thor"));
    let gpu = &facts.gpus[0];
    assert_eq!((gpu.name.as_str(), gpu.compute_capability.as_deref()), ("NVIDIA Thor", Some("11.0")));
    assert_eq!((gpu.clock_mhz, gpu.temperature_c, gpu.power_w), (None, None, None));
    assert!(facts.rdma.is_empty());
}

#[test]
fn engines_tell_their_version_or_why_not() {
    let engines = |name: &str| facts(&document(name)).engines;
    assert_eq!(engines("spark-twins")[0].version.as_deref(), Some("29.2.1"));
    let refused = &engines("spark-link-local")[0];
    assert_eq!(refused.version, None);
    assert!(refused.problem.as_ref().unwrap().starts_with("permission denied"), "{refused:?}");
    let podman = &engines("plain-pc")[0];
    assert_eq!((podman.command, podman.version.as_deref()), ("podman", Some("4.3.1")));
}

#[test]
fn traces_of_exhausted_memory_are_of_their_boot() {
    let traces = facts(&document("spark-switch")).memory_traces;
    assert!(traces[0].before_this_boot && traces[0].line.contains("NV_ERR_NO_MEMORY"), "{traces:?}");
}

/// Every value that can be wrong, wrong: what is said of it.
#[test]
fn what_makes_no_sense_is_a_doubt_that_names_it() {
    type Change = fn(&mut Value);
    let wrong: [(Change, &str, &str); 17] = [
        (|it| it["cut"] = json!(true), "/sys", "more files than are read"),
        (
            |it| {
                it["unreadable"]["/sys/class/infiniband/rocep1s0f1/ports/1/state"] =
                    json!("Permission denied")
            },
            "rocep1s0f1/ports/1/state",
            "Permission denied",
        ),
        (|it| it["files"]["/sys/class/net/enP7s7/mtu"] = json!("big"), "/sys/class/net/enP7s7/mtu", "`big`"),
        (|it| it["files"]["/sys/class/net/enP7s7/mtu"] = json!("-1"), "/mtu", "`-1`"),
        (|it| it["files"]["/sys/class/net/enP7s7/speed"] = json!("fast"), "/speed", "`fast`"),
        (
            |it| it["unreadable"]["/sys/class/net/enP7s7/mtu"] = json!("Permission denied"),
            "/mtu",
            "Permission denied",
        ),
        (|it| it["files"]["/proc/meminfo"] = json!("MemTotal: lots"), "/proc/meminfo", "MemTotal: `lots`"),
        (
            |it| it["files"]["/proc/meminfo"] = json!("MemFree: 99999999999999999999 kB"),
            "/proc/meminfo",
            "MemFree",
        ),
        (
            |it| it["files"]["/sys/class/infiniband/rocep1s0f1/ports/1/gids/3"] = json!("fe80"),
            "/gids/3",
            "no GID",
        ),
        (
            |it| it["folders"]["/sys/class/infiniband/rocep1s0f1/ports"] = json!(["x"]),
            "rocep1s0f1/ports",
            "`x`",
        ),
        (|it| it["commands"]["ip_address"] = json!("missing"), "ip_address", "iproute2"),
        (|it| it["commands"]["ip_route"]["exit"]["stdout"] = json!("{}"), "ip_route", "no JSON list"),
        (
            |it| {
                it["commands"]["ip_address"]["exit"]["stdout"] = json!(
                    r#"[{"ifname":"enP7s7","addr_info":[{"local":"10.0.0.256","prefixlen":24},{"local":"10.0.0.1","prefixlen":33}]}]"#
                )
            },
            "ip_address",
            "enP7s7: ",
        ),
        (
            |it| it["commands"]["nvidia_smi"]["exit"]["stdout"] = json!("NVIDIA GB10"),
            "nvidia_smi",
            "7 fields",
        ),
        (
            |it| {
                it["commands"]["nvidia_smi"]["exit"]["stdout"] =
                    json!("NVIDIA GB10, 12.1, 580, ten, -5, inf, 3")
            },
            "nvidia_smi",
            "clocks.sm: `ten`",
        ),
        (
            |it| {
                it["commands"]["nvidia_smi"] = json!({ "exit": {
                "status": 9, "stdout": "NVIDIA-SMI has failed\n", "stderr": "", "cut": false } })
            },
            "nvidia_smi",
            "status 9: NVIDIA-SMI has failed",
        ),
        (
            |it| it["commands"]["nvidia_smi"] = json!({ "timed_out": { "limit_s": 5.0 } }),
            "nvidia_smi",
            "within 5 s",
        ),
    ];
    for (change, about, problem) in wrong {
        let doubts = changed("spark-twins", change).doubts;
        let named = doubts.iter().any(|it| it.about.contains(about) && it.problem.contains(problem));
        assert!(named, "{about} {problem}: {doubts:?}");
    }
}

#[test]
fn what_is_missing_is_not_known_and_no_doubt() {
    let facts = changed("spark-twins", |it| {
        for part in ["files", "unreadable", "folders", "links"] {
            it[part] = json!({});
        }
        it["commands"] = json!({ "ip_address": { "exit": {
            "status": 0, "stdout": "[]", "stderr": "", "cut": false } } });
    });
    assert_eq!(facts.doubts, []);
    assert_eq!((facts.memory.total, facts.interfaces.len(), facts.gpus.len()), (None, 0, 0));
    assert!(facts.rdma.is_empty() && facts.engines.is_empty() && facts.default_route.is_none());
}

#[test]
fn the_default_route_with_the_least_metric_is_taken() {
    let with = |routes: &str| {
        let routes = json!(routes);
        changed("spark-twins", |it| it["commands"]["ip_route"]["exit"]["stdout"] = routes).default_route
    };
    let both = r#"[{"dst":"default","dev":"a","gateway":"10.0.0.1","metric":600},{"dst":"default","dev":"b","metric":100}]"#;
    assert_eq!(with(both).unwrap().interface, "b");
    let several_links = r#"[{"dst":"default","nexthops":[{"dev":"a"}]}]"#;
    assert_eq!(with(several_links), None);
}

#[test]
fn an_answer_that_is_none_says_what_it_is() {
    let whole: Value = serde_json::from_str(&document("plain-pc")).unwrap();
    let line = whole.to_string();
    let parse = |text: &str| NodeReading::parse(text.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(parse(" \n"), BadAnswer::Empty);
    let greeting = parse(&format!("Welcome to DGX OS\n{line}\n"));
    assert_eq!(greeting, BadAnswer::Greeting { said: "Welcome to DGX OS".into() });
    let farewell = parse(&format!("{line}\nlogout\n"));
    assert_eq!(farewell, BadAnswer::Greeting { said: "logout".into() });
    assert_eq!(parse("bash: \u{1b}[1mno"), BadAnswer::Garbage { said: "bash: \u{fffd}[1mno".into() });
    assert_eq!(parse(&line[..line.len() / 2]), BadAnswer::Cut { bytes: line.len() / 2 });
    assert!(matches!(parse("{\"format\": 1}"), BadAnswer::Field { why, .. } if why.contains("system")));
    let mut other = whole.clone();
    other["format"] = json!(2);
    assert_eq!(parse(&other.to_string()), BadAnswer::Format { found: 2 });
    other["format"] = json!(1);
    other["commands"]["podman"] = json!({ "exit": { "status": "zero" } });
    let error = parse(&other.to_string()).to_string();
    assert!(error.contains("commands.podman"), "{error}");
    let endless = parse(&"x".repeat(1 << 20)).to_string();
    assert!(endless.len() < 300, "{endless}");
}

/// What an answer can be changed to.
pub(in crate::cluster) fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("")),
        Just(json!("N/A")),
        Just(json!("-1")),
        Just(json!("[")),
        Just(json!("99999999999999999999999")),
        Just(json!("\u{0}\n\n, , , , , , ,")),
        ".{0,40}".prop_map(Value::String),
        Just(json!("missing")),
        Just(json!([])),
        Just(json!({})),
        Just(Value::Null),
        any::<i64>().prop_map(|number| json!(number)),
    ]
}

/// Put `with` in the place of the leaf that `pick` falls on.
pub(in crate::cluster) fn replace_leaf(value: &mut Value, pick: &mut usize, with: &Value) -> bool {
    let children: Vec<&mut Value> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ if *pick == 0 => {
            *value = with.clone();
            return true;
        }
        _ => {
            *pick -= 1;
            return false;
        }
    };
    children.into_iter().any(|child| replace_leaf(child, pick, with))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_change_to_a_document_breaks_anything(
        which in 0..7_usize,
        changes in proptest::collection::vec((0..200_usize, strange()), 1..4),
    ) {
        let names = names();
        let mut value: Value = serde_json::from_str(&document(&names[which % names.len()])).unwrap();
        for (pick, with) in changes {
            replace_leaf(&mut value, &mut pick.clone(), &with);
        }
        if let Ok(reading) = NodeReading::parse(value.to_string().as_bytes()) {
            NodeFacts::of(&reading);
        }
    }

    #[test]
    fn no_change_to_its_bytes_breaks_anything(
        which in 0..7_usize,
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let names = names();
        let mut bytes = document(&names[which % names.len()]).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if byte % 2 == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(reading) = NodeReading::parse(&bytes) {
            NodeFacts::of(&reading);
        }
    }
}
