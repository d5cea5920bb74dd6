//! One tuning run: select, prove, select again where something failed, race, write the files.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::adopt::adopt_all;
use super::contests::{Contests, LaunchedUnits};
use super::error::RunError;
use super::fleet::{Fleet, Ledger, Node};
use super::open_run::OpenRun;
use super::plan::Plan;
use super::proofs::Proofs;
use super::record::Record;
use super::search::{Limits, Past, Search, Searched, Spent};
use super::select::{Selected, Selector};
use super::strategy::{Decision, Round, Strategy, StrategySpec, Timings};
use super::trace::Trace;
use super::verdict::{Verdict, verdicts};
use super::write::{self, Written};
use crate::artifact::Evidence;
use crate::device::Device;
use crate::events::{FileEvent, Observer};
use crate::host_name::HostName;
use crate::shape::{Role, Tile};
use crate::worker::CompilerIdentity;
use crate::worker::protocol::Unit;

/// A plan to carry out, and where.
pub(crate) struct RunJob<'a> {
    /// What.
    pub plan: &'a Plan,
    /// The device of the plan, with all its figures.
    pub device: &'a Device,
    /// Where its journal and files lie.
    pub dir: &'a mut OpenRun,
    /// Who works; nobody is needed at the rung `predicted`.
    pub nodes: Vec<Node>,
    /// How far measuring may go.
    pub limits: Limits,
    /// Pulled when the user wants out.
    pub cancel: CancellationToken,
    /// Who wants to know.
    pub observer: &'a mut dyn Observer,
}

/// What a finished run did.
#[derive(Debug)]
pub(crate) struct Finished {
    /// What was chosen.
    pub selected: Vec<Selected>,
    /// The files.
    pub files: Vec<Written>,
    /// Distinct kernels proven; 0 at the rung `predicted`.
    pub proven: usize,
    /// Kernels that did not compile and were passed over.
    pub rejected: usize,
    /// What measuring cost; none where nothing was measured.
    pub raced: Option<Raced>,
}

/// What a race cost and went through.
#[derive(Debug)]
pub(crate) struct Raced {
    /// The cost.
    pub spent: Spent,
    /// Batch sizes decided.
    pub decided: usize,
    /// The space.
    pub contests: Contests,
    /// The course.
    pub trace: Trace,
    /// How each batch size was decided that is.
    pub verdicts: BTreeMap<u32, Verdict>,
}

impl Raced {
    /// Put `decisions`, and where there is none what led, in the place of what was `selected` without measurements.
    pub(super) fn adopt(
        contests: Contests,
        searched: Searched,
        decisions: Vec<Option<Decision>>,
        selected: &mut [Selected],
    ) -> Self {
        let verdicts = verdicts(&contests, &decisions, &searched);
        let decided = adopt_all(&contests, decisions, &searched.leaders, selected);
        let Searched { spent, trace, .. } = searched;
        Self { spent, decided, contests, trace, verdicts }
    }
}

/// Everything of `plan` that may be timed, now that the compiler has spoken.
pub(super) fn contests(plan: &Plan, device: &Device, proofs: &Proofs) -> Contests {
    let findings = proofs.findings(device.shared_memory_per_block);
    let rejected = findings.rejected.into_keys().collect();
    Contests::new(plan, device, &rejected, &plan.incumbents)
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// The space.
    pub contests: Contests,
    /// Every round with where it was measured and what came of it.
    pub rounds: Vec<(HostName, Round, Timings)>,
    /// What it cost.
    pub spent: Spent,
}

/// Carry out a plan to its files.
pub(crate) async fn run(job: RunJob<'_>) -> Result<Finished, RunError> {
    let mut work = Work::begin(job);
    let chosen = work.choose().await;
    work.close().await;
    let (selected, raced) = chosen?;
    let Work { plan, device, dir, proofs, compiler, observer, .. } = work;
    let files = write::write(plan, device, &selected, &proofs, compiler.as_ref(), dir.path())?;
    for file in &files {
        dir.record([Record::File { path: file.path.clone(), sha256: file.sha256.clone() }])?;
        observer.say(FileEvent::Written { path: file.path.clone(), sha256: file.sha256.clone() });
    }
    let proven = if compiler.is_some() { kernels(&selected).len() } else { 0 };
    Ok(Finished { selected, files, proven, rejected: proofs.failed(), raced })
}

/// Compile the space of a plan, then time all of it: what is left is for replays.
pub(crate) async fn record(job: RunJob<'_>) -> Result<Recorded, RunError> {
    let mut work = Work::begin(job);
    let recorded = work.record().await;
    work.close().await;
    recorded
}

/// A run under way: its nodes, and what is known so far.
struct Work<'a> {
    plan: &'a Plan,
    device: &'a Device,
    dir: &'a mut OpenRun,
    limits: Limits,
    observer: &'a mut dyn Observer,
    /// None once it is closed.
    fleet: Option<Fleet>,
    proofs: Proofs,
    compiler: Option<CompilerIdentity>,
}

impl<'a> Work<'a> {
    fn begin(job: RunJob<'a>) -> Self {
        let RunJob { plan, device, dir, nodes, limits, cancel, observer } = job;
        let fleet = Some(Fleet::assemble(nodes, &device.compile_target, cancel));
        let proofs = Proofs::of(dir.earlier());
        Self { plan, device, dir, limits, observer, fleet, proofs, compiler: None }
    }

    async fn close(&mut self) {
        if let Some(fleet) = self.fleet.take() {
            fleet.close(Ledger { run: Some(self.dir), observer: self.observer }).await;
        }
    }

    /// What goes into the files, and what racing cost where something was raced.
    async fn choose(&mut self) -> Result<(Vec<Selected>, Option<Raced>), RunError> {
        if self.plan.evidence < Evidence::Compiled {
            let findings = self.proofs.findings(self.device.shared_memory_per_block);
            return Ok((Selector::new(self.plan, self.device).select(&findings)?, None));
        }
        self.enlist()?;
        let mut selected = self.prove_selection().await?;
        let raced = match &self.plan.strategy {
            Some(spec) => Some(self.race(spec, &mut selected).await?),
            None => None,
        };
        Ok((selected, raced))
    }

    /// Select, and prove what was selected, until what is selected is proven.
    async fn prove_selection(&mut self) -> Result<Vec<Selected>, RunError> {
        let mut selector = Selector::new(self.plan, self.device);
        // Every round learns of at least one kernel, and there are finitely many: this ends.
        loop {
            let selected = selector.select(&self.proofs.findings(self.device.shared_memory_per_block))?;
            let kernels = kernels(&selected);
            // What was just learnt can change the choice; only a choice that stands is proven.
            if self.proofs.unknown(&kernels).is_empty() {
                return Ok(selected);
            }
            self.prove(&kernels).await?;
        }
    }

    /// Race, and put what was decided in the place of what was selected without measurements.
    async fn race(&mut self, spec: &StrategySpec, selected: &mut [Selected]) -> Result<Raced, RunError> {
        let all = Contests::new(self.plan, self.device, &HashSet::new(), &self.plan.incumbents);
        self.compile_all(&all).await?;
        let contests = contests(self.plan, self.device, &self.proofs);
        let mut strategy = spec.strategy(Arc::clone(&contests.problem));
        let searched = self.search(&mut *strategy, &contests).await?;
        Ok(Raced::adopt(contests, searched, strategy.decisions(), selected))
    }

    async fn record(&mut self) -> Result<Recorded, RunError> {
        self.enlist()?;
        // Every config of the space: one without a binary has a row that says so.
        let contests = Contests::new(self.plan, self.device, &HashSet::new(), &[]);
        self.compile_all(&contests).await?;
        let spec = self.plan.strategy.as_ref().ok_or(RunError::NothingToMeasure)?;
        let mut strategy = spec.strategy(Arc::clone(&contests.problem));
        let Searched { spent, rounds, .. } = self.search(&mut *strategy, &contests).await?;
        Ok(Recorded { contests, rounds, spent })
    }

    /// Everything that may be timed is compiled first: measuring never waits for a compiler.
    async fn compile_all(&mut self, contests: &Contests) -> Result<(), RunError> {
        self.prove(&contests.kernels()).await?;
        let variants = LaunchedUnits::new(contests, self.plan, self.device).variants();
        let (fleet, mut ledger, _) = self.parts()?;
        fleet.prepare(variants, &mut ledger).await
    }

    async fn search(
        &mut self,
        strategy: &mut dyn Strategy,
        contests: &Contests,
    ) -> Result<Searched, RunError> {
        let launched = LaunchedUnits::new(contests, self.plan, self.device);
        let past = Past::of(self.dir.earlier());
        let search = Search::new(strategy, contests, self.limits, past, self.observer)?;
        let (fleet, mut ledger, _) = self.parts()?;
        fleet.race(search, &launched, &mut ledger).await
    }

    /// Who is there, and what they have from earlier sessions.
    fn enlist(&mut self) -> Result<(), RunError> {
        let recorded = self.dir.compiler().cloned();
        let binaries: Vec<(String, HostName)> = self.dir.earlier().filter_map(binary).collect();
        let hollow: Vec<String> = self.dir.earlier().filter_map(hollow).collect();
        let (fleet, mut ledger, _) = self.parts()?;
        let compiler = fleet.enlist(recorded.as_ref(), &mut ledger)?;
        for (unit, node) in binaries {
            fleet.had_binary(&unit, &node);
        }
        hollow.iter().for_each(|unit| fleet.is_hollow(unit));
        self.compiler = Some(compiler);
        Ok(())
    }

    async fn prove(&mut self, kernels: &[(Role, Tile)]) -> Result<(), RunError> {
        let (fleet, mut ledger, proofs) = self.parts()?;
        fleet.prove(kernels, proofs, &mut ledger).await
    }

    fn parts(&mut self) -> Result<(&mut Fleet, Ledger<'_>, &mut Proofs), RunError> {
        let fleet = self.fleet.as_mut().ok_or(RunError::NobodyLeft)?;
        let ledger = Ledger { run: Some(self.dir), observer: self.observer };
        Ok((fleet, ledger, &mut self.proofs))
    }
}

/// The unit whose binary a record tells of, by name, and the node that has it.
fn binary(record: &Record) -> Option<(String, HostName)> {
    match record {
        Record::Proof { on, role, tile, result, .. } if result.is_lasting() => {
            Some((Unit::of(*role, tile).unit, on.clone()))
        }
        Record::Binary { on, unit, .. } => Some((unit.clone(), on.clone())),
        _ => None,
    }
}

/// The unit of a record that tells that it does not compile, by name.
fn hollow(record: &Record) -> Option<String> {
    match record {
        Record::Proof { role, tile, result, .. } if result.failed().is_some() => {
            Some(Unit::of(*role, tile).unit)
        }
        _ => None,
    }
}

/// The distinct kernels behind a choice, in order.
fn kernels(selected: &[Selected]) -> Vec<(Role, Tile)> {
    let mut seen = std::collections::HashSet::new();
    selected
        .iter()
        .flat_map(|entry| Role::BOTH.map(|role| (role, entry.role(role).config.tile())))
        .filter(|kernel| seen.insert(*kernel))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
