//! Inventories as people write them: what they come to, and every way to be wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::failure::{Failure, Kind};
use crate::host::container_spec::{ContainerVariable, Gpus, Labels, NodePath};
use crate::host::ssh::SshDestination;
use crate::host::{EngineKind, HostPath};

fn of(text: &str) -> Result<Inventory, InventoryError> {
    Inventory::parse(Path::new("lab/sparks.toml"), text)
}

const TWO: &str = r#"
name = "lab"
image = "lmsysorg/sglang:spark"
env_from = ["HF_TOKEN"]
[container]
ulimits = { memlock = -1 }
devices = ["/dev/infiniband"]
gpus = "all"
[env]
NCCL_DEBUG = "WARN"
NCCL_IB_HCA = "rocep1s0f1"
[[nodes]]
name = "a"
role = "head"
address = "192.168.1.1"
fabric = ["192.168.100.1", "192.168.101.1"]
local = true
[[nodes]]
name = "b"
ssh = "me@b"
"#;

/// [`TWO`] with lines of the second node's own.
fn second(lines: &str) -> String {
    format!("{TWO}{lines}\n")
}

fn labels() -> Labels {
    Labels { cluster: "lab".into(), purpose: "tune".into(), owner: "me".into(), ..Labels::default() }
}

#[test]
fn what_a_file_leaves_out_is_as_always() {
    let lab = of(TWO).unwrap();
    assert_eq!(lab.name, "lab");
    let [a, b] = &lab.nodes[..] else { panic!("{:?}", lab.nodes) };
    assert_eq!((a.role, b.role), (NodeRole::Head, NodeRole::Worker));
    assert_eq!(a.address, Some("192.168.1.1".parse().unwrap()));
    assert_eq!(a.fabric.len(), 2);
    assert_eq!(a.reach, Reach { login: Some(Login::Local), engine: EngineAt::Usual });
    assert_eq!((b.address.as_ref(), b.fabric.len()), (None, 0));
    let spec = b.settings.container(labels()).unwrap();
    assert_eq!(b.settings.engine(), Some(EngineKind::Docker));
    assert_eq!(
        (spec.name.as_str(), spec.network.as_str(), spec.gpus),
        ("sparktune-lab-tune", "host", Gpus::All)
    );
    assert_eq!(spec.command, ["sleep", "infinity"]);
    assert_eq!(spec.environment["HF_TOKEN"], ContainerVariable::FromHarness);
}

#[test]
fn the_config_of_ssh_is_in_the_inventorys_folder_or_at_home() {
    let with = |value: &str| TWO.replacen("image =", &format!("ssh_config = {value}\nimage ="), 1);
    assert_eq!(of(TWO).unwrap().ssh_config, None);
    for (value, path) in
        [("ssh/config", "lab/ssh/config"), ("/etc/lab/ssh", "/etc/lab/ssh"), ("~/lab/ssh", "~/lab/ssh")]
    {
        let found = of(&with(&format!("\"{value}\""))).unwrap().ssh_config;
        assert_eq!(found.as_deref(), Some(Path::new(path)), "{value}");
    }
    for value in ["", "~", "~/", "~me/config", "a\\u0000b"] {
        let words = ["field `ssh_config`, line 3", "no file of this machine", "`~/`"];
        refused(&with(&format!("\"{value}\"")), &words);
    }
    refused(&with("7"), &["field `ssh_config`, line 3", "expected"]);
    refused(&second("ssh_config = \"x\""), &["unknown field `ssh_config`"]);
}

#[test]
fn what_a_node_sets_takes_the_place_of_the_clusters() {
    let own = r#"
image = "other:1"
engine = "podman"
expect_gpu = "NVIDIA Thor"
env_from = ["NCCL_IB_HCA"]
[nodes.env]
NCCL_DEBUG = "INFO"
UCX_NET_DEVICES = "eth0"
HF_TOKEN = ""
[nodes.container]
name = "sglang"
network = "bridge"
ipc = "private"
gpus = "none"
ulimits = { stack = "1:2" }
shm_size = "1g"
devices = []
cap_add = ["IPC_LOCK"]
volumes = ["/raid:/raid"]
entrypoint = ["/bin/tini"]
command = []
restart = "always"
"#;
    let lab = of(&second(own)).unwrap();
    let cluster = of(TWO).unwrap();
    assert_eq!(lab.nodes[0].settings, cluster.nodes[0].settings, "the other node is as it was");
    let settings = &lab.nodes[1].settings;
    assert_eq!((settings.engine(), settings.expect_gpu()), (Some(EngineKind::Podman), Some("NVIDIA Thor")));
    let set = |text: &str| ContainerVariable::Set(text.to_owned());
    let environment: BTreeMap<&str, ContainerVariable> =
        settings.environment().iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let expected = [
        ("HF_TOKEN", set("")),
        ("NCCL_DEBUG", set("INFO")),
        ("NCCL_IB_HCA", ContainerVariable::FromHarness),
        ("UCX_NET_DEVICES", set("eth0")),
    ];
    assert_eq!(environment, BTreeMap::from(expected), "each variable for itself");
    let spec = settings.container(labels()).unwrap();
    let line = spec.run_line(EngineKind::Podman).to_string();
    let begin = "podman run --detach --name sglang --network bridge --ipc private --ulimit 'stack=1:2' --shm-size 1g \
                 --cap-add IPC_LOCK --volume /raid:/raid --env 'HF_TOKEN=' --env 'NCCL_DEBUG=INFO' --env NCCL_IB_HCA \
                 --env 'UCX_NET_DEVICES=eth0' --restart always --label ";
    assert!(line.starts_with(begin), "{line}");
    assert!(line.ends_with(" --entrypoint /bin/tini other:1"), "{line}");
}

#[test]
fn programs_without_a_container_have_a_virtual_environment() {
    let lab = of(&second("engine = \"none\"\nbare = { virtualenv = \"~/sglang/.sglang\" }")).unwrap();
    let settings = &lab.nodes[1].settings;
    assert_eq!((settings.engine(), settings.image(), settings.container(labels())), (None, None, None));
    let home = HostPath::new("/home/me");
    assert_eq!(
        settings.virtualenv().map(|path| path.on(&home)),
        Some(HostPath::new("/home/me/sglang/.sglang"))
    );
    assert!(matches!(settings.virtualenv(), Some(NodePath::Home(_))));
    assert_eq!(lab.nodes[0].settings.virtualenv(), None);
}

#[test]
fn nodes_are_reached_in_these_ways() {
    let way = |lines: &str| {
        let text = TWO.replace("ssh = \"me@b\"", lines);
        let reach = of(&text).unwrap_or_else(|error| panic!("{lines}: {error}")).nodes[1].reach.clone();
        (reach.login, reach.engine)
    };
    let ssh = |user: Option<&str>, host: &str, port| {
        Some(Login::Ssh(SshDestination::new(user, host, port).unwrap().into()))
    };
    let socket = |path: &str| EngineAt::Socket(HostPath::new(path));
    assert_eq!(way("ssh = \"b\""), (ssh(None, "b", None), EngineAt::Usual));
    assert_eq!(way("ssh = \"me@b\"\nssh_port = 2222"), (ssh(Some("me"), "b", Some(2222)), EngineAt::Usual));
    let both = way("ssh = \"b\"\nengine_url = \"unix:///run/n2.sock\"");
    assert_eq!(both, (ssh(None, "b", None), socket("/run/n2.sock")));
    assert_eq!(way("engine_url = \"unix:///run/n2.sock\""), (Some(Login::Local), socket("/run/n2.sock")));
    let podman = way("engine_url = \"ssh://me@b:22/run/podman/podman.sock\"");
    assert_eq!(podman, (ssh(Some("me"), "b", Some(22)), socket("/run/podman/podman.sock")));
    assert_eq!(way("engine_url = \"ssh://b\""), (ssh(None, "b", None), EngineAt::Usual));
    let tls = TlsFiles {
        ca: PathBuf::from("lab/tls/ca.pem"),
        cert: PathBuf::from("/etc/cert.pem"),
        key: PathBuf::from("lab/key.pem"),
    };
    let tcp = EngineAt::Tcp { host: "10.0.0.2".parse().unwrap(), port: 2376, tls };
    let files = "tls = { ca = \"tls/ca.pem\", cert = \"/etc/cert.pem\", key = \"key.pem\" }";
    assert_eq!(way(&format!("engine_url = \"tcp://10.0.0.2\"\n{files}")), (None, tcp.clone()));
    let with_login = way(&format!("ssh = \"b\"\nengine_url = \"tcp://10.0.0.2\"\n{files}"));
    assert_eq!(with_login, (ssh(None, "b", None), tcp));
}

/// `text` is refused with exit code 2, the file and all of `words` in the message.
#[track_caller]
fn refused(text: &str, words: &[&str]) -> String {
    let error = of(text).expect_err(text);
    assert_eq!(error.kind(), Kind::Input);
    let message = error.to_string();
    for word in ["lab/sparks.toml"].iter().chain(words) {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert!(!message.contains('\n') && !message.contains("hush"), "{message}");
    message
}

#[test]
fn addresses_that_need_an_interface_are_refused() {
    for (line, field) in [
        ("fabric = [\"10.9.0.1\", \"fe80::1\"]", "field `nodes[1].fabric[1]`, line "),
        ("address = \"fe80::1\"", "field `nodes[1].address`, line "),
    ] {
        let text = TWO.replace("ssh = \"me@b\"", &format!("ssh = \"me@fe80::1%eth0\"\n{line}"));
        refused(&text, &[field, "`fe80::1` is link-local", "`fd00::1`"]);
    }
    let text = TWO.replace("ssh = \"me@b\"", "ssh = \"me@fe80::1%eth0\"\nfabric = [\"fd00::1\"]");
    assert_eq!(of(&text).unwrap().nodes[1].fabric, ["fd00::1".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn a_file_without_a_cluster() {
    for empty in ["", "\n \n", "# nothing yet\n"] {
        refused(empty, &["says nothing", "`name`", "`[[nodes]]`"]);
    }
    refused("name = \"lab\"\nimage = \"a\"\n", &["field `nodes`", "there is none", "`[[nodes]]`"]);
    refused("name = \"lab\"\nnodes = []\n", &["field `nodes`, line 2", "there is none"]);
    refused("image = \"a\"\n[[nodes]]\nname = \"a\"\n", &["top level", "missing field `name`"]);
    refused("name = \n", &["line 1"]);
    refused("{}", &["line 1"]);
}

#[test]
fn exactly_one_head() {
    refused(
        &TWO.replace("role = \"head\"", ""),
        &["field `nodes`", "no node is the head", "role = \"head\""],
    );
    refused(&second("role = \"head\""), &["field `nodes[1].role`, line 21", "`a` is the head already"]);
    refused(&second("role = \"master\""), &["nodes[1].role", "line 21", "`master`", "`head`", "`worker`"]);
}

#[test]
fn keys_that_nobody_knows_and_values_that_cannot_be() {
    for (lines, words) in [
        ("adress = \"10.0.0.1\"", &["line 21", "unknown field `adress` (did you mean `address`?)"][..]),
        ("[nodes.container]\nshmsize = \"1g\"", &["line 22", "`shmsize` (did you mean `shm_size`?)"]),
        ("[nodes.bare]\nvenv = \"/a\"", &["line 22", "`venv`", "`virtualenv`"]),
        (
            "address = \"10.0.0.256\"",
            &["`nodes[1].address`", "line 21", "`10.0.0.256`", "IP address or a host name"],
        ),
        ("address = \"10.0.0.1:22\"", &["`nodes[1].address`", "without port"]),
        (
            "fabric = [\"10.0.0.9\", \"spark-b\"]",
            &["`nodes[1].fabric[1]`, line 21", "`spark-b` is no IP address"],
        ),
        ("fabric = \"10.0.0.9\"", &["`nodes[1].fabric`", "expected a sequence"]),
        ("ssh_port = 70000", &["`nodes[1].ssh_port`", "from 0 to 65535"]),
        ("ssh_port = 0", &["`nodes[1].ssh_port`, line 21", "from 1 to 65535"]),
        ("image = \"\"", &["`nodes[1].image`", "`` is no image", "lmsysorg/sglang:spark"]),
        ("image = \"-v\"", &["`nodes[1].image`", "`-v` is no image"]),
        ("image = \"a b\"", &["`nodes[1].image`", "`a b`"]),
        ("engine = \"containerd\"", &["`nodes[1].engine`", "`containerd`", "`docker`", "`podman`", "`none`"]),
        ("expect_gpu = \" \"", &["`nodes[1].expect_gpu`", "NVIDIA GB10"]),
        ("env = { \"1A\" = \"x\" }", &["`nodes[1].env.1A`, line 21", "no name of a variable"]),
        ("env = { A = 1 }", &["`nodes[1].env.A`", "expected a string"]),
        ("env = { A = \"\\u0000\" }", &["`nodes[1].env.A`", "zero byte"]),
        ("env_from = [\"A=B\"]", &["`nodes[1].env_from[0]`", "no name of a variable"]),
        ("env_from = [\"A\", \"A\"]", &["`nodes[1].env_from[1]`", "named twice"]),
        ("env_from = [\"A\"]\nenv = { A = \"x\" }", &["`nodes[1].env_from[0]`", "`env` has A too"]),
        (
            "[nodes.container]\nname = \"-x\"",
            &["`nodes[1].container.name`, line 22", "`-x` is no name of a container"],
        ),
        ("[nodes.container]\nnetwork = \"a b\"", &["`nodes[1].container.network`", "`a b` is no network"]),
        ("[nodes.container]\nipc = \"yes\"", &["`nodes[1].container.ipc`", "`yes`", "`host`", "`private`"]),
        (
            "[nodes.container]\ngpus = \"one\"",
            &["`nodes[1].container.gpus`", "`one`", "`all`", "`cdi`", "`none`"],
        ),
        (
            "[nodes.container]\nulimits = { memlok = 1 }",
            &["container.ulimits.memlok`, line 22", "did you mean `memlock`?"],
        ),
        (
            "[nodes.container]\nulimits = { memlock = -2 }",
            &["container.ulimits.memlock`", "`-2`", "SOFT:HARD"],
        ),
        ("[nodes.container]\nulimits = { memlock = \"2:1\" }", &["container.ulimits.memlock`", "`2:1`"]),
        ("[nodes.container]\nulimits = { memlock = 1.5 }", &["container.ulimits.memlock`", "SOFT:HARD"]),
        (
            "[nodes.container]\nshm_size = \"16 gigs\"",
            &["container.shm_size`", "`16 gigs` is no size", "`16g`"],
        ),
        ("[nodes.container]\nshm_size = \"0\"", &["container.shm_size`", "`0` is no size"]),
        (
            "[nodes.container]\ndevices = [\"infiniband\"]",
            &["container.devices[0]`", "`infiniband` is no device"],
        ),
        (
            "[nodes.container]\ncap_add = [\"ipc lock\"]",
            &["container.cap_add[0]`", "`ipc lock` is no capability"],
        ),
        (
            "[nodes.container]\nvolumes = [\"./cache:/c\"]",
            &["container.volumes[0]`", "`./cache:/c`", "absolute path", "`~/`"],
        ),
        ("[nodes.container]\nvolumes = [\"cache:/c\"]", &["container.volumes[0]`", "`cache:/c`"]),
        ("[nodes.container]\nvolumes = [\"/a:c\"]", &["container.volumes[0]`", "`/a:c`"]),
        (
            "[nodes.container]\nvolumes = [\"/a:/c\", \"/b:/c\"]",
            &["container.volumes[1]`", "the target `/c` already"],
        ),
        ("[nodes.container]\ncommand = \"sleep infinity\"", &["container.command`", "expected a sequence"]),
        ("[nodes.container]\ncommand = [\"\\u0000\"]", &["container.command[0]`", "zero byte"]),
        ("[nodes.container]\nrestart = \"maybe\"", &["container.restart`", "`maybe`", "`unless-stopped`"]),
        ("[nodes.bare]\nvirtualenv = \"venv\"", &["bare.virtualenv`", "`venv` is no path of a node"]),
    ] {
        refused(&second(lines), words);
    }
    refused(
        &TWO.replace("\"lab\"", "\"my lab\""),
        &["field `name`, line 2", "`my lab` is no name of a cluster"],
    );
    refused(&TWO.replace("name = \"b\"", "name = \"b c\""), &["`nodes[1].name`", "`b c` is no host name"]);
    let misspelt = TWO.replace("image =", "imgae =");
    refused(&misspelt, &["line 3", "unknown field `imgae` (did you mean `image`?)"]);
}

#[test]
fn what_stands_there_and_nothing_reads() {
    for (lines, words) in [
        ("engine = \"none\"\nimage = \"x\"", &["`nodes[1].image`, line 22", "no container"][..]),
        ("engine = \"none\"\n[nodes.container]\ngpus = \"all\"", &["`nodes[1].container`", "no container"]),
        ("bare = { virtualenv = \"/a\" }", &["`nodes[1].bare`", "engine = \"none\""]),
        ("engine = \"none\"\nengine_url = \"unix:///a\"", &["`nodes[1].engine_url`", "`none`"]),
        ("tls = { ca = \"a\", cert = \"b\", key = \"c\" }", &["`nodes[1].tls`", "`tcp://`"]),
    ] {
        refused(&second(lines), words);
    }
    refused(&TWO.replace("image = \"lmsysorg/sglang:spark\"", ""), &["`nodes[0].image`", "no image"]);
}

#[test]
fn names_addresses_and_ways_are_each_nodes_own() {
    refused(
        &TWO.replace("name = \"b\"", "name = \"A\""),
        &["`nodes[1].name`, line 19", "nodes[0] is called `A` too"],
    );
    for lines in ["address = \"192.168.1.1\"", "address = \"192.168.100.1\"", "fabric = [\"192.168.1.1\"]"] {
        refused(&second(lines), &["`nodes[1].", "line 21", "is an address of `a` too"]);
    }
    // One network for both is a node's own affair.
    of(&second("address = \"10.0.0.2\"\nfabric = [\"10.0.0.2\"]")).unwrap();
    refused(
        &second("fabric = [\"10.0.0.2\", \"10.0.0.2\"]"),
        &["`nodes[1].fabric[1]`", "`10.0.0.2` stands there twice"],
    );
    refused(&TWO.replace("ssh = \"me@b\"", "local = true"), &["`nodes[1]`", "it is reached as `a` is"]);
}

#[test]
fn a_loopback_is_nobodys_address_to_others() {
    for address in ["127.0.0.1", "localhost", "::1"] {
        let text = TWO.replace("address = \"192.168.1.1\"", &format!("address = \"{address}\""));
        refused(&text, &["`nodes[0].address`, line 15", &format!("`{address}` is themselves")]);
    }
    let fabric = TWO.replace("\"192.168.101.1\"", "\"127.0.0.1\"");
    refused(&fabric, &["`nodes[0].fabric[1]`, line 16", "themselves"]);
    // Alone it may be.
    let alone = fabric.split("[[nodes]]\nname = \"b\"").next().unwrap();
    of(alone).unwrap();
}

#[test]
fn ways_that_lead_nowhere() {
    let tls = "tls = { ca = \"a\", cert = \"b\", key = \"c\" }";
    for (lines, words) in [
        (
            "",
            &["`nodes[1]`, line 18", "no way to reach it", "ssh = \"HOST\"", "local = true", "engine_url"][..],
        ),
        ("address = \"10.0.0.2\"", &["`nodes[1]`", "no way to reach it"]),
        ("local = false", &["`nodes[1]`", "no way to reach it"]),
        ("local = true\nssh = \"b\"", &["`nodes[1].ssh`, line 21", "this machine", "one of the two"]),
        ("ssh = \"-oProxyCommand=x\"", &["`nodes[1].ssh`, line 20", "`USER@HOST`"]),
        ("ssh_port = 22", &["`nodes[1].ssh_port`", "with `ssh`"]),
        ("ssh = \"ssh://b:22\"\nssh_port = 22", &["`nodes[1].ssh_port`", "has a port already"]),
        (
            "engine_url = \"http://b:2375\"",
            &["`nodes[1].engine_url`, line 20", "`unix:///PATH`", "`ssh://", "`tcp://"],
        ),
        ("engine_url = \"unix://run/a\"", &["`nodes[1].engine_url`", "`unix:///PATH`"]),
        ("ssh = \"b\"\nengine_url = \"ssh://b\"", &["`nodes[1].engine_url`, line 21", "one of them"]),
        ("engine_url = \"tcp://b\"", &["`nodes[1].engine_url`", "without TLS", "tls = {"]),
        // Passwords are not repeated.
        ("ssh = \"me:hush@b\"", &["`nodes[1].ssh`", "password", "use keys"]),
        ("engine_url = \"ssh://me:hush@b\"", &["`nodes[1].engine_url`, line 20", "password", "use keys"]),
        ("engine_url = \"tcp://me:hush@b\"", &["`nodes[1].engine_url`", "password", "use keys"]),
        // Nor where the text is no TOML, or of another form than it should have.
        ("engine_url = tcp://me:hush@b", &["line 20"]),
        ("engine_url = [\"tcp://me:hush@b\"]", &["`nodes[1].engine_url`, line 20", "expected a string"]),
        ("env_from = \"hush\"", &["`nodes[1].env_from`, line 20", "expected a sequence"]),
        ("tls = \"tcp://me:hush@b\"", &["`nodes[1].tls`, line 20"]),
    ] {
        refused(&TWO.replace("ssh = \"me@b\"", lines), words);
    }
    let tcp = format!("engine_url = \"tcp://b\"\n{tls}");
    for (was, now) in [("ca = \"a\"", "ca = \"\""), ("key = \"c\"", "key = \"~/c\"")] {
        let text = TWO.replace("ssh = \"me@b\"", &tcp.replace(was, now));
        refused(&text, &["`nodes[1].tls.", "line 21", "no file of this machine"]);
    }
    refused(
        &TWO.replace("ssh = \"me@b\"", "engine_url = \"tcp://b\"\ntls = { ca = \"a\" }"),
        &["tls", "missing field"],
    );
}

#[test]
fn secrets_are_taken_from_where_the_program_runs() {
    for name in ["HF_TOKEN", "VLLM_API_KEY"] {
        let words = [&format!("`nodes[1].env.{name}`, line 21")[..], "looks like a secret", "env_from"];
        let message = refused(&second(&format!("env = {{ {name} = \"hush\" }}")), &words);
        assert!(message.contains(&format!("env_from = [\"{name}\"]")), "{message}");
    }
    let cluster = TWO.replace("[env]\n", "[env]\nWHATEVER = \"hf_hush\"\n");
    refused(&cluster, &["`env.WHATEVER`, line 10", "looks like a secret"]);
}

#[test]
fn five_hundred_nodes_are_read_at_once() {
    let mut text = "name = \"lab\"\nimage = \"a\"\n".to_owned();
    for at in 0..500 {
        let (high, low) = (at / 250, at % 250);
        let role = if at == 0 { "head" } else { "worker" };
        text += &format!(
            "[[nodes]]\nname = \"n{at}\"\nrole = \"{role}\"\nssh = \"n{at}\"\naddress = \"10.0.{high}.{low}\"\n\
             fabric = [\"10.1.{high}.{low}\"]\n[nodes.env]\nNCCL_IB_HCA = \"rocep1s0f{at}\"\n"
        );
    }
    // 0.0 ends no address here that anybody else has.
    let begun = Instant::now();
    assert_eq!(of(&text).unwrap().nodes.len(), 500);
    // Quadratic work would take much longer, in a debug build on a busy machine too.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let twice = text.replace("\"10.1.1.249\"", "\"10.1.1.248\"");
    refused(&twice, &["`nodes[499].fabric[0]`", "is an address of `n498` too"]);
}

#[test]
fn this_machine_alone_is_a_cluster_too() {
    let here = Inventory::this_machine();
    let [node] = &here.nodes[..] else { panic!("{here:?}") };
    assert_eq!((node.role, node.settings.engine()), (NodeRole::Head, None));
    assert_eq!(node.reach.login, Some(Login::Local));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_is_cut_or_replaced_is_an_inventory_or_an_error(
        from in 0..TWO.len(), length in 0..20usize, with in "[\\[\\]{}=\"\n a-z0-9.\u{e4}]{0,4}",
    ) {
        let mut text = TWO.to_owned();
        text.replace_range(from..TWO.len().min(from + length), &with);
        if let Err(error) = of(&text) {
            prop_assert!(error.to_string().contains("lab/sparks.toml"));
        }
    }
}
