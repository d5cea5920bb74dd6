//! The journal's writer, told by hand what its processes came to.

use super::super::plan::tests::plan;
use super::*;
use crate::events::{Event, EventOrigin, What};
use crate::host::Here;
use crate::tuner::run::tests::gb10;
use crate::worker::script::{EndedScript, ScriptEnd};

const NAME: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
const ENTRY: &str = r#"{"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1, "num_warps": 4, "num_stages": 2}"#;

fn node(name: &str) -> HostName {
    name.parse().unwrap()
}

/// A process that ended well.
fn result(from: &str, batch_size: u32) -> Letter {
    let files = BTreeMap::from([(NAME.to_owned(), format!("{{\"{batch_size}\": {ENTRY}}}"))]);
    let ended = EndedScript { how: ScriptEnd::Exit(0), files, log: String::new() };
    let said = Said::Ended(Attempt::Ended(ended));
    Letter { from: node(from), news: News::Process { batch_size, seconds: 1.0, said } }
}

#[tokio::test]
async fn what_ended_well_while_another_node_s_result_could_not_be_kept_is_kept() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan(&[1, 64]);
    let mut dir = RunOf::start(&parent.path().join("run"), &plan).unwrap();
    // No file can take its place.
    std::fs::create_dir_all(dir.path().join(CHECKPOINTS).join("64.json/full")).unwrap();
    let (voice, mut mailbox) = unbounded_channel();
    let mut queue = Queue::new([1, 64], [node("n1"), node("n2")]);
    assert_eq!(queue.deal().len(), 2);
    let mut work = Tuning {
        plan: &plan,
        expected_file: files::file_name(&plan, &gb10()),
        queue,
        nodes: BTreeMap::new(),
        pauses: BTreeMap::new(),
        reasons: BTreeMap::new(),
        running: 2,
        awaited: 0,
        tuned: BTreeMap::new(),
        told_of_name: false,
        silence: Duration::ZERO,
        voice: voice.clone(),
        stop: CancellationToken::new(),
    };
    for letter in [result("n1", 64), result("n2", 1)] {
        voice.send(letter).unwrap_or_else(|_| panic!("the box is open"));
    }
    let mut heard: Vec<Event> = Vec::new();
    let error = work.carry_out(&mut dir, &mut mailbox, &mut heard).await.unwrap_err();
    assert!(error.to_string().contains("64.json"), "{error}");
    assert_eq!(work.running, 1);
    work.drain(&mut dir, &mut mailbox, &mut heard).await;
    assert_eq!((work.running, work.tuned.keys().copied().collect::<Vec<_>>()), (0, vec![1]));
    let path = dir.path().to_owned();
    drop(dir);
    let resumed = RunOf::<StockRecord>::resume(&path, &plan).unwrap();
    assert_eq!(resumed.records.iter().filter_map(tuned_of).map(|it| it.batch_size).collect::<Vec<_>>(), [1]);
    assert!(path.join(CHECKPOINTS).join("1.json").is_file());
}

#[tokio::test]
async fn every_node_is_said_to_have_left_at_the_end() {
    let parent = tempfile::tempdir().unwrap();
    let (plan, device) = (plan(&[1]), gb10());
    let mut dir = RunOf::start(&parent.path().join("run"), &plan).unwrap();
    let nodes = ["n1", "n2"].map(|name| StockNode {
        name: node(name),
        host: Arc::new(Here::new()),
        python: HostPath::new("/nowhere/python3"),
        place: ScriptPlace::There("/nowhere/x.py".into()),
        variables: Default::default(),
        in_use: None,
    });
    let mut heard: Vec<Event> = Vec::new();
    // Stopped before anything is begun.
    let cancel = CancellationToken::new();
    cancel.cancel();
    let (silence, wait, nodes) = (Duration::from_secs(9), Duration::ZERO, nodes.into());
    let job = StockJob {
        plan: &plan,
        device: &device,
        dir: &mut dir,
        nodes,
        silence,
        wait,
        cancel,
        observer: &mut heard,
    };
    assert!(matches!(run(job).await, Err(RunError::Interrupted)));
    let left = |event: &Event| match (&event.from, &event.what) {
        (EventOrigin::Host(name), What::Node(NodeEvent::Left { how: Left::Drained })) => {
            Some(name.to_string())
        }
        _ => None,
    };
    assert_eq!(heard.iter().filter_map(left).collect::<Vec<_>>(), ["n1", "n2"]);
}

#[test]
fn a_nodes_own_variables_are_set_and_rays_stay_as_they_are() {
    let variables = [("A", "b"), ("RAY_ADDRESS", "head:6379")];
    let node = StockNode {
        name: node("n1"),
        host: Arc::new(Here::new()),
        python: HostPath::new("python3"),
        place: ScriptPlace::There("/x.py".into()),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        in_use: None,
    };
    let order = order(&plan(&[1]), 1, "python3", &node.place, Duration::from_secs(9));
    let order = node.with_variables(order);
    assert_eq!(order.environment["A"].as_deref(), Some("b"));
    assert_eq!(order.environment["RAY_ADDRESS"], None);
}
