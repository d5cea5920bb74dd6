//! Compiling on all nodes: kept results first, then batches.

use std::collections::BTreeMap;

use super::node::Said;
use super::{Fleet, Ledger, Parting};
use crate::events::{CompileEvent, NoBinary, NodeEvent, Work};
use crate::host_name::HostName;
use crate::shape::{Role, Tile};
use crate::tuner::error::RunError;
use crate::tuner::proofs::Proofs;
use crate::tuner::record::Record;
use crate::tuner::schedule::UnitIndex;
use crate::worker::protocol::{CompileFailure, CompileOutcome, FailureReason, Unit};

/// What results are for.
#[derive(Debug)]
enum Wanted<'a> {
    /// Each is journalled and kept among these.
    Proofs(&'a mut Proofs),
    /// Each is kept here by its unit's name.
    Outcomes(&'a mut BTreeMap<String, CompileOutcome>),
    /// Binaries alone: each unit is a variant of a kernel that is proven, and what comes of it is for whoever
    /// launches it to find.
    Binaries,
}

/// One unit's result.
#[derive(Debug)]
struct Ended {
    unit: UnitIndex,
    on: HostName,
    outcome: CompileOutcome,
}

impl Fleet {
    /// Find out about `kernels`, each once, and record what is news.
    pub(crate) async fn prove(
        &mut self,
        kernels: &[(Role, Tile)],
        proofs: &mut Proofs,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), RunError> {
        let units: Vec<Unit> =
            proofs.unknown(kernels).iter().map(|(role, tile)| Unit::of(*role, tile)).collect();
        self.compile(units, Wanted::Proofs(proofs), ledger).await?;
        proofs.unjudged(kernels).map_or(Ok(()), |unjudged| Err(unjudged.into()))
    }

    /// Have a binary of each of `units` on one node at least, or where nodes take it from.
    pub(crate) async fn prepare(
        &mut self,
        units: Vec<Unit>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), RunError> {
        let is_nowhere =
            |unit: &Unit| !self.binaries.contains_key(unit.unit.as_str()) && !self.was_given(unit);
        let missing = units.into_iter().filter(is_nowhere).collect();
        self.compile(missing, Wanted::Binaries, ledger).await
    }

    /// What comes of each of `units`, by its name.
    pub(crate) async fn outcomes(
        &mut self,
        units: Vec<Unit>,
        ledger: &mut Ledger<'_>,
    ) -> Result<BTreeMap<String, CompileOutcome>, RunError> {
        let mut outcomes = BTreeMap::new();
        self.compile(units, Wanted::Outcomes(&mut outcomes), ledger).await?;
        Ok(outcomes)
    }

    async fn compile(
        &mut self,
        mut units: Vec<Unit>,
        mut wanted: Wanted<'_>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), RunError> {
        let kept = self.kept_results(&units);
        self.keep(&units, &kept, true, &mut wanted, ledger)?;
        let mut known = vec![false; units.len()];
        kept.iter().for_each(|ended| known[ended.unit] = true);
        units = units.into_iter().zip(known).filter(|(_, known)| !known).map(|(unit, _)| unit).collect();
        if units.is_empty() {
            return Ok(());
        }
        ledger.observer.say(CompileEvent::Queued { work: Work::new(0, units.len()) });
        let mut scheduler = self.scheduler(&units, false);
        let mut done = 0;
        self.assign(&mut scheduler, &units, ledger)?;
        while !scheduler.is_done() {
            let (mut ended, mut records, mut told, mut gone) =
                (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let mut unsupported = None;
            for (node, said) in self.hear().await? {
                match said {
                    Said::Compiled { unit, outcome } => {
                        if let Some(error) = self.unsupported(&outcome) {
                            unsupported = Some(error);
                        } else if scheduler.compiled(&node, unit) {
                            ended.push(Ended { unit, on: node, outcome });
                        }
                    }
                    Said::BatchEnded => {
                        scheduler.batch_ended(&node);
                        ledger.note(Record::BatchEnded { on: node });
                    }
                    Said::Trouble(trouble) => {
                        let (how, given_up) = self.trouble(&node, trouble, &mut scheduler);
                        ended.extend(given_up.into_iter().map(|(unit, message)| {
                            let reason = FailureReason::WorkerLost;
                            let failure = CompileFailure { reason, message, seconds: 0.0 };
                            Ended { unit, on: node.clone(), outcome: CompileOutcome::Failed(failure) }
                        }));
                        // One that waits for its GPU is not on record yet.
                        if self.has_joined(&node) {
                            records.push(Record::Left { node: node.clone(), how: how.clone() });
                        }
                        told.push((node, NodeEvent::Left { how }));
                    }
                    Said::Back => {
                        // Out of reach and found again, while nobody read the mail.
                        gone.retain(|(other, _)| *other != node);
                        if let Some((record, event)) = self.back(&node, &mut scheduler) {
                            records.push(record);
                            told.push((node, event));
                        }
                    }
                    Said::Waits(why) => told.push((node, NodeEvent::Waiting { why })),
                    Said::OutOfReach => gone.push((node, Parting::UntilFound)),
                    Said::Gone => gone.push((node, Parting::ForGood)),
                    // Nothing is timed in this phase, and no binary travels.
                    Said::Timed { .. } | Said::Given { .. } | Said::Taken { .. } => {}
                }
            }
            ledger.record(records)?;
            self.keep(&units, &ended, false, &mut wanted, ledger)?;
            for (node, event) in told {
                ledger.observer.say_from(&node, event);
            }
            for Ended { unit, on, outcome } in &ended {
                done += 1;
                let unit = &units[*unit];
                let event = CompileEvent::Ended {
                    role: unit.role,
                    tile: unit.config.tile(),
                    batch_size: unit.batch_size,
                    failed: no_binary(outcome),
                    work: Work::new(done, units.len()),
                };
                ledger.observer.say_from(on, event);
                let member = self.members.get(on);
                if let Some(Err(error)) =
                    member.and_then(|it| it.kept.as_ref()).map(|kept| kept.put(unit, outcome))
                {
                    // Whoever asked has the result: only a later run would miss it.
                    ledger.observer.note(format!("cannot keep a compile result for later runs: {error}"));
                }
            }
            // What came before it counts.
            if let Some(error) = unsupported {
                return Err(error);
            }
            for (node, parting) in gone {
                self.dismiss(&node, parting, &mut scheduler, ledger.observer)?;
            }
            self.assign(&mut scheduler, &units, ledger)?;
        }
        Ok(())
    }

    /// A target that the toolchain does not know ends the run: no other kernel fares better, and a mended toolchain
    /// must not find such a result on record.
    fn unsupported(&self, outcome: &CompileOutcome) -> Option<RunError> {
        match outcome {
            CompileOutcome::Failed(failure) if failure.reason == FailureReason::UnsupportedTarget => {
                let (arch, message) = (self.arch.clone(), failure.message.clone());
                Some(RunError::UnsupportedTarget { arch, message })
            }
            _ => None,
        }
    }

    /// What earlier runs found out about `units`, on whichever node.
    fn kept_results(&self, units: &[Unit]) -> Vec<Ended> {
        let find = |(at, unit): (UnitIndex, &Unit)| {
            self.members.iter().find_map(|(name, member)| {
                let outcome = member.kept.as_ref()?.get(unit)?;
                Some(Ended { unit: at, on: name.clone(), outcome })
            })
        };
        units.iter().enumerate().filter_map(find).collect()
    }

    /// Journal results, `known` from earlier runs or of this one, then let them count.
    fn keep(
        &mut self,
        units: &[Unit],
        ended: &[Ended],
        known: bool,
        wanted: &mut Wanted<'_>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), RunError> {
        match wanted {
            Wanted::Proofs(proofs) => {
                let record = |Ended { unit, on, outcome }: &Ended| Record::Proof {
                    on: on.clone(),
                    role: units[*unit].role,
                    tile: units[*unit].config.tile(),
                    result: outcome.clone(),
                    kept: known,
                };
                ledger.record(ended.iter().map(record))?;
                for Ended { unit, outcome, .. } in ended {
                    proofs.learn(units[*unit].role, units[*unit].config.tile(), outcome.clone());
                }
            }
            Wanted::Outcomes(outcomes) => {
                let named =
                    |Ended { unit, outcome, .. }: &Ended| (units[*unit].unit.clone(), outcome.clone());
                outcomes.extend(ended.iter().map(named));
            }
            Wanted::Binaries => {
                // What may come out otherwise the next time is tried again by the next session.
                let lasting = ended.iter().filter(|it| it.outcome.is_lasting());
                let record = |Ended { unit, on, .. }: &Ended| Record::Binary {
                    on: on.clone(),
                    unit: units[*unit].unit.clone(),
                    travelled: false,
                };
                ledger.record(lasting.map(record))?;
            }
        }
        for Ended { unit, on, outcome } in ended {
            self.has_binary(&units[*unit].unit, on);
            if outcome.failed().is_some() {
                self.is_hollow(&units[*unit].unit);
            }
        }
        Ok(())
    }
}

fn no_binary(outcome: &CompileOutcome) -> Option<NoBinary> {
    match outcome {
        CompileOutcome::Compiled(_) => None,
        CompileOutcome::Failed(failure) => Some(NoBinary {
            reason: failure.reason.name().to_owned(),
            message: failure.message.lines().next().unwrap_or_default().to_owned(),
        }),
    }
}
