//! Nodes that come late: they wait for their GPUs, or were out of reach for a while.

use tokio::time::{Instant, sleep};

use super::*;
use crate::events::{EventOrigin, NodeEvent, Observer};

/// Is ready after a while, or is not, and then as the node within.
struct Late {
    after: Duration,
    ready: fn() -> Result<(), Trouble>,
    node: Box<dyn Executor>,
}

impl Executor for Late {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        self.node.compile(batch, on_result)
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        self.node.time(request)
    }

    fn ready<'a>(
        &'a mut self,
        _tell: &'a mut (dyn FnMut(String) + Send),
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async {
            sleep(self.after).await;
            (self.ready)()
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.node.close()
    }
}

fn in_use() -> Result<(), Trouble> {
    let (code, message) = ("gpu_in_use".to_owned(), "others compute on it".to_owned());
    Err(Trouble::Unfit(WorkerError::Refused { code, message }))
}

/// Events, each with the second it came in.
struct Heard {
    began: Instant,
    events: Vec<(u64, Event)>,
}

impl Observer for Heard {
    fn on(&mut self, event: &Event) {
        self.events.push((self.began.elapsed().as_secs(), event.clone()));
    }
}

impl Heard {
    /// When `node` said each thing that `is` so.
    fn when(&self, node: &str, is: impl Fn(&What) -> bool) -> Vec<u64> {
        let from = EventOrigin::Host(node.parse().unwrap());
        let said = self.events.iter().filter(|(_, event)| event.from == from && is(&event.what));
        said.map(|(at, _)| *at).collect()
    }

    fn notes(&self) -> String {
        let note = |(_, event): &(u64, Event)| match &event.what {
            What::Note { text } => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(note).collect::<Vec<_>>().join("\n")
    }
}

fn is_work(what: &What) -> bool {
    matches!(what, What::Compile(_) | What::Measure(_))
}

/// Run `plan` on `nodes`: what was heard, and by how many nodes each entry was confirmed.
async fn run_on(plan: &Plan, nodes: Vec<Node>) -> (Heard, Vec<u32>, Vec<Record>) {
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), plan).unwrap();
    let mut heard = Heard { began: Instant::now(), events: Vec::new() };
    let (device, cancel, limits) = (gb10(), CancellationToken::new(), Limits::default());
    let job = RunJob { plan, device: &device, dir: &mut open, nodes, limits, cancel, observer: &mut heard };
    let finished = run(job).await.unwrap();
    let confirmed = confirmed_on_one(&mut written(dir.path(), &finished));
    drop(open);
    answers_fit(dir.path());
    (heard, confirmed, records(dir.path()))
}

fn waiting(plan: &Plan, name: &str, ready: fn() -> Result<(), Trouble>) -> Node {
    let node = Scripted::node(plan, name, Vec::new());
    let late = Late { after: Duration::from_secs(600), ready, node: node.executor };
    Node { waits: Some("others compute on it".into()), executor: Box::new(late), ..node }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_waits_for_its_gpu_holds_up_no_other_and_works_once_it_is_free() {
    let plan = confirmed();
    let nodes = vec![waiting(&plan, "spark-1", well), Scripted::node(&plan, "spark-2", Vec::new())];
    let (heard, confirmed, _) = run_on(&plan, nodes).await;
    let is_wait = |what: &What| matches!(what, What::Node(NodeEvent::Waiting { .. }));
    let is_arrival = |what: &What| matches!(what, What::Node(NodeEvent::Joined { .. }));
    assert_eq!((heard.when("spark-1", is_wait), heard.when("spark-1", is_arrival)), (vec![0], vec![600]));
    // All that one node can do by itself is done by then; the second word is asked of the one that waited.
    assert!(heard.when("spark-2", is_work).iter().all(|at| *at == 0));
    assert!(heard.when("spark-1", is_work).iter().all(|at| *at == 600));
    assert!(!confirmed.is_empty() && confirmed.iter().all(|nodes| *nodes == 2), "{confirmed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_waited_in_vain_is_named_and_the_others_did_it_all() {
    let plan = confirmed();
    let nodes = vec![waiting(&plan, "spark-1", in_use), Scripted::node(&plan, "spark-2", Vec::new())];
    let (heard, confirmed, records) = run_on(&plan, nodes).await;
    assert!(
        heard.notes().contains("spark-1 takes no part in this run: others compute on it"),
        "{}",
        heard.notes()
    );
    assert!(!confirmed.is_empty() && confirmed.iter().all(|nodes| *nodes == 1), "{confirmed:?}");
    let of_it = |record: &Record| matches!(record, Record::Joined { node, .. } | Record::Left { node, .. } if node.as_str() == "spark-1");
    assert!(!records.iter().any(of_it), "it never was there");
}

/// Works for long enough that others may come back meanwhile.
fn slow(plan: &Plan) -> Node {
    sixty_four(plan, 5, 0.0, &Arc::default()).swap_remove(0)
}

/// Given up after pauses of one, two and four seconds, and looked for eight seconds later: while it compiles, and while it
/// times.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_given_up_as_lost_takes_part_again_once_it_answers() {
    let plan = Plan { batch_sizes: vec![16, 64, 96, 4096], ..confirmed() };
    for well_for in [0, 3, 12] {
        let ends = [vec![well as fn() -> _; well_for], vec![lost; 4]].concat();
        let back = Scripted::node(&plan, "spark-1", ends);
        let (heard, confirmed, records) = run_on(&plan, vec![back, slow(&plan)]).await;
        let told = "spark-1 is out of reach, and works for this run again once it answers: ";
        assert!(heard.notes().contains(told), "well for {well_for}: {}", heard.notes());
        let is_arrival = |what: &What| matches!(what, What::Node(NodeEvent::Joined { .. }));
        let arrivals = heard.when("spark-1", is_arrival);
        let since = arrivals[1] - 1;
        assert_eq!(arrivals[1..], [1, 3, 7, 15].map(|at| since + at), "well for {well_for}");
        let worked = heard.when("spark-1", is_work);
        assert!(worked.iter().any(|at| *at >= arrivals[4]), "well for {well_for}: {worked:?}");
        assert!(
            worked.iter().all(|at| *at <= since || *at >= arrivals[4]),
            "well for {well_for}: {worked:?}"
        );
        assert!(!confirmed.is_empty() && confirmed.iter().all(|nodes| *nodes == 2), "{confirmed:?}");
        let joined =
            |record: &&Record| matches!(record, Record::Joined { node, .. } if node.as_str() == "spark-1");
        assert_eq!(records.iter().filter(joined).count(), 5);
    }
}

/// It answers whenever it is looked for, and is lost with whatever it is given.
#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_and_never_works_is_given_up_for_good() {
    let plan = Plan { batch_sizes: STANDARD_BATCH_SIZES.to_vec(), ..confirmed() };
    let lossy = Scripted::node(&plan, "spark-1", vec![lost; 1000]);
    let (heard, _, records) = run_on(&plan, vec![lossy, slow(&plan)]).await;
    assert!(heard.when("spark-1", is_work).is_empty());
    let left = |record: &&Record| matches!(record, Record::Left { node, how: Left::Lost { .. } } if node.as_str() == "spark-1");
    // Four losses before it is looked for, and as many after each of three returns.
    assert_eq!(records.iter().filter(left).count(), 16);
    assert!(heard.notes().contains("spark-1 works no more for this run: "), "{}", heard.notes());
}

/// It answers again, and not as one that can work for the run.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_found_and_cannot_work_is_named() {
    let plan = Plan { batch_sizes: vec![16, 64, 96, 4096], ..confirmed() };
    let node = Scripted::node(&plan, "spark-1", vec![lost; 4]);
    let late = Late { after: Duration::ZERO, ready: in_use, node: node.executor };
    let nodes = vec![Node { executor: Box::new(late), ..node }, slow(&plan)];
    let (heard, _, _) = run_on(&plan, nodes).await;
    assert!(heard.notes().contains("spark-1 works no more for this run: it was found"), "{}", heard.notes());
    assert!(heard.when("spark-1", is_work).is_empty());
}
