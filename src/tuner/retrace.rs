//! A race as its journal has it: what was selected and decided, with nobody asked. Pure.

use std::sync::Arc;

use super::error::RunError;
use super::plan::Plan;
use super::proofs::Proofs;
use super::record::Entry;
use super::run::{Raced, contests};
use super::search::{Limits, Past, Search};
use super::select::{Selected, Selector};
use super::strategy::Method;
use crate::device::Device;
use crate::events::Silent;

/// What the race of `plan` on `device` has come to by `entries`, its journal: for every batch size what would be written
/// now. None where it has not begun, or the plan is for a recording.
pub(crate) fn retrace(
    plan: &Plan,
    device: &Device,
    entries: &[Entry],
) -> Result<Option<(Vec<Selected>, Raced)>, RunError> {
    let records = || entries.iter().map(|entry| &entry.record);
    let past = Past::of(records());
    let spec = plan.strategy.as_ref().filter(|spec| !matches!(spec.method, Method::Recording(_)));
    let Some(spec) = spec.filter(|_| !past.is_empty()) else { return Ok(None) };
    let proofs = Proofs::of(records());
    let mut selected =
        Selector::new(plan, device).select(&proofs.findings(device.shared_memory_per_block))?;
    let contests = contests(plan, device, &proofs);
    let mut strategy = spec.strategy(Arc::clone(&contests.problem));
    let search = Search::new(&mut *strategy, &contests, Limits::default(), past, &mut Silent)?;
    // Who else could be asked is not on record, so nothing is said of whether there is more to measure.
    let searched = search.finish(false, &mut Silent)?;
    let raced = Raced::adopt(contests, searched, strategy.decisions(), &mut selected);
    Ok(Some((selected, raced)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::tuner::fleet::tests::{carry_out, four};
    use crate::tuner::history::{Doing, History, NodeHistory};
    use crate::tuner::open_run::OpenRun;
    use crate::tuner::record::Record;
    use crate::tuner::run::tests::gb10;
    use crate::tuner::run::tests::measured::confirmed;
    use crate::tuner::strategy::{StrategySpec, recording};

    fn entries(dir: &Path) -> Vec<Entry> {
        OpenRun::recorded(dir).unwrap()
    }

    /// Killed again and again: what the journal tells then is a part of what it tells at the end, and that is what the
    /// run itself found.
    #[tokio::test(start_paused = true)]
    async fn what_a_race_came_to_stands_in_its_journal() {
        let plan = Plan { batch_sizes: vec![16, 64, 4096], ..confirmed() };
        let dir = tempfile::tempdir().unwrap();
        drop(OpenRun::start(dir.path(), &plan).unwrap());
        assert!(retrace(&plan, &gb10(), &entries(dir.path())).unwrap().is_none());
        let mut lives = 0;
        let finished = loop {
            lives += 1;
            assert!(lives < 100, "no end");
            let mut open = OpenRun::resume(dir.path(), &plan).unwrap();
            let life = Duration::from_secs(if lives < 3 { 12 } else { 600 });
            let carried_out = carry_out(&plan, &mut open, four(&plan, lives, 0.02));
            if let Ok(finished) = tokio::time::timeout(life, carried_out).await {
                break finished.unwrap();
            }
            let so_far = retrace(&plan, &gb10(), &entries(dir.path())).unwrap();
            assert!(so_far.is_none_or(|(_, raced)| raced.decided < 3), "it was killed too late");
        };
        assert_eq!(lives, 3);
        let entries = entries(dir.path());
        let (selected, raced) = retrace(&plan, &gb10(), &entries).unwrap().unwrap();
        let expected = finished.raced.unwrap();
        assert_eq!(selected, finished.selected);
        assert_eq!((raced.decided, &raced.verdicts), (3, &expected.verdicts));
        assert_eq!(raced.spent.launches, expected.spent.launches);
        // The default fits two of the sizes and is beaten there, on two nodes; the third has nothing to compare with.
        let second = |size| raced.verdicts[&size].second.as_ref();
        for size in [16, 64] {
            assert!(second(size).is_some_and(|it| it.agrees && it.on != raced.verdicts[&size].on), "{size}");
            assert!(raced.verdicts[&size].speedup.unwrap().lower > 1.005);
        }
        assert_eq!((second(4096), raced.verdicts[&4096].speedup), (None, None));

        // And so does what each node did for it.
        let history = History::of(&entries);
        let count = |of: fn(&Record) -> bool| entries.iter().filter(|entry| of(&entry.record)).count() as u64;
        let sum = |of: fn(&NodeHistory) -> u64| history.nodes.values().map(of).sum::<u64>();
        assert_eq!((history.sessions.len(), history.nodes.len()), (3, 4));
        assert_eq!(sum(|it| it.rounds), count(|it| matches!(it, Record::Round { .. })));
        assert_eq!(sum(|it| it.looks.len() as u64), count(|it| matches!(it, Record::Sentinel { .. })));
        assert_eq!(sum(|it| it.proven + it.kept), count(|it| matches!(it, Record::Proof { .. })));
        assert!(sum(|it| it.restarts) > 0 && sum(|it| it.broken_off) > 0);
        for (name, node) in &history.nodes {
            let all =
                [Doing::Measuring, Doing::Compiling, Doing::Idle, Doing::Away].map(|it| node.spent_ms(it));
            assert_eq!(all.iter().sum::<u64>(), history.ends_ms, "{name} was there from the beginning");
            assert!(all[0] > 0 && all[1] > 0, "{name}: {all:?}");
            assert_eq!(node.readings.len() as u64, node.rounds + node.looks.len() as u64);
        }
        // The third gets slower; the fourth gets warm.
        let drifts: Vec<f64> =
            history.nodes.values().map(|node| node.furthest_drift().unwrap_or(1.0)).collect();
        assert!(drifts[2] > drifts[0] && drifts[2] > drifts[1], "{drifts:?}");
        let throttled: Vec<usize> = history.nodes.values().map(|node| node.throttled().count()).collect();
        assert!(throttled[3] > 0 && throttled[..3] == [0; 3], "{throttled:?}");

        // A recording decides nothing.
        let spec: StrategySpec = serde_json::from_value(serde_json::json!({
            "name": "recording", "version": recording::VERSION, "seed": 0, "options": {"repeats": 1, "sessions": 1},
        }))
        .unwrap();
        let recording = Plan { strategy: Some(spec), ..plan };
        assert!(retrace(&recording, &gb10(), &entries).unwrap().is_none());
    }
}
