//! The logs of processes that come up, read as they are written: who ends is noticed at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::config_use::ConfigUses;
use super::lines::{self, Heard};
use super::place::Place;
use crate::events::ServeEvent;
use crate::host::detached::{DetachedId, DetachedState};
use crate::host_name::HostName;
use crate::serving::kind::ServingEngine;
use crate::serving::milestone::{Milestone, milestone};
use crate::serving::role::Role;

/// Lines of a log that are kept.
const MOST_LINES: usize = 400;
/// Lines that were written before anybody read.
const LINES_BEFORE: usize = 10_000;
/// How long others are waited for that end because of the first: engines notice within it that they are alone.
const MOMENT: Duration = Duration::from_secs(1);

/// How much further a bar has to be before that is told.
const STEP: f64 = 0.05;

/// Processes that come up.
#[derive(Debug)]
pub(super) struct Watch {
    engine: ServingEngine,
    /// Hears how far each process is.
    progress: mpsc::UnboundedSender<(HostName, ServeEvent)>,
    tell: mpsc::Sender<(usize, Heard)>,
    mail: mpsc::Receiver<(usize, Heard)>,
    parts: Vec<Watched>,
}

/// A process whose log is read.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) role: Role,
    pub(super) id: DetachedId,
    pub(super) place: Place,
    /// Its last lines, the newest at the end.
    pub(super) lines: VecDeque<String>,
    /// How far it is.
    reached: Option<(Milestone, f64)>,
    /// What it has said of config files.
    pub(super) configs: ConfigUses,
    /// Nothing goes on before it has said this.
    until: Option<&'static str>,
    reader: AbortHandle,
}

/// A process that will not come up.
#[derive(Debug)]
pub(super) struct Failed {
    /// Which of those that are watched.
    pub(super) at: usize,
    /// Why nobody knows more of it; none where it has ended.
    pub(super) lost: Option<String>,
}

impl Watched {
    pub(super) fn node(&self) -> &HostName {
        self.place.node()
    }

    /// When it ended, by its host's clock; none where it runs, or nobody knows.
    async fn ended_at(&self) -> Option<Timestamp> {
        let list = self.place.programs().list(&BTreeMap::new()).await.ok()?;
        match list.programs.into_iter().find(|it| it.id == self.id)?.state {
            DetachedState::Ended { at, .. } => at,
            DetachedState::Running { .. } => None,
        }
    }

    /// What is to be told of a line that says how far it is: something new has begun, or a bar has moved on.
    fn advance(&mut self, engine: ServingEngine, line: &str) -> Option<ServeEvent> {
        let reading = milestone(engine, line)?;
        let fraction = reading.fraction.unwrap_or_default();
        let moved = self.reached.is_none_or(|(reached, last)| {
            reached != reading.milestone || (fraction - last).abs() >= STEP || (fraction == 1.0 && last < 1.0)
        });
        if !moved {
            return None;
        }
        self.reached = Some((reading.milestone, fraction));
        let stage = reading.milestone.name().to_owned();
        Some(ServeEvent::Loading { part: self.role.to_string(), stage, fraction: reading.fraction })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watch {
    pub(super) fn new(
        engine: ServingEngine,
        progress: mpsc::UnboundedSender<(HostName, ServeEvent)>,
    ) -> Self {
        let (tell, mail) = mpsc::channel(lines::MAIL);
        Self { engine, progress, tell, mail, parts: Vec::new() }
    }

    /// Read what the program `id` says. With `until`, [`Watch::spoken`] waits for it to say that.
    pub(super) fn add(&mut self, role: Role, place: Place, id: DetachedId, until: Option<&'static str>) {
        let reading =
            lines::follow(place.clone(), id.clone(), LINES_BEFORE, self.parts.len(), self.tell.clone());
        let reader = tokio::spawn(reading).abort_handle();
        self.parts.push(Watched {
            role,
            id,
            place,
            lines: VecDeque::new(),
            reached: None,
            configs: ConfigUses::default(),
            until,
            reader,
        });
    }

    pub(super) fn parts(&self) -> &[Watched] {
        &self.parts
    }

    /// Wait until everybody has said what is waited for.
    pub(super) async fn spoken(&mut self) -> Result<(), Failed> {
        while self.parts.iter().any(|part| part.until.is_some()) {
            self.hear().await?;
        }
        Ok(())
    }

    /// Wait until one fails. Can be given up and asked again.
    pub(super) async fn failure(&mut self) -> Failed {
        loop {
            if let Err(failed) = self.hear().await {
                return failed;
            }
        }
    }

    /// Who has ended, or soon does, where the end of `heard` is heard of first, which is chance: where rank 0 dies, the
    /// others follow at once. In the order of their ends, by the hosts' clocks.
    pub(super) async fn ended(&mut self, heard: usize) -> Vec<usize> {
        let others = async {
            loop {
                // Their last lines are worth hearing, their ends are asked for.
                _ = self.hear().await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(MOMENT, others).await;
        let ends = join_all(self.parts.iter().map(Watched::ended_at)).await;
        let mut ended: Vec<_> =
            ends.into_iter().enumerate().filter_map(|(at, end)| Some((end?, at))).collect();
        ended.sort_unstable();
        if ended.is_empty() { vec![heard] } else { ended.into_iter().map(|(_, at)| at).collect() }
    }

    /// The next line of any of them.
    async fn hear(&mut self) -> Result<(), Failed> {
        // It never ends: we could tell it something ourselves.
        let Some((at, heard)) = self.mail.recv().await else { return std::future::pending().await };
        match heard {
            Heard::Line(line) => {
                let part = &mut self.parts[at];
                if let Some(event) = part.advance(self.engine, &line) {
                    // Whoever hears no more needs no news.
                    _ = self.progress.send((part.node().clone(), event));
                }
                part.configs.add(&line);
                if part.until.is_some_and(|words| line.contains(words)) {
                    part.until = None;
                }
                if part.lines.len() == MOST_LINES {
                    part.lines.pop_front();
                }
                part.lines.push_back(line);
                Ok(())
            }
            Heard::Ended => Err(Failed { at, lost: None }),
            Heard::Lost(why) => Err(Failed { at, lost: Some(why) }),
        }
    }
}
