//! Nodes that compile with something else, and those that have lost what they compiled.

use super::*;

/// What one compiles proves nothing of the other, and both have a name.
#[tokio::test]
async fn nodes_that_do_not_compile_alike_are_named() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let mut nodes: Vec<Node> =
        ["spark-1", "spark-2"].map(|name| Scripted::node(&plan, name, Vec::new())).into();
    nodes[1].compiler.ptxas = Some("13.0.88".into());
    let was = nodes[0].compiler.ptxas.clone().unwrap_or_else(|| "none".into());
    let error = carry_out(&plan, &mut open, nodes).await.unwrap_err();
    assert_eq!(error.to_string(), format!("spark-2 has another ptxas than spark-1: 13.0.88, there {was}"));
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.hint().unwrap().contains("image sync"));
}

/// A run that goes on with other compilers than it was begun with is refused, whichever of its nodes has one.
#[tokio::test(start_paused = true)]
async fn a_run_goes_on_with_its_own_compiler_alone() {
    let plan = confirmed();
    let dir = tempfile::tempdir().unwrap();
    let two = || ["spark-1", "spark-2"].map(|name| Scripted::node(&plan, name, vec![lost; 100]));
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    // Far enough for a journal that says with what.
    carry_out(&plan, &mut open, two().into()).await.unwrap_err();
    drop(open);
    for others in [&[0, 1][..], &[1], &[0]] {
        let mut nodes: Vec<Node> = two().into();
        let was = nodes[0].compiler.triton.clone();
        others.iter().for_each(|at| nodes[*at].compiler.triton = "3.9.9".into());
        let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
        let error = carry_out(&plan, &mut open, nodes).await.unwrap_err();
        assert_eq!(error.to_string(), format!("this run was compiled with another Triton: {was}, now 3.9.9"));
        assert_eq!(error.kind(), Kind::Input, "{others:?}");
    }
    let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
    let nodes = ["spark-3", "spark-4"].map(|name| Scripted::node(&plan, name, Vec::new()));
    carry_out(&plan, &mut open, nodes.into()).await.unwrap();
}

/// Remembers what it has another compile, and stops the run when that is to time something. Nothing is timed that it has
/// no binary of: the worker would compile meanwhile.
struct Watched {
    inner: Box<dyn Executor>,
    /// What is there now, and how much was compiled in this session.
    binaries: Arc<Mutex<BTreeSet<String>>>,
    compiled: Arc<Mutex<usize>>,
    stop: Option<CancellationToken>,
}

impl Executor for Watched {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        *self.compiled.lock().unwrap() += batch.len();
        self.binaries.lock().unwrap().extend(batch.iter().map(|unit| unit.unit.clone()));
        self.inner.compile(batch, on_result)
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        for unit in launched(request) {
            assert!(self.binaries.lock().unwrap().contains(&unit), "{unit} is not there");
        }
        self.stop.iter().for_each(CancellationToken::cancel);
        self.inner.time(request)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.inner.close()
    }
}

/// What went with a container is compiled again before it is launched, and what is still there is not.
#[tokio::test(start_paused = true)]
async fn binaries_of_an_environment_that_is_gone_are_made_anew() {
    let plan = confirmed();
    for (lasting, again) in [(true, false), (false, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (binaries, compiled) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::new(Mutex::new(0)));
        let node = |stop: Option<CancellationToken>| {
            let node = Scripted::node(&plan, "spark-1", Vec::new());
            let (binaries, compiled) = (binaries.clone(), compiled.clone());
            let executor = Box::new(Watched { inner: node.executor, binaries, compiled, stop });
            vec![Node { lasting, executor, ..node }]
        };
        let mut open = OpenRun::start(dir.path(), &plan).unwrap();
        let (device, cancel) = (gb10(), CancellationToken::new());
        let nodes = node(Some(cancel.clone()));
        let limits = Limits::default();
        let job = RunJob {
            plan: &plan,
            device: &device,
            dir: &mut open,
            nodes,
            limits,
            cancel,
            observer: &mut Silent,
        };
        assert!(matches!(run(job).await.unwrap_err(), RunError::Interrupted));
        assert!(std::mem::take(&mut *compiled.lock().unwrap()) > 0);
        drop(open);
        if !lasting {
            binaries.lock().unwrap().clear();
        }
        let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
        carry_out(&plan, &mut open, node(None)).await.unwrap();
        assert_eq!(*compiled.lock().unwrap() > 0, again, "lasting: {lasting}");
    }
}
