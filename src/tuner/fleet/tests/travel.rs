//! Binaries that travel between look-alike nodes, and what becomes of a run where they do not.

use std::collections::BTreeMap;

use super::*;
use crate::fs::sha256_hex;
use crate::tuner::run::tests::compile_job;
use crate::worker::BinaryStore;
use crate::worker::protocol::PackedBinary;

/// What goes wrong on a node with a binary that is to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// It is not given, or not taken.
    Refuses,
    Dies,
    /// The link is lost, once.
    Lost,
}

/// What it has of a unit.
#[derive(Debug, Default)]
struct Had {
    binaries: BTreeSet<String>,
    compiled: Vec<String>,
    taken: usize,
}

/// A node that keeps binaries in a store, one after another. Nothing is timed that it has no binary of.
struct Carrier {
    inner: Box<dyn Executor>,
    store: BinaryStore,
    had: Arc<Mutex<Had>>,
    giving: Fault,
    taking: Fault,
    stop: Option<CancellationToken>,
}

fn packed(unit: &Unit) -> PackedBinary {
    let [kernel, triton, arch, key] = ["d", "3.5.0", "sm_121a", "K"].map(str::to_owned);
    let content = unit.unit.clone();
    PackedBinary { kernel, triton, arch, key, sha256: sha256_hex(content.as_bytes()), content }
}

/// The fate of one binary; `fault` has an end where it strikes once.
fn strikes(fault: &mut Fault) -> Result<Result<(), String>, Trouble> {
    match *fault {
        Fault::Nothing => Ok(Ok(())),
        Fault::Refuses => Ok(Err("the disk is full".to_owned())),
        Fault::Dies => Err(dead()),
        Fault::Lost => {
            *fault = Fault::Nothing;
            lost().map(Ok)
        }
    }
}

impl Executor for Carrier {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        let mut had = self.had.lock().unwrap();
        had.compiled.extend(batch.iter().map(|unit| unit.unit.clone()));
        had.binaries.extend(batch.iter().map(|unit| unit.unit.clone()));
        self.inner.compile(batch, on_result)
    }

    fn give<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_given: OnMoved<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            for unit in batch {
                assert!(self.had.lock().unwrap().binaries.contains(&unit.unit), "{} is not there", unit.unit);
                let ended = strikes(&mut self.giving)?;
                if ended.is_ok() {
                    self.store.put(unit, &packed(unit)).unwrap();
                }
                on_given(&unit.unit, ended);
            }
            Ok(())
        }
        .boxed()
    }

    fn take<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_taken: OnMoved<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            for unit in batch {
                let ended = match (strikes(&mut self.taking)?, self.store.get(unit)) {
                    (Ok(()), None) => Err("it is gone".to_owned()),
                    (ended, _) => ended,
                };
                if ended.is_ok() {
                    assert_eq!(self.store.get(unit), Some(packed(unit)));
                    let mut had = self.had.lock().unwrap();
                    had.binaries.insert(unit.unit.clone());
                    had.taken += 1;
                }
                on_taken(&unit.unit, ended);
            }
            Ok(())
        }
        .boxed()
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        for unit in launched(request) {
            assert!(self.had.lock().unwrap().binaries.contains(&unit), "{unit} is not there");
        }
        self.stop.iter().for_each(CancellationToken::cancel);
        self.inner.time(request)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.inner.close()
    }
}

/// Nodes that one store serves.
struct Bed {
    plan: Plan,
    cache: tempfile::TempDir,
    had: BTreeMap<String, Arc<Mutex<Had>>>,
}

impl Bed {
    fn new(plan: Plan) -> Self {
        Self { plan, cache: tempfile::tempdir().unwrap(), had: BTreeMap::new() }
    }

    /// A node of a container: what it has goes with the session.
    fn node(&mut self, name: &str, giving: Fault, taking: Fault, stop: Option<&CancellationToken>) -> Node {
        let node = Scripted::node(&self.plan, name, Vec::new());
        let store = BinaryStore::new(self.cache.path(), &node.compiler, &compile_job(&self.plan));
        let had = Arc::new(Mutex::new(Had::default()));
        self.had.insert(name.to_owned(), had.clone());
        let carrier =
            Carrier { inner: node.executor, store: store.clone(), had, giving, taking, stop: stop.cloned() };
        Node { lasting: false, store: Some(store), executor: Box::new(carrier), ..node }
    }

    fn nodes(&mut self, names: &[&str]) -> Vec<Node> {
        names.iter().map(|name| self.node(name, Fault::Nothing, Fault::Nothing, None)).collect()
    }

    /// How often each unit was compiled in the whole cluster.
    fn compiled(&self) -> BTreeMap<String, usize> {
        let mut compiled = BTreeMap::new();
        for had in self.had.values() {
            for unit in &had.lock().unwrap().compiled {
                *compiled.entry(unit.clone()).or_default() += 1;
            }
        }
        compiled
    }

    fn taken(&self) -> usize {
        self.had.values().map(|had| had.lock().unwrap().taken).sum()
    }

    async fn whole(&self, nodes: Vec<Node>) -> (Vec<(Vec<u8>, Manifest)>, Vec<Event>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let mut open = OpenRun::start(dir.path(), &self.plan).unwrap();
        let (written, events) = self.go_on(&mut open, nodes).await;
        (written, events, dir)
    }

    async fn go_on(&self, open: &mut OpenRun, nodes: Vec<Node>) -> (Vec<(Vec<u8>, Manifest)>, Vec<Event>) {
        let (device, cancel, mut events) = (gb10(), CancellationToken::new(), Vec::new());
        let (limits, path) = (Limits::default(), open.path().to_owned());
        let job = RunJob {
            plan: &self.plan,
            device: &device,
            dir: open,
            nodes,
            limits,
            cancel,
            observer: &mut events,
        };
        let finished = run(job).await.unwrap();
        assert!(finished.raced.as_ref().unwrap().spent.complete);
        let mut written = written(&path, &finished);
        confirmed_on_one(&mut written);
        (written, events)
    }
}

/// By unit, the nodes that compiled it and those that took it, as a journal has them.
fn journalled(dir: &Path) -> BTreeMap<String, (Vec<HostName>, Vec<HostName>)> {
    let mut of: BTreeMap<String, (Vec<HostName>, Vec<HostName>)> = BTreeMap::new();
    for record in records(dir) {
        match record {
            Record::Proof { on, role, tile, .. } => {
                of.entry(Unit::of(role, &tile).unit).or_default().0.push(on);
            }
            Record::Binary { on, unit, travelled: false } => of.entry(unit).or_default().0.push(on),
            Record::Binary { on, unit, travelled: true } => of.entry(unit).or_default().1.push(on),
            _ => {}
        }
    }
    of
}

fn notes(events: &[Event]) -> Vec<&str> {
    let note = |event| match event {
        &Event { what: What::Note { ref text }, .. } if text.contains("does not travel") => {
            Some(text.as_str())
        }
        _ => None,
    };
    events.iter().filter_map(note).collect()
}

fn plan() -> Plan {
    Plan { batch_sizes: vec![16, 64, 4096], ..confirmed() }
}

const FOUR: [&str; 4] = ["spark-1", "spark-2", "spark-3", "spark-4"];

/// Also where a choice is confirmed on a second node, and of the variants that large batches launch.
#[tokio::test]
async fn no_kernel_is_compiled_twice_in_a_cluster() {
    for runtime in [Runtime::Sglang054, Runtime::Sglang0523] {
        let plan = Plan { target: Target::of(runtime), ..plan() };
        let mut bed = Bed::new(plan.clone());
        let alone = bed.nodes(&FOUR[..1]);
        let (expected, _, _dir) = bed.whole(alone).await;
        assert_eq!(bed.taken(), 0);
        let mut bed = Bed::new(plan.clone());
        let four = bed.nodes(&FOUR);
        let (written, events, dir) = bed.whole(four).await;
        assert_eq!(written, expected);
        let compiled = bed.compiled();
        assert!(compiled.values().all(|&times| times == 1), "{compiled:?}");
        assert!(bed.taken() > compiled.len(), "{} taken", bed.taken());
        assert_eq!(notes(&events), [""; 0]);
        // The journal says the same.
        let journalled = journalled(dir.path());
        assert_eq!(journalled.len(), compiled.len());
        assert!(journalled.values().all(|(compiled, _)| compiled.len() == 1), "{journalled:?}");
        assert_eq!(journalled.values().map(|(_, taken)| taken.len()).sum::<usize>(), bed.taken());
    }
}

/// Whatever goes wrong with binaries: who needs one compiles it, the files are the same, and it is told once of a node.
#[tokio::test(start_paused = true)]
async fn what_does_not_travel_is_compiled_and_no_run_fails_for_it() {
    let mut bed = Bed::new(plan());
    let alone = bed.nodes(&FOUR[..1]);
    let (expected, _, _dir) = bed.whole(alone).await;
    for (giving, taking) in [
        (Fault::Refuses, Fault::Nothing),
        (Fault::Dies, Fault::Nothing),
        (Fault::Lost, Fault::Nothing),
        (Fault::Nothing, Fault::Refuses),
        (Fault::Nothing, Fault::Dies),
        (Fault::Nothing, Fault::Lost),
    ] {
        let mut bed = Bed::new(plan());
        // The first is dealt out to first, and so has a part in everything.
        let mut nodes = bed.nodes(&FOUR[1..]);
        nodes.push(bed.node(FOUR[0], giving, taking, None));
        let (written, events, _dir) = bed.whole(nodes).await;
        assert_eq!(written, expected, "{giving:?} {taking:?}");
        let refuses = [giving, taking].contains(&Fault::Refuses);
        let notes = notes(&events);
        assert_eq!(notes.len(), usize::from(refuses), "{notes:?}");
        assert!(notes.iter().all(|note| note.starts_with("spark-1: ") && note.contains("the disk is full")));
        let twice = bed.compiled().values().filter(|&&times| times > 1).count();
        assert!(bed.taken() > 0);
        assert!(twice > 0 || [giving, taking].contains(&Fault::Lost), "{giving:?} {taking:?}");
    }
}

/// A run that is gone on with, in new containers and with another node: what was given is taken, and nothing is compiled
/// again. A binary that was torn meanwhile is.
#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_takes_what_was_given_before_and_compiles_what_is_torn() {
    for torn in [false, true] {
        let mut bed = Bed::new(plan());
        let alone = bed.nodes(&FOUR[..1]);
        let (expected, _, _dir) = bed.whole(alone).await;
        let mut bed = Bed::new(plan());
        let (dir, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let mut open = OpenRun::start(dir.path(), &bed.plan).unwrap();
        let nodes: Vec<Node> = FOUR[..2]
            .iter()
            .map(|name| bed.node(name, Fault::Nothing, Fault::Nothing, Some(&stop)))
            .collect();
        let (device, limits, plan) = (gb10(), Limits::default(), bed.plan.clone());
        let observer = &mut Silent;
        let job =
            RunJob { plan: &plan, device: &device, dir: &mut open, nodes, limits, cancel: stop, observer };
        assert!(matches!(run(job).await.unwrap_err(), RunError::Interrupted));
        drop(open);
        let given: Vec<std::path::PathBuf> = files_below(&bed.cache.path().join("binaries"));
        assert!(given.len() > 100, "{}", given.len());
        let spoilt = if torn { 7 } else { 0 };
        for file in &given[..spoilt] {
            let text = std::fs::read(file).unwrap();
            std::fs::write(file, &text[..text.len() / 2]).unwrap();
        }
        bed.had.clear();
        let nodes = bed.nodes(&["spark-2", "spark-5"]);
        let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
        let (written, _) = bed.go_on(&mut open, nodes).await;
        assert_eq!(written, expected);
        assert!(bed.taken() > 0);
        // On whichever node found it torn first; the other one may take it from there.
        let compiled = bed.compiled();
        assert!(compiled.len() <= spoilt && compiled.is_empty() != torn, "{compiled:?}");
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// Memory stays flat over whatever is compiled only to see what comes of it.
#[tokio::test]
async fn where_nobody_launches_anything_nothing_is_kept_of_who_has_which_binary() {
    for times in [false, true] {
        let plan = plan();
        let node = Scripted::node(&plan, "spark-1", Vec::new());
        let node = Node { able: Able { jobs: 1, times }, ..node };
        let mut fleet = Fleet::assemble(vec![node], "sm_121a", CancellationToken::new());
        let (device, mut ledger) = (gb10(), Ledger { run: None, observer: &mut Silent });
        let contests = Contests::new(&plan, &device, &Default::default(), &[]);
        let units: Vec<Unit> = contests.kernels().iter().map(|(role, tile)| Unit::of(*role, tile)).collect();
        let count = units.len();
        assert_eq!(fleet.outcomes(units, &mut ledger).await.unwrap().len(), count);
        assert_eq!(fleet.binaries.len(), if times { count } else { 0 });
        fleet.close(ledger).await;
    }
}
