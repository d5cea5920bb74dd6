//! What is said of a start that fails: which process, its last words, and what they show where that is known.

use std::collections::BTreeMap;

use super::error::UpError;
use super::place::Place;
use super::up::Up;
use super::watch::{Failed, Watch, Watched};
use crate::host::detached::{DetachedError, DetachedFailure, DetachedId, DetachedState};
use crate::log_line::among_others;
use crate::serving::failures::Explanation;
use crate::serving::role::Role;

/// Lines of a process that ended that are shown, and characters of one.
const LAST_LINES: usize = 20;
const LAST_LINE: usize = 300;

impl Up<'_> {
    /// What is to be said where time is up.
    pub(super) fn late(&self, watch: &Watch, doing: String) -> UpError {
        let explained = watch.parts().iter().find_map(|part| self.explain(part));
        UpError::Late { limit: self.limit, doing, last: newest(watch), explained: explained.map(Box::new) }
    }

    fn explain(&self, part: &Watched) -> Option<Explanation> {
        let lines: Vec<String> = part.lines.iter().cloned().collect();
        self.known.explain(self.plan.engine, &lines)
    }

    /// What is to be said of a process that will not come up: of several that end together one whose log shows why, else
    /// one that does not only miss the others. Where no such log shows why, another's may.
    pub(super) async fn why(&self, watch: &mut Watch, failed: Failed) -> UpError {
        if let Some(why) = failed.lost {
            let part = &watch.parts()[failed.at];
            return UpError::Lost { on: part.node().clone(), part: part.role, why };
        }
        let ended = watch.ended(failed.at).await;
        let cause = |part| self.explain(part).filter(|explanation| !explanation.symptom);
        let follows = |at: &usize| match self.explain(&watch.parts()[*at]) {
            Some(explanation) if !explanation.symptom => 0,
            None => 1,
            Some(_) => 2,
        };
        let part = &watch.parts()[ended.into_iter().min_by_key(follows).unwrap_or(failed.at)];
        let of_another = || watch.parts().iter().find_map(cause);
        let explained = cause(part).or_else(of_another).or_else(|| self.explain(part));
        let (on, role) = (part.node().clone(), part.role);
        let skip = part.lines.len().saturating_sub(LAST_LINES);
        UpError::Ended {
            on,
            part: role,
            how: how(&part.place, &part.id).await,
            last: part.lines.iter().skip(skip).map(|line| shown(line)).collect(),
            explained: explained.map(Box::new),
        }
    }

    /// Why a process is not there: one that ended at once has its last words told, as one that ends later.
    pub(super) fn not_started(&self, part: Role, error: DetachedError) -> UpError {
        let DetachedFailure::EndedAtOnce { how, log, .. } = error.what else { return error.into() };
        UpError::Ended {
            on: error.on,
            part,
            how: how.to_string(),
            last: log.iter().map(|line| shown(line)).collect(),
            explained: self.known.explain(self.plan.engine, &log).map(Box::new),
        }
    }
}

/// How a program ended, in words.
async fn how(place: &Place, id: &DetachedId) -> String {
    let listed = place.programs().list(&BTreeMap::new()).await;
    let found = listed.ok().and_then(|list| list.programs.into_iter().find(|it| it.id == *id));
    match found.map(|it| it.state) {
        Some(DetachedState::Ended { how, .. }) => how.to_string(),
        _ => "nobody knows how".to_owned(),
    }
}

/// The last line of each process.
fn newest(watch: &Watch) -> Vec<String> {
    let said = |part: &Watched| {
        let line = part.lines.back().map_or_else(|| "has said nothing".to_owned(), |line| shown(line));
        format!("{} on {}: {line}", part.role, part.node())
    };
    watch.parts().iter().map(said).collect()
}

/// A line of a log, fit to stand in a message.
fn shown(line: &str) -> String {
    among_others(line).trim_start().chars().take(LAST_LINE).collect()
}
