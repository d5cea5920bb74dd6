//! How a run stands, by what was said of it. Pure.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resume_line;
use crate::commands::Output;
use crate::events::{
    CommandEvent, CompileEvent, Event, EventOrigin, Left, MeasureEvent, NodeEvent, Pace, RunEvent,
    StockEvent, What, Work,
};
use crate::host_name::HostName;
use crate::journal::Writer;
use crate::span::in_words;

/// The last session of a run.
#[derive(Debug, Default)]
pub(super) struct RunView {
    began: Option<Timestamp>,
    resumed: bool,
    last: Option<Timestamp>,
    compiling: Option<(Work, Pace)>,
    measuring: Option<(Work, Pace)>,
    /// By a runtime's own tuner.
    tuning: Option<(Work, Pace)>,
    /// Whether that has ended with every batch size: there may be no file all the same.
    all_tuned: bool,
    /// Measuring of the run so far: launches and seconds.
    measured: Option<(u64, f64)>,
    nodes: BTreeMap<HostName, NodeView>,
    files: Vec<String>,
    failed: Option<CommandEvent>,
}

/// One node of the session.
#[derive(Debug, Default)]
struct NodeView {
    gpu: Option<String>,
    /// Who uses its GPU, while it waits for that to end.
    waits: Option<String>,
    /// How it left; none while it works or waits.
    left: Option<Left>,
    compiled: u64,
    without_binary: u64,
    rounds: u64,
    /// What it ended last, and when.
    last: Option<(Timestamp, String)>,
}

/// What has become of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    Stopped,
    /// It ended without a word.
    Killed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Ended => "ended",
            State::Stopped => "stopped",
            State::Killed => "killed",
        }
    }
}

impl RunView {
    /// One more event, in the order of the log.
    pub(super) fn hears(&mut self, event: &Event) {
        self.last = Some(event.at);
        let node = match &event.from {
            EventOrigin::Host(name) => Some(name),
            EventOrigin::Harness => None,
        };
        match &event.what {
            What::Run(RunEvent::Began { resumed, .. }) => {
                let (began, last) = (Some(event.at), Some(event.at));
                *self = Self { began, last, resumed: *resumed, ..Self::default() };
            }
            What::Node(told) => self.comes_or_goes(node, told),
            What::Compile(CompileEvent::Queued { work }) => {
                self.compiling = Some((*work, Pace::begin(event.at, *work)));
            }
            What::Compile(CompileEvent::Ended { role, tile, failed, work, .. }) => {
                go_on(&mut self.compiling, event.at, *work);
                let Some(node) = self.node(node) else { return };
                node.compiled += 1;
                node.without_binary += u64::from(failed.is_some());
                node.last = Some((event.at, format!("{role} {tile}")));
            }
            What::Measure(told) => self.measures(event.at, node, told),
            What::Stock(told) => self.tunes(event.at, node, told),
            What::File(crate::events::FileEvent::Written { path, .. }) => self.files.push(path.clone()),
            What::Command(failed @ CommandEvent::Failed { .. }) => self.failed = Some(failed.clone()),
            _ => {}
        }
    }

    fn comes_or_goes(&mut self, name: Option<&HostName>, event: &NodeEvent) {
        let Some(node) = self.node(name) else { return };
        match event {
            NodeEvent::Joined { gpu, .. } => {
                (node.gpu, node.waits, node.left) = (gpu.clone(), None, None);
            }
            NodeEvent::Waiting { why } => node.waits = Some(why.clone()),
            NodeEvent::Left { how } => (node.waits, node.left) = (None, Some(how.clone())),
        }
    }

    fn measures(&mut self, at: Timestamp, name: Option<&HostName>, event: &MeasureEvent) {
        match event {
            MeasureEvent::Queued { work } => self.measuring = Some((*work, Pace::begin(at, *work))),
            MeasureEvent::Resumed { launches, seconds, work, .. } => {
                self.measured = Some((*launches, *seconds));
                self.measuring = Some((*work, Pace::begin(at, *work)));
            }
            MeasureEvent::Round { batch_size, launches, seconds } => {
                self.measured = Some((*launches, *seconds));
                let Some(node) = self.node(name) else { return };
                node.rounds += 1;
                node.last = Some((at, format!("batch size {batch_size}")));
            }
            MeasureEvent::Decided { work, .. } | MeasureEvent::Ended { work, .. } => {
                go_on(&mut self.measuring, at, *work);
            }
            MeasureEvent::Unsteady { .. } | MeasureEvent::Judged { .. } => {}
        }
    }

    fn tunes(&mut self, at: Timestamp, name: Option<&HostName>, event: &StockEvent) {
        let does = match event {
            StockEvent::Queued { work } => {
                self.tuning = Some((*work, Pace::begin(at, *work)));
                return;
            }
            StockEvent::Started { batch_size } => format!("batch size {batch_size}"),
            StockEvent::Running { batch_size, line, .. } => {
                format!("batch size {batch_size}: {}", line.as_deref().unwrap_or("no word yet"))
            }
            StockEvent::Tuned { batch_size, work, .. } => {
                go_on(&mut self.tuning, at, *work);
                format!("batch size {batch_size} tuned")
            }
            StockEvent::Failed { batch_size, why, .. } => format!("batch size {batch_size} failed: {why}"),
            StockEvent::Ended { work } => {
                self.all_tuned = work.done == work.of;
                return go_on(&mut self.tuning, at, *work);
            }
        };
        if let Some(node) = self.node(name) {
            node.last = Some((at, does));
        }
    }

    fn node(&mut self, name: Option<&HostName>) -> Option<&mut NodeView> {
        Some(self.nodes.entry(name?.clone()).or_default())
    }

    fn state(&self, writer: Option<Writer>) -> State {
        let all_left = !self.nodes.is_empty() && self.nodes.values().all(|node| node.left.is_some());
        match (writer, &self.failed) {
            (Some(_), _) => State::Running,
            (None, Some(_)) => State::Stopped,
            (None, None) if all_left || self.all_tuned || !self.files.is_empty() => State::Ended,
            (None, None) => State::Killed,
        }
    }

    /// For people, as of `now`.
    pub(super) fn show(
        &self,
        run: &Path,
        writer: Option<Writer>,
        now: Timestamp,
        out: &mut dyn Output,
    ) -> io::Result<()> {
        let state = self.state(writer);
        let process = writer.and_then(|writer| writer.process).map(|id| format!(" (process {id})"));
        let since = self.began.map(|began| {
            let until = if state == State::Running { now } else { self.last.unwrap_or(now) };
            format!(
                ", {} {}",
                if self.resumed { "resumed, for" } else { "for" },
                in_words(seconds(began, until))
            )
        });
        let [process, since] = [process, since].map(Option::unwrap_or_default);
        out.line(&format!("{}: {}{process}{since}", run.display(), state.word()))?;
        for (what, unit, went) in [
            ("compiled", "kernels", &self.compiling),
            ("decided", "batch sizes", &self.measuring),
            ("tuned", "batch sizes", &self.tuning),
        ] {
            let Some((work, pace)) = went else { continue };
            let pace = pace.in_words().filter(|_| state == State::Running).map(|words| format!(", {words}"));
            out.line(&format!("  {what} {}/{} {unit}{}", work.done, work.of, pace.unwrap_or_default()))?;
        }
        if let Some((launches, measured_s)) = self.measured {
            out.line(&format!("  measured for {}, {launches} launches", in_words(measured_s)))?;
        }
        if !self.nodes.is_empty() {
            let rows: Vec<_> = self.nodes.iter().map(|(name, node)| node.row(name, now)).collect();
            out.table(&["node", "", "GPU", "compiled", "no binary", "rounds", "last"], &rows)?;
        }
        for path in &self.files {
            out.line(&format!("  wrote {path}"))?;
        }
        if let (State::Stopped, Some(CommandEvent::Failed { message, hint, .. })) = (state, &self.failed) {
            out.line(&format!("  {message}"))?;
            if let Some(hint) = hint {
                out.line(&format!("  {hint}"))?;
            }
        }
        if state == State::Killed {
            out.line(&format!("  it ended without a word; go on with: {}", resume_line(run)))?;
        }
        Ok(())
    }

    /// For programs, as of `now`.
    pub(super) fn json(&self, run: &Path, writer: Option<Writer>, now: Timestamp) -> Value {
        let work = |went: &Option<(Work, Pace)>| {
            went.as_ref().map(|(work, pace)| {
                let left = pace.remaining().map(|left| left.as_secs_f64());
                json!({"done": work.done, "of": work.of, "per_second": pace.per_second(), "remaining_s": left})
            })
        };
        let node = |(name, node): (&HostName, &NodeView)| {
            json!({
                "node": name,
                "works": node.left.is_none() && node.waits.is_none(),
                "waits": node.waits,
                "left": node.left,
                "gpu": node.gpu,
                "compiled": node.compiled,
                "without_binary": node.without_binary,
                "rounds": node.rounds,
                "last": node.last.as_ref().map(|(_, what)| what),
                "last_s_ago": node.last.as_ref().map(|(at, _)| seconds(*at, now)),
            })
        };
        json!({
            "run": run,
            "state": self.state(writer).word(),
            "process": writer.and_then(|writer| writer.process),
            "began": self.began,
            "resumed": self.resumed,
            "compiling": work(&self.compiling),
            "measuring": work(&self.measuring),
            "tuning": work(&self.tuning),
            "measured_s": self.measured.map(|(_, seconds)| seconds),
            "launches": self.measured.map(|(launches, _)| launches),
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "files": self.files,
            "failed": self.failed.as_ref().map(failed),
        })
    }
}

impl NodeView {
    fn row(&self, name: &HostName, now: Timestamp) -> Vec<String> {
        let state = match (&self.left, &self.waits) {
            (None, None) => "works".to_owned(),
            (None, Some(why)) => format!("waits: {why}"),
            (Some(Left::Drained), _) => "done".to_owned(),
            (Some(left), _) => left.why(),
        };
        let last =
            self.last.as_ref().map(|(at, what)| format!("{what}, {} ago", in_words(seconds(*at, now))));
        let counts = [self.compiled, self.without_binary, self.rounds].map(|count| count.to_string());
        let [compiled, without_binary, rounds] = counts;
        let gpu = self.gpu.clone().unwrap_or_default();
        vec![name.to_string(), state, gpu, compiled, without_binary, rounds, last.unwrap_or_default()]
    }
}

fn failed(event: &CommandEvent) -> Value {
    match event {
        CommandEvent::Failed { exit_code, message, hint, .. } => {
            json!({"exit_code": exit_code, "message": message, "hint": hint})
        }
        CommandEvent::Stopping => Value::Null,
    }
}

fn go_on(went: &mut Option<(Work, Pace)>, at: Timestamp, work: Work) {
    let (done, pace) = went.get_or_insert_with(|| (work, Pace::begin(at, work)));
    *done = work;
    pace.sees(at, work);
}

/// None where the clock was set back.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests;
