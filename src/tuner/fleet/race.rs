//! Measuring on all nodes: each races one contest at a time, on kernels that it has compiled before.

use super::node::{Ordered, Said};
use super::{Fleet, Ledger, Parting};
use crate::events::{Left, NodeEvent, Observer};
use crate::host_name::HostName;
use crate::tuner::contests::LaunchedUnits;
use crate::tuner::error::RunError;
use crate::tuner::record::Record;
use crate::tuner::schedule::{Fate, RaceIndex, Scheduler, WorkRace};
use crate::tuner::search::{Offer, Search, Searched, SecondTo, Step};
use crate::tuner::strategy::ContestId;
use crate::worker::protocol::Unit;

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
        // The contest behind each race of the scheduler, and why the last one that was given up was.
        let mut offered: Vec<ContestId> = Vec::new();
        let mut unmeasurable = None;
        self.offer(&mut search, launched, &mut scheduler, &mut offered);
        loop {
            self.begin(&mut search, launched, &mut scheduler, &mut offered, ledger)?;
            if scheduler.is_done() || (search.is_out_of_budget() && !search.is_racing()) {
                break;
            }
            let mail = self.hear().await?;
            // On disk first: what is not recorded does not count.
            let records: Vec<Option<Record>> = mail
                .iter()
                .map(|(node, said)| match said {
                    Said::Timed { timed, seconds } => {
                        search.record(node, timed, *seconds, self.max_clock_mhz(node))
                    }
                    Said::Compiled { unit, outcome } if outcome.is_lasting() => {
                        let (on, unit) = (node.clone(), units[*unit].unit.clone());
                        Some(Record::Binary { on, unit, travelled: false })
                    }
                    Said::Taken { unit, ended: Ok(()) } => {
                        let (on, unit) = (node.clone(), units[*unit].unit.clone());
                        Some(Record::Binary { on, unit, travelled: true })
                    }
                    Said::Compiled { .. }
                    | Said::Given { .. }
                    | Said::Taken { .. }
                    | Said::BatchEnded
                    | Said::Trouble(_)
                    | Said::Waits(_)
                    | Said::Back
                    | Said::OutOfReach
                    | Said::Gone => None,
                })
                .collect();
            ledger.record(records.iter().flatten().cloned())?;
            for ((node, said), record) in mail.into_iter().zip(records) {
                match said {
                    Said::Timed { .. } => {
                        let Some(record) = record else { continue };
                        match search.apply(&record, self.max_clock_mhz(&node), ledger.observer) {
                            Ok(None) => {}
                            Ok(Some(step)) => {
                                scheduler.race_went_on(&node);
                                self.go_on(&node, step, &mut scheduler, ledger);
                            }
                            // Another node may be fit.
                            Err(unfit) => self.send_away(&node, unfit, &mut scheduler, ledger)?,
                        }
                        self.offer(&mut search, launched, &mut scheduler, &mut offered);
                    }
                    Said::Compiled { unit, outcome } => {
                        scheduler.compiled(&node, unit);
                        self.has_binary(&units[unit].unit, &node);
                        if outcome.failed().is_some() {
                            self.is_hollow(&units[unit].unit);
                            scheduler.gave(&node, unit, false);
                        }
                    }
                    Said::Given { unit, ended } => {
                        scheduler.gave(&node, unit, ended.is_ok());
                        if let Err(why) = ended {
                            self.did_not_travel(&node, &units[unit], &why, ledger.observer);
                        }
                    }
                    Said::Taken { unit, ended } => {
                        scheduler.took(&node, unit, ended.is_ok());
                        match ended {
                            Ok(()) => self.has_binary(&units[unit].unit, &node),
                            Err(why) => self.did_not_travel(&node, &units[unit], &why, ledger.observer),
                        }
                    }
                    Said::BatchEnded => {
                        scheduler.batch_ended(&node);
                        ledger.note(Record::BatchEnded { on: node });
                    }
                    Said::Trouble(trouble) => {
                        search.interrupted(&node);
                        let lost_before = scheduler.lost_races();
                        let passed_on = scheduler.passed_on_by(&node);
                        let (how, _) = self.trouble(&node, trouble, &mut scheduler);
                        let is_news = |race: &RaceIndex| !lost_before.contains(race);
                        if let Some(race) = scheduler.lost_races().into_iter().find(is_news) {
                            let (batch_size, why) = (search.batch_size(offered[race]), how.why());
                            match search.is_confirmation(offered[race]) {
                                true => ledger.observer.note(format!(
                                    "batch size {batch_size} stays without a second node's confirmation: {why}"
                                )),
                                false => unmeasurable = Some(RunError::Unmeasurable { batch_size, why }),
                            }
                        }
                        for race in scheduler.passed_on_by(&node) {
                            if !passed_on.contains(&race) {
                                ledger.observer.note(format!(
                                    "batch size {} begins anew on another node: workers died on {node} again and again, \
                                     the last: {}",
                                    search.batch_size(offered[race]),
                                    how.why()
                                ));
                            }
                        }
                        if self.has_joined(&node) {
                            ledger.record([Record::Left { node: node.clone(), how: how.clone() }])?;
                        }
                        ledger.observer.say_from(&node, NodeEvent::Left { how });
                    }
                    Said::Back => {
                        if let Some((record, event)) = self.back(&node, &mut scheduler) {
                            ledger.record([record])?;
                            ledger.observer.say_from(&node, event);
                        }
                    }
                    Said::Waits(why) => ledger.observer.say_from(&node, NodeEvent::Waiting { why }),
                    Said::OutOfReach => {
                        self.dismiss(&node, Parting::UntilFound, &mut scheduler, ledger.observer)?;
                    }
                    Said::Gone => {
                        self.dismiss(&node, Parting::ForGood, &mut scheduler, ledger.observer)?;
                    }
                }
            }
        }
        // What the other contests found is on record; another session goes on from there.
        if let Some(error) = unmeasurable {
            return Err(error);
        }
        search.finish(scheduler.is_done(), ledger.observer)
    }

    /// A binary was not given by `node`, or not taken: whoever needs it compiles it. Told once of a node.
    fn did_not_travel(&mut self, node: &HostName, unit: &Unit, why: &str, observer: &mut dyn Observer) {
        if self.told.insert(node.clone()) {
            let unit = &unit.unit;
            observer.note(format!(
                "{node}: the binary of {unit} does not travel, and is compiled instead: {why}"
            ));
        }
    }

    /// Let idle nodes begin.
    fn begin(
        &mut self,
        search: &mut Search<'_>,
        launched: &LaunchedUnits,
        scheduler: &mut Scheduler,
        offered: &mut Vec<ContestId>,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), RunError> {
        // A contest can be over as soon as it begins, and then the node takes the next one.
        loop {
            let begun = self.assign(scheduler, &launched.units, ledger)?;
            if begun.is_empty() {
                return Ok(());
            }
            for (node, race) in begun {
                let step = search.begin(&node, offered[race], ledger.observer);
                self.go_on(&node, step, scheduler, ledger);
            }
            self.offer(search, launched, scheduler, offered);
        }
    }

    fn go_on(&mut self, node: &HostName, step: Step, scheduler: &mut Scheduler, ledger: &mut Ledger<'_>) {
        match step {
            Step::Time(request) => {
                if let Some(member) = self.members.get_mut(node) {
                    ledger.note(Record::Ordered { on: node.clone(), kernels: None });
                    member.order(Ordered::Time(request));
                }
            }
            Step::Over => scheduler.race_ended(node),
        }
    }

    /// `node` cannot be measured on, and works no more for the run.
    fn send_away(
        &mut self,
        node: &HostName,
        unfit: RunError,
        scheduler: &mut Scheduler,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), RunError> {
        scheduler.left(node, Fate::Lost);
        let how = Left::Unfit { why: unfit.to_string() };
        ledger.record([Record::Left { node: node.clone(), how: how.clone() }])?;
        ledger.observer.say_from(node, NodeEvent::Left { how });
        if let Some(member) = self.members.get_mut(node) {
            member.trouble = Some(unfit);
        }
        self.dismiss(node, Parting::ForGood, scheduler, ledger.observer)
    }

    /// Hand the contests that may begin to the scheduler.
    fn offer(
        &self,
        search: &mut Search<'_>,
        launched: &LaunchedUnits,
        scheduler: &mut Scheduler,
        offered: &mut Vec<ContestId>,
    ) {
        for Offer { contest, begun_on, second } in search.offers(&|node| self.members.contains_key(node)) {
            let (needs, second_to) = match second {
                None => (launched.of(contest.index).to_vec(), None),
                Some(SecondTo { first, kernels }) => {
                    (launched.of_kernels(contest.index, &kernels), Some(first))
                }
            };
            scheduler.offer(WorkRace { needs, begun_on, second_to });
            offered.push(contest);
        }
    }

    fn max_clock_mhz(&self, node: &HostName) -> Option<f64> {
        self.members.get(node)?.gpu.as_ref()?.max_clock_mhz
    }
}
