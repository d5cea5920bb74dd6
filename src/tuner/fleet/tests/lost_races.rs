//! Races that no node can finish: each is told for what it is, in whatever order they are lost.

use super::*;
use crate::tuner::run::tests::node;

/// What the nodes have been asked so far.
#[derive(Default)]
struct Asked {
    /// Batch sizes in the order in which they were begun, each with who began it.
    begun: Vec<(u32, HostName)>,
    deaths_in_confirmations: u32,
}

/// Dies on the confirmation of what another node raced; and on the third batch size, but only once a confirmation is
/// lost.
struct Deadly {
    inner: Box<dyn Executor>,
    name: HostName,
    asked: Arc<Mutex<Asked>>,
}

impl Deadly {
    fn node(name: &str, plan: &Plan, asked: &Arc<Mutex<Asked>>) -> Node {
        let well = node(name, &Arc::new(Mutex::new(LookAlikeGpu::new(plan))));
        let (inner, name) = (well.executor, well.name.clone());
        Node { executor: Box::new(Self { inner, name, asked: asked.clone() }), ..well }
    }

    /// Whether it dies on `batch_size`; none while it goes on for ever.
    fn dies(&self, batch_size: u32) -> Option<bool> {
        let mut asked = self.asked.lock().unwrap();
        let known = asked.begun.iter().position(|(size, _)| *size == batch_size);
        let at = known.unwrap_or(asked.begun.len());
        if known.is_none() {
            asked.begun.push((batch_size, self.name.clone()));
        }
        if at == 2 {
            return (asked.deaths_in_confirmations >= 2).then_some(true);
        }
        let confirms = asked.begun[at].1 != self.name;
        asked.deaths_in_confirmations += u32::from(confirms);
        Some(confirms)
    }
}

impl Executor for Deadly {
    fn compile<'a>(
        &'a mut self,
        batch: &'a [Unit],
        on_result: OnResult<'a>,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        self.inner.compile(batch, on_result)
    }

    fn time<'a>(&'a mut self, request: &'a TimingRequest) -> BoxFuture<'a, Result<Timed, Trouble>> {
        async move {
            for _ in 0..10_000 {
                match self.dies(request.batch_size) {
                    Some(true) => return Err(dead()),
                    Some(false) => return self.inner.time(request).await,
                    None => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
            panic!("no confirmation was lost")
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.inner.close()
    }
}

/// A confirmation has a higher number than the race that is lost after it: the run fails for the race.
#[tokio::test(start_paused = true)]
async fn a_race_that_is_lost_after_a_confirmation_is_what_the_run_fails_for() {
    let plan = Plan { batch_sizes: vec![16, 64, 96], ..confirmed() };
    let (dir, mut told) = (tempfile::tempdir().unwrap(), Vec::new());
    let asked = Arc::<Mutex<Asked>>::default();
    let nodes = ["spark-1", "spark-2"].map(|name| Deadly::node(name, &plan, &asked)).into();
    let mut open = OpenRun::start(dir.path(), &plan).unwrap();
    let (device, cancel, limits) = (gb10(), CancellationToken::new(), Limits::default());
    let (plan_of, dir_of, observer) = (&plan, &mut open, &mut told);
    let job = RunJob { plan: plan_of, device: &device, dir: dir_of, nodes, limits, cancel, observer };
    let Err(error) = run(job).await else { panic!("a race is lost, and the run ended well") };
    let begun = &asked.lock().unwrap().begun;
    let [(first, _), (second, _), (third, _)] = begun[..] else { panic!("{begun:?}") };
    assert!(
        matches!(&error, RunError::Unmeasurable { batch_size, .. } if *batch_size == third),
        "{error}, {begun:?}"
    );
    let stays = |size: u32| {
        let says = format!("batch size {size} stays without a second node's confirmation: ");
        told.iter()
            .filter(|event| matches!(&event.what, What::Note { text } if text.starts_with(&says)))
            .count()
    };
    assert!(stays(first) + stays(second) >= 1, "{told:?}");
    assert!(stays(first) <= 1 && stays(second) <= 1 && stays(third) == 0, "each is told once: {told:?}");
}
