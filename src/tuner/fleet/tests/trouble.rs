//! Nodes that are lost, whose workers die whatever they do, that only compile, or whose task panics.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_node_whose_link_is_lost_again_and_again_is_given_up_and_the_last_says_why() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let began = tokio::time::Instant::now();
    let nodes = ["spark-1", "spark-2"].map(|name| Scripted::node(&plan, name, vec![lost; 100]));
    let error = carry_out(&plan, &mut open, nodes.into()).await.unwrap_err();
    assert!(matches!(error, RunError::Worker(WorkerError::Lost { .. })), "{error}");
    // Pauses of one, two and four seconds, on both at once.
    assert_eq!(began.elapsed().as_secs(), 7);
    drop(open);
    let records = records(dir.path());
    let left = |name: &str| {
        let is = |it: &&Record| matches!(it, Record::Left { node, .. } if node.as_str() == name);
        records.iter().filter(is).count()
    };
    assert_eq!((left("spark-1"), left("spark-2")), (4, 4));
    // What was done is kept, and others can go on.
    let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
    carry_out(&plan, &mut open, sixty_four(&plan, 1, 0.0, &Arc::default())).await.unwrap();
}

/// The choice is four kernels, which end unjudged; the whole space is too much to go through with. Either way
/// the run ends, and goes on where workers live.
#[tokio::test(start_paused = true)]
async fn a_run_whose_every_worker_dies_ends_and_can_go_on_elsewhere() {
    let plan = confirmed();
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let node = Scripted::node(&plan, "spark-2", Vec::new());
    let expected = written(peace.path(), &carry_out(&plan, &mut open, vec![node]).await.unwrap());

    for (alive, kind, left) in [(0, Kind::Incomplete, 11), (1, Kind::Environment, 16)] {
        let dir = tempfile::tempdir().unwrap();
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let ends = [vec![well as fn() -> _; alive], vec![died; 1000]].concat();
        let node = Scripted::node(&plan, "spark-1", ends);
        let error = carry_out(&plan, &mut open, vec![node]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let says_it = match alive {
            0 => matches!(error, RunError::Unjudged(Unjudged { count: 4, .. })),
            _ => matches!(error, RunError::Worker(WorkerError::AlwaysDies { deaths: 16, .. })),
        };
        assert!(says_it, "{error}");
        drop(open);
        let records = records(dir.path());
        let troubles: Vec<&Left> = records
            .iter()
            .filter_map(|it| match it {
                Record::Left { how: Left::Drained, .. } => None,
                Record::Left { how, .. } => Some(how),
                _ => None,
            })
            .collect();
        assert_eq!(troubles.len(), left);
        assert!(matches!(troubles[0], Left::Died { .. }), "{troubles:?}");
        assert_eq!(matches!(troubles[left - 1], Left::Unfit { .. }), alive == 1, "{troubles:?}");

        let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
        let node = Scripted::node(&plan, "spark-2", Vec::new());
        let finished = carry_out(&plan, &mut open, vec![node]).await.unwrap();
        assert_eq!(written(dir.path(), &finished), expected);
    }
}

/// Workers of one node die whatever they do, beside one that is well: nothing is held against any kernel, and the node
/// is taken out by name. Sick from the beginning, after a while, or once it is to time something.
#[tokio::test(start_paused = true)]
async fn a_node_where_every_worker_dies_convicts_no_kernel_beside_one_that_is_well() {
    let plan = confirmed();
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let node = Scripted::node(&plan, "spark-2", Vec::new());
    let expected = written(peace.path(), &carry_out(&plan, &mut open, vec![node]).await.unwrap());

    for well_for in [0, 1, 3, 9, 60] {
        let dir = tempfile::tempdir().unwrap();
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let ends = [vec![well as fn() -> _; well_for], vec![died; 1000]].concat();
        // The sick one comes first by its name, and is asked first.
        let nodes =
            vec![Scripted::node(&plan, "spark-1", ends), Scripted::node(&plan, "spark-2", Vec::new())];
        let mut events: Vec<Event> = Vec::new();
        let (device, cancel, limits) = (gb10(), CancellationToken::new(), Limits::default());
        let job = RunJob {
            plan: &plan,
            device: &device,
            dir: &mut open,
            nodes,
            limits,
            cancel,
            observer: &mut events,
        };
        let finished = run(job).await.unwrap();
        assert_eq!(finished.rejected, 0, "well for {well_for}");
        let mut written = written(dir.path(), &finished);
        confirmed_on_one(&mut written);
        assert_eq!(written, expected, "well for {well_for}");
        // One that is left nothing to die on is not taken out; what it could not do is named.
        let words = match well_for {
            60 => "begins anew on another node: workers died on spark-1 again and again",
            _ => "spark-1 works no more for this run: ",
        };
        let named = |event: &Event| matches!(&event.what, What::Note { text } if text.contains(words));
        assert!(events.iter().any(named), "well for {well_for}");
        drop(open);
        let records = records(dir.path());
        let convicted = |it: &Record| match it {
            Record::Proof { result: CompileOutcome::Failed(failure), .. } => {
                failure.reason == FailureReason::WorkerLost
            }
            Record::Round { timings, .. } => !timings.failures.is_empty(),
            _ => false,
        };
        assert!(!records.iter().any(convicted), "well for {well_for}");
    }
}

/// A phase may end while a node is away; what it is told in the next one it is told once.
#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_in_the_next_phase_answers_what_it_was_asked() {
    // 0.5.23 compiles variants for large batches: a phase whose units nobody has to judge.
    let plan = Plan { target: Target::of(Runtime::Sglang0523), batch_sizes: vec![96], ..confirmed() };
    let peace = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(peace.path(), &plan).unwrap();
    let node = Scripted::node(&plan, "spark-1", Vec::new());
    let expected = written(peace.path(), &carry_out(&plan, &mut open, vec![node]).await.unwrap());

    for at in [0, 1, 2, 3, 4, 7, 30] {
        for trouble in [died as fn() -> _, lost] {
            let dir = tempfile::tempdir().unwrap();
            let mut open = OpenRun::start(dir.path(), &plan).unwrap();
            let ends = [vec![well as fn() -> _; at], vec![trouble]].concat();
            let node = Scripted::node(&plan, "spark-1", ends);
            let finished = carry_out(&plan, &mut open, vec![node]).await.unwrap();
            assert_eq!(written(dir.path(), &finished), expected, "trouble at order {at}");
            drop(open);
            answers_fit(dir.path());
        }
    }
}

/// The second death on a variant alone gives it up and ends its phase, with the node still away.
#[tokio::test(start_paused = true)]
async fn a_variant_that_kills_its_worker_twice_leaves_the_race_as_it_is() {
    let plan = Plan { target: Target::of(Runtime::Sglang0523), batch_sizes: vec![96], ..confirmed() };
    let device = gb10();
    let contests = Contests::new(&plan, &device, &Default::default(), &[]);
    let variants = LaunchedUnits::new(&contests, &plan, &device).variants();
    let killer = variants.last().unwrap().unit.clone();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let nodes = sixty_four(&plan, 3, 0.0, &Arc::new([killer].into())).into_iter().take(1).collect();
    carry_out(&plan, &mut open, nodes).await.unwrap();
    drop(open);
    answers_fit(dir.path());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_only_compile_do_not_wait_for_one_that_times() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let mut nodes = sixty_four(&plan, 0, 0.0, &Arc::default());
    nodes.retain(|node| !node.able.times);
    let error = carry_out(&plan, &mut open, nodes).await.unwrap_err();
    assert!(matches!(error, RunError::NobodyLeft), "{error}");
}

/// Panics in the middle of an order.
struct Broken;

impl Executor for Broken {
    fn compile<'a>(&'a mut self, _: &'a [Unit], _: OnResult<'a>) -> BoxFuture<'a, Result<(), Trouble>> {
        async { panic!("a fault of this program") }.boxed()
    }

    fn time<'a>(&'a mut self, _: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async { panic!("a fault of this program") }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_task_panics_is_not_waited_for() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let broken = Node { executor: Box::new(Broken), ..Scripted::node(&plan, "spark-1", Vec::new()) };
    let error = carry_out(&plan, &mut open, vec![broken]).await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}
