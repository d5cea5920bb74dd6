//! The log of a run: every event, and what workers and this program log beside, in the order it came.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::events::{Event, EventOrigin, LoadEvent, Observer, RunEvent, StockEvent, What};
use crate::host_name::HostName;
use crate::log_file::{LogError, LogFile};

/// At most one live view of a load, or of a tuner's process, in this time: either may take hours.
const LIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Words in the names of variables whose values are secrets.
const SECRET_WORDS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"];

/// Writes events into the directory of the run they are of.
#[derive(Debug)]
pub(super) struct RunLog {
    file: LogFile,
    live: Option<Instant>,
    /// The same of the processes of a runtime's own tuner, by host.
    processes: HashMap<HostName, Instant>,
}

impl RunLog {
    /// The one log of this process, which whatever is traced goes to as well.
    pub(super) fn of_this_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let file = LogFile::new(secrets(variables));
        // Refused only where there is one already, and then that one is right.
        let _ = tracing::subscriber::set_global_default(subscriber(file.clone()));
        Self::to(file)
    }

    fn to(file: LogFile) -> Self {
        Self { file, live: None, processes: HashMap::new() }
    }

    /// What keeps it from being written, said once.
    pub(super) fn take_trouble(&self) -> Option<LogError> {
        self.file.take_trouble()
    }
}

impl Observer for RunLog {
    fn on(&mut self, event: &Event) {
        match &event.what {
            What::Run(RunEvent::Began { directory, .. }) => self.file.open(directory),
            What::Load(LoadEvent::Queued { .. }) => self.live = None,
            What::Load(LoadEvent::Sending { .. }) => {
                if self.live.is_some_and(|last| last.elapsed() < LIVE_INTERVAL) {
                    return;
                }
                self.live = Some(Instant::now());
            }
            What::Stock(StockEvent::Started { .. }) => {
                if let EventOrigin::Host(name) = &event.from {
                    self.processes.remove(name);
                }
            }
            What::Stock(StockEvent::Running { .. }) => {
                let EventOrigin::Host(name) = &event.from else { return };
                if self.processes.get(name).is_some_and(|last| last.elapsed() < LIVE_INTERVAL) {
                    return;
                }
                self.processes.insert(name.clone(), Instant::now());
            }
            _ => {}
        }
        self.file.line(&event.to_line());
    }
}

/// What is traced, as JSON lines. Of libraries nothing: what they would tell of requests is not known to be harmless.
fn subscriber(file: LogFile) -> impl tracing::Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_ansi(false)
        .with_span_list(false)
        .with_timer(Utc)
        .with_writer(move || file.clone());
    let ours = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("worker", Level::DEBUG)
        .with_target("spark", Level::DEBUG);
    tracing_subscriber::registry().with(lines.with_filter(ours))
}

/// RFC 3339 in UTC, as events have it.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", Timestamp::now())
    }
}

fn secrets(variables: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = String> {
    let is_secret = |name: &str| {
        let name = name.to_ascii_uppercase();
        name.split('_').any(|word| SECRET_WORDS.contains(&word))
    };
    variables.filter(move |(name, _)| is_secret(name)).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::events::{EventOrigin, LiveView, LoadPart, Work};
    use crate::log_file::FILE_NAME;

    fn event(what: impl Into<What>) -> Event {
        Event { at: Timestamp::now(), from: EventOrigin::Harness, what: what.into() }
    }

    fn lines(directory: &std::path::Path) -> Vec<Value> {
        let text = std::fs::read_to_string(directory.join(FILE_NAME)).unwrap();
        assert!(text.ends_with('\n') && !text.contains('\u{1b}'), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn events_and_what_is_traced_stand_in_the_order_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let file = LogFile::new(["sk-0123456789".to_owned()]);
        let mut log = RunLog::to(file.clone());
        tracing::subscriber::with_default(subscriber(file), || {
            tracing::info!(target: "worker", host = "spark-1", "\u{1b}[31mred\u{1b}[0m \"line\" sk-0123456789");
            let directory = dir.path().to_owned();
            log.on(&event(RunEvent::Began { directory, resumed: false }));
            let _span = tracing::info_span!(target: "worker", "compiling", host = "spark-2").entered();
            tracing::debug!(target: "worker", "inside");
            tracing::error!(target: "reqwest::connect", "of a library");
        });
        let lines = lines(dir.path());
        let [traced, began, inside] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(traced["message"], "\u{1b}[31mred\u{1b}[0m \"line\" (hidden)");
        assert_eq!((&traced["host"], &traced["target"]), (&"spark-1".into(), &"worker".into()));
        assert!(traced["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!(began["event"], "began");
        assert_eq!((&inside["message"], &inside["span"]["host"]), (&"inside".into(), &"spark-2".into()));
    }

    #[test]
    fn each_run_has_a_log_of_its_own_and_live_views_are_few() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut log = RunLog::to(LogFile::new([]));
        let (part, work, live) = (LoadPart::WarmUp, Work { done: 0, of: 9 }, LiveView::default());
        for directory in [first.path(), second.path()] {
            log.on(&event(RunEvent::Began { directory: directory.to_owned(), resumed: false }));
            log.on(&event(LoadEvent::Queued { part: part.clone(), work }));
            for _ in 0..100 {
                log.on(&event(LoadEvent::Sending { part: part.clone(), work, seconds: 0.5, live }));
            }
            log.on(&event(LoadEvent::Ended { part: part.clone(), work, seconds: 0.5, live }));
        }
        for directory in [first.path(), second.path()] {
            let told: Vec<_> = lines(directory).iter().map(|line| line["event"].clone()).collect();
            assert_eq!(told, ["began", "queued", "sending", "ended"]);
        }
    }

    #[test]
    fn a_tuner_s_processes_are_seen_seldom_on_each_node() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = RunLog::to(LogFile::new([]));
        log.on(&event(RunEvent::Began { directory: directory.path().to_owned(), resumed: false }));
        let mut say = |host: &str, what: StockEvent| {
            let from = EventOrigin::Host(host.parse().unwrap());
            log.on(&Event { at: Timestamp::now(), from, what: what.into() });
        };
        for batch_size in [64, 16] {
            for host in ["n1", "n2"] {
                say(host, StockEvent::Started { batch_size });
            }
            for _ in 0..100 {
                for host in ["n1", "n2"] {
                    say(host, StockEvent::Running { batch_size, seconds: 2.0, line: None });
                }
            }
        }
        let lines = lines(directory.path());
        for host in ["n1", "n2"] {
            let of_host = lines.iter().filter(|line| line["host"] == host);
            let told: Vec<_> = of_host.map(|line| line["event"].as_str().unwrap()).collect();
            assert_eq!(told, ["started", "running", "started", "running"]);
        }
    }

    #[test]
    fn secrets_are_known_by_their_variables_names() {
        let variables =
            [("HF_TOKEN", "a"), ("OPENAI_API_KEY", " b\n"), ("KEYBOARD", "c"), ("db_password", "d")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(secrets(variables.into_iter()).collect::<Vec<_>>(), ["a", "b", "d"]);
    }
}
