use std::path::Path;

use super::*;
use crate::cluster::fabric::{DerivedVariable, ValueOrigin};
use crate::cluster::inventory::Inventory;
use crate::model::Catalogue;
use crate::serving::script;

/// Four Sparks with engines, the head last.
const SPARKS: &str = "name = \"lab\"\nimage = \"a:b\"\nexpect_gpu = \"NVIDIA GB10\"\nenv = { SITE = \"here\" }\n\
    [[nodes]]\nname = \"a\"\nssh = \"a\"\naddress = \"10.0.0.1\"\nfabric = [\"192.168.0.1\"]\n\
    [[nodes]]\nname = \"b\"\nssh = \"b\"\naddress = \"10.0.0.2\"\nfabric = [\"192.168.0.2\"]\n\
    [[nodes]]\nname = \"c\"\nssh = \"c\"\naddress = \"10.0.0.3\"\nfabric = [\"192.168.0.3\"]\n\
    [[nodes]]\nname = \"d\"\nrole = \"head\"\nssh = \"d\"\naddress = \"10.0.0.4\"\nfabric = [\"192.168.0.4\"]\n";

fn recipe(serve: &str) -> ServingRecipe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    let text = format!("id = \"me/model\"\nsources = {{}}\n[serve]\n{serve}");
    std::fs::write(folder.path().join("models/own.toml"), text).unwrap();
    let catalogue = Catalogue::load(Some(folder.path())).unwrap();
    ServingRecipe::of(catalogue.find("me/model").unwrap(), None).unwrap()
}

/// What a test says of the nodes beyond the inventory.
#[derive(Default)]
struct Known {
    derived: Vec<DerivedVariable>,
    gpus: Vec<Option<&'static str>>,
    memory_gb: Option<f64>,
    experts: Option<u32>,
}

fn plan_with(inventory: &str, serve: &str, known: &Known) -> Result<LaunchPlan, PlanError> {
    let inventory = Inventory::parse(Path::new("/lab/sparks.toml"), inventory).unwrap();
    let recipe = recipe(serve);
    let node = |(at, node)| ServingNode {
        node,
        data: None,
        derived: &known.derived,
        gpu: known.gpus.get(at).copied().flatten(),
        memory_gb: known.memory_gb,
    };
    LaunchPlan::of(&PlanRequest {
        recipe: &recipe,
        architecture: None,
        experts: known.experts,
        nodes: inventory.nodes.iter().enumerate().map(node).collect(),
        release: None,
        rules: &Rules::load(None).unwrap(),
        labels: Labels { cluster: "lab".into(), purpose: "serve".into(), ..Labels::default() },
    })
}

fn plan(inventory: &str, serve: &str) -> Result<LaunchPlan, PlanError> {
    plan_with(inventory, serve, &Known::default())
}

/// Each stage with its nodes and what is started or run there.
fn shown(plan: &LaunchPlan) -> Vec<String> {
    let of = |step: &Step| {
        let what = match &step.action {
            Action::Create(spec) => format!("create {}", spec.image),
            Action::Start { role, argv, until } => {
                let until = until.map(|words| format!(" until `{words}`")).unwrap_or_default();
                format!("{role:?}: {}{until}", argv.join(" "))
            }
            Action::AwaitGpus { gpus, .. } => format!("{gpus} GPUs"),
            Action::AwaitReady => "ready".to_owned(),
        };
        format!("{}: {what}", step.node)
    };
    plan.stages.iter().flat_map(|stage| stage.steps.iter().map(of)).collect()
}

#[test]
fn ranks_of_sglang_meet_at_the_heads_data_address_the_last_first() {
    let plan =
        plan(SPARKS, "engine = \"sglang\"\ntp = 2\npp = 2\nserved_name = \"m\"\nport = 4000\n").unwrap();
    let server = |rank| {
        format!(
            "python3 -m sglang.launch_server --model-path me/model --served-model-name m --tp-size 2 --pp-size 2 \
             --nnodes 4 --node-rank {rank} --dist-init-addr 192.168.0.4:50000 --host 0.0.0.0 --port 4000"
        )
    };
    assert_eq!(
        shown(&plan),
        [
            "d: create a:b".to_owned(),
            "a: create a:b".to_owned(),
            "b: create a:b".to_owned(),
            "c: create a:b".to_owned(),
            format!("c: Rank(3): {}", server(3)),
            format!("b: Rank(2): {}", server(2)),
            format!("a: Rank(1): {}", server(1)),
            format!("d: Server: {}", server(0)),
            "d: ready".to_owned(),
        ]
    );
    assert_eq!((plan.base_url.as_str(), plan.served_name.as_str()), ("http://10.0.0.4:4000", "m"));
}

#[test]
fn ray_comes_up_before_what_asks_it_for_gpus() {
    let ray = "tp = 2\nray = { port = 6380 }\n";
    for (engine, server) in [
        (
            "sglang",
            "python3 -m sglang.launch_server --model-path me/model --tp-size 2 --nnodes 2 --use-ray --host 0.0.0.0 \
             --port 30000",
        ),
        (
            "vllm",
            "vllm serve me/model --host 0.0.0.0 --port 8000 --tensor-parallel-size 2 \
             --distributed-executor-backend ray",
        ),
    ] {
        let plan = plan(SPARKS, &format!("engine = \"{engine}\"\n{ray}")).unwrap();
        assert_eq!(
            shown(&plan)[2..],
            [
                "d: RayHead: ray start --node-ip-address=192.168.0.4 --num-gpus=1 --block --head --port=6380 \
                 --dashboard-host=127.0.0.1 until `Ray runtime started.`"
                    .to_owned(),
                "a: RayWorker: ray start --node-ip-address=192.168.0.1 --num-gpus=1 --block \
                 --address=192.168.0.4:6380 until `Ray runtime started.`"
                    .to_owned(),
                "d: 2 GPUs".to_owned(),
                format!("d: Server: {server}"),
                "d: ready".to_owned(),
            ]
        );
        let Action::Create(spec) = &plan.stages[0].steps[1].action else { panic!("no container first") };
        for (name, value) in [
            ("RAY_ADDRESS", "192.168.0.4:6380"),
            ("RAY_AUTH_MODE", "disabled"),
            ("RAY_memory_monitor_refresh_ms", "0"),
        ] {
            let set = ContainerVariable::Set(value.to_owned());
            assert_eq!(spec.environment.get(name), Some(&set), "{name}");
        }
    }
}

#[test]
fn vllm_without_ray_has_ranks_that_listen_to_nobody() {
    let plan = plan(SPARKS, "engine = \"vllm\"\ntp = 2\nep = 2\nrendezvous_port = 3000\n").unwrap();
    let server = |rank| {
        format!(
            "vllm serve me/model --host 0.0.0.0 --port 8000 --tensor-parallel-size 2 --enable-expert-parallel \
             --distributed-executor-backend mp --nnodes 2 --node-rank {rank} --master-addr 192.168.0.4 \
             --master-port 3000"
        )
    };
    assert_eq!(
        shown(&plan)[2..4],
        [format!("a: Rank(1): {} --headless", server(1)), format!("d: Server: {}", server(0))]
    );
}

#[test]
fn one_node_meets_nobody() {
    for engine in ["sglang", "vllm"] {
        let plan = plan(
            "name = \"one\"\nengine = \"none\"\n[[nodes]]\nname = \"a\"\nrole = \"head\"\nlocal = true\n",
            &format!("engine = \"{engine}\"\nray = {{}}\n"),
        )
        .unwrap();
        let shown = shown(&plan).join("\n");
        for word in ["ray", "nnodes", "rank", "addr", "create", "executor"] {
            assert!(!shown.contains(word), "{word}: {shown}");
        }
        assert!(plan.base_url.starts_with("http://localhost:"), "{}", plan.base_url);
    }
}

#[test]
fn speculation_and_parsers_are_each_engines_own() {
    let keys = "tool_call_parser = \"t\"\nreasoning_parser = \"r\"\nspeculative = { method = \"eagle3\", model = \"d/m\", \
                steps = 3, draft_tokens = 8, topk = 2 }\n";
    let of =
        |engine: &str| shown(&plan(SPARKS, &format!("engine = \"{engine}\"\n{keys}")).unwrap())[1].clone();
    let sglang = of("sglang");
    assert!(
        sglang.contains(
            "--speculative-algorithm eagle3 --speculative-draft-model-path d/m --speculative-num-steps 3"
        ) && sglang.contains("--speculative-num-draft-tokens 8 --speculative-eagle-topk 2"),
        "{sglang}"
    );
    let vllm = of("vllm");
    assert!(
        vllm.contains("--enable-auto-tool-choice --tool-call-parser t --reasoning-parser r")
            && vllm.contains(
                r#"--speculative-config {"method":"eagle3","model":"d/m","num_speculative_tokens":8}"#
            ),
        "{vllm}"
    );
}

#[test]
fn of_a_variable_what_is_nearest_the_site_counts() {
    let derived = |name, value: &str| DerivedVariable {
        name,
        value: Some(value.to_owned()),
        reason: String::new(),
        origin: ValueOrigin::Derived,
    };
    let known = Known {
        derived: vec![derived("NCCL_IB_DISABLE", "0"), derived("VLLM_HOST_IP", "192.168.0.9")],
        gpus: vec![Some("NVIDIA Thor"), None, None, Some("NVIDIA GB10")],
        ..Known::default()
    };
    let serve = "engine = \"sglang\"\ntp = 2\nneeds_token = true\nenvironment = { SITE = \"recipe\", OF = \"recipe\" }\n";
    let plan = plan_with(SPARKS, serve, &known).unwrap();
    let Action::Create(spec) = &plan.stages[0].steps[0].action else { panic!("no container first") };
    let value = |name: &str| match spec.environment.get(name) {
        Some(ContainerVariable::Set(value)) => value.as_str(),
        Some(ContainerVariable::FromHarness) => "from here",
        None => "none",
    };
    // What the node says, a rule over it; the recipe, the inventory over it.
    assert_eq!(
        ["VLLM_HOST_IP", "NCCL_IB_DISABLE", "OF", "SITE", "HF_TOKEN"].map(value),
        ["192.168.0.9", "1", "recipe", "here", "from here"]
    );
    let rules: Vec<&str> = plan.notices.iter().map(|notice| notice.rule.as_str()).collect();
    // Of a release that nobody knows, what old ones need is added too.
    assert_eq!(rules, ["cuda-graphs-across-nodes", "sockets-where-gpus-differ"]);
}

#[test]
fn what_cannot_be_is_refused_with_the_figures() {
    let error = |serve: &str, known: &Known| plan_with(SPARKS, serve, known).unwrap_err().to_string();
    let nothing = Known::default();
    assert_eq!(
        error("engine = \"vllm\"\ntp = 4\npp = 2\n", &nothing),
        "me/model with tp 4 pp 2 takes 8 nodes, one GPU each, and there are 4"
    );
    let attention = "attention = { layers = 10, heads = 30, kv_heads = 5, head_dim = 100 }\n";
    assert_eq!(
        error(&format!("engine = \"vllm\"\ntp = 4\n{attention}"), &nothing),
        "me/model: its 30 attention heads cannot be split over tp = 4"
    );
    assert_eq!(
        error(&format!("engine = \"vllm\"\ntp = 3\n{attention}"), &nothing),
        "me/model: its 5 key-value heads cannot be split over tp = 3"
    );
    let nine = Known { experts: Some(9), ..Known::default() };
    assert_eq!(
        error("engine = \"vllm\"\ntp = 2\nep = 2\n", &nine),
        "me/model: its 9 experts cannot be split over ep = 2"
    );
    let small = Known { memory_gb: Some(100.0), ..Known::default() };
    let fits = format!("engine = \"vllm\"\ntp = 2\nweights_gb = 180\nmemory_fraction = 0.9\n{attention}");
    let fits = fits.replace("heads = 30, kv_heads = 5", "heads = 30, kv_heads = 2");
    assert!(plan_with(SPARKS, &fits, &small).is_ok());
    // 10 layers x 2 x 1 head x 100 values x 2 bytes: 4 kB a token.
    assert_eq!(
        error(&format!("{fits}context_length = 1000000\n"), &small),
        "me/model with tp 2 and a context of 1000000 tokens does not go into memory\n  d: 90.0 GB of weights + 4.0 GB \
         of cache, and 90.0 GB may be taken\n  a: 90.0 GB of weights + 4.0 GB of cache, and 90.0 GB may be taken"
    );
    // The fraction says nothing once the cache has its own.
    assert!(
        plan_with(
            SPARKS,
            &format!("{fits}kv_cache_memory = \"1m\"\n").replace("0.9", "0.05").replace("180", "170"),
            &small
        )
        .is_ok()
    );

    let nowhere = "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"a\"\nrole = \"head\"\nssh = \"a\"\n\
                   [[nodes]]\nname = \"b\"\nssh = \"b\"\n";
    let error = plan(nowhere, "engine = \"vllm\"\ntp = 2\n").unwrap_err().to_string();
    assert!(error.starts_with("a: its inventory has neither `fabric` nor an IP address"), "{error}");
    let error = plan(SPARKS, "engine = \"vllm\"\nwaive = [\"no-such\"]\n").unwrap_err().to_string();
    assert!(
        error.starts_with("recipe of me/model, field `serve.waive`: there is no rule `no-such`; there"),
        "{error}"
    );
    let refused = "engine = \"sglang\"\nversion = \"0.5.9\"\nray = {}\ntp = 2\n";
    let error = plan(SPARKS, refused).unwrap_err().to_string();
    assert!(
        error.starts_with("there is no --use-ray yet") && error.contains("rule `ray-before-it"),
        "{error}"
    );
}

#[test]
fn many_nodes_have_a_rank_each() {
    let node = |at: usize| {
        let role = if at == 0 { "role = \"head\"\n" } else { "" };
        format!("[[nodes]]\nname = \"n{at}\"\n{role}ssh = \"n{at}\"\nfabric = [\"10.1.0.{at}\"]\n")
    };
    let inventory = format!("name = \"many\"\nimage = \"a:b\"\n{}", (0..64).map(node).collect::<String>());
    let plan = plan(&inventory, "engine = \"sglang\"\ntp = 64\n").unwrap();
    assert_eq!(plan.stages[1].steps.len(), 63);
    assert_eq!(script(&plan, |_, line| line).iter().filter(|line| line.contains("--node-rank")).count(), 64);
}
