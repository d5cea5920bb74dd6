//! Measuring on all nodes: each races one contest at a time, on kernels that it has compiled before.

use super::node::{Order, Said};
use super::{Fleet, Ledger};
use crate::events::{NodeEvent, Observer};
use crate::host_name::HostName;
use crate::tuner::contests::LaunchedUnits;
use crate::tuner::error::RunError;
use crate::tuner::record::Record;
use crate::tuner::schedule::{Left, Scheduler, WorkRace};
use crate::tuner::search::{Search, Searched, Step};
use crate::tuner::strategy::ContestId;

impl Fleet {
    /// Measure until the strategy knows enough, or the budget is spent. `launched` are the kernels that may be
    /// launched.
    pub(crate) async fn race(
        &mut self,
        mut search: Search<'_>,
        launched: &LaunchedUnits,
        ledger: &mut Ledger<'_>,
    ) -> Result<Searched, RunError> {
        let units = &launched.units;
        let mut scheduler = self.scheduler(units, true);
        // The contest behind each race of the scheduler.
        let mut offered: Vec<ContestId> = Vec::new();
        offer(&mut search, launched, &mut scheduler, &mut offered);
        loop {
            self.begin(&mut search, launched, &mut scheduler, &mut offered, ledger.observer);
            if scheduler.is_done() || (search.is_out_of_budget() && !search.is_racing()) {
                break;
            }
            let mail = self.hear().await?;
            // On disk first: what is not recorded does not count.
            let records: Vec<Option<Record>> = mail
                .iter()
                .map(|(node, said)| match said {
                    Said::Timed { timed, seconds } => search.record(node, timed, *seconds),
                    Said::Compiled { unit, .. } => {
                        Some(Record::Binary { on: node.clone(), unit: units[*unit].unit.clone() })
                    }
                    Said::BatchEnded | Said::Trouble(_) | Said::Back | Said::Gone => None,
                })
                .collect();
            ledger.record(&records.iter().flatten().cloned().collect::<Vec<_>>())?;
            for ((node, said), record) in mail.into_iter().zip(records) {
                match said {
                    Said::Timed { timed, .. } => {
                        let Some(record) = record else { continue };
                        let max = self.members.get(&node).and_then(|it| it.gpu.as_ref()?.max_clock_mhz);
                        match search.apply(&record, &timed.state, max, ledger.observer) {
                            Ok(None) => {}
                            Ok(Some(step)) => {
                                scheduler.race_went_on(&node);
                                self.go_on(&node, step, &mut scheduler);
                            }
                            // Another node may be fit.
                            Err(unfit) => {
                                scheduler.left(&node, Left::Lost);
                                self.last_trouble = Some(unfit);
                                self.dismiss(&node, ledger.observer)?;
                            }
                        }
                        offer(&mut search, launched, &mut scheduler, &mut offered);
                    }
                    Said::Compiled { unit, .. } => {
                        scheduler.compiled(&node, unit);
                        self.has_binary(&units[unit].unit, &node);
                    }
                    Said::BatchEnded => scheduler.batch_ended(&node),
                    Said::Trouble(trouble) => {
                        search.interrupted(&node);
                        let (record, how, _) = self.trouble(&node, trouble, &mut scheduler);
                        ledger.record(&[record])?;
                        ledger.observer.say_from(&node, NodeEvent::Left { how });
                    }
                    Said::Back => {
                        let back = self.back(&node, &mut scheduler, ledger.observer);
                        ledger.record(back.as_slice())?;
                    }
                    Said::Gone => self.dismiss(&node, ledger.observer)?,
                }
            }
        }
        if let Some(&race) = scheduler.lost_races().first() {
            // What the other contests found is on record; a second attempt goes on from there.
            let batch_size = search.batch_size(offered[race]);
            let source = Box::new(self.last_trouble.take().unwrap_or(RunError::NobodyLeft));
            return Err(RunError::Unmeasurable { batch_size, source });
        }
        search.finish(ledger.observer)
    }

    /// Let idle nodes begin.
    fn begin(
        &mut self,
        search: &mut Search<'_>,
        launched: &LaunchedUnits,
        scheduler: &mut Scheduler,
        offered: &mut Vec<ContestId>,
        observer: &mut dyn Observer,
    ) {
        // A contest can be over as soon as it begins, and then the node takes the next one.
        loop {
            let begun = self.assign(scheduler, &launched.units);
            if begun.is_empty() {
                return;
            }
            for (node, race) in begun {
                let step = search.begin(&node, offered[race], observer);
                self.go_on(&node, step, scheduler);
            }
            offer(search, launched, scheduler, offered);
        }
    }

    fn go_on(&self, node: &HostName, step: Step, scheduler: &mut Scheduler) {
        match step {
            Step::Time(request) => {
                if let Some(member) = self.members.get(node) {
                    member.order(Order::Time(request));
                }
            }
            Step::Over => scheduler.race_ended(node),
        }
    }
}

/// Hand the contests that may begin to the scheduler.
fn offer(
    search: &mut Search<'_>,
    launched: &LaunchedUnits,
    scheduler: &mut Scheduler,
    offered: &mut Vec<ContestId>,
) {
    for (contest, begun_on) in search.offers() {
        scheduler.offer(WorkRace { needs: launched.of(contest.index).to_vec(), begun_on });
        offered.push(contest);
    }
}
