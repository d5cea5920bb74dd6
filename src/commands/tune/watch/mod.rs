//! `sparktune watch`: what a run does, told by the log in its directory, from any terminal that sees that.

mod follow;
mod view;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::follow::Follow;
use self::view::RunView;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{CommandEvent, Event, Observer, What};
use crate::failure::{Failure, Kind};
use crate::journal::{Writer, written_by};

/// How often it is looked for more.
const PERIOD: Duration = Duration::from_millis(250);

/// What is watched.
#[derive(Debug)]
pub struct WatchSettings {
    /// The run's directory.
    pub run: PathBuf,
    /// Say how it stands now, and end.
    pub once: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// What cannot be watched.
#[derive(Debug, thiserror::Error)]
enum CannotWatch {
    #[error("`{run}` has no {}: nobody can say what that run did", crate::log_file::FILE_NAME, run = run.display())]
    NoLog { run: PathBuf },
    #[error("cannot read the log `{log}`: {source}", log = log.display())]
    Log { log: PathBuf, source: std::io::Error },
    #[error("stopped watching; the run goes on")]
    Interrupted,
}

impl Failure for CannotWatch {
    fn kind(&self) -> Kind {
        match self {
            Self::NoLog { .. } => Kind::Input,
            Self::Log { .. } => Kind::Environment,
            Self::Interrupted => Kind::Interrupted,
        }
    }
}

/// Tell `observer` what the run does until it ends, then say how it stands.
pub async fn run(
    settings: &WatchSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let mut log = Follow::new(&settings.run);
    let mut view = RunView::default();
    let mut following = false;
    let writer = loop {
        // Asked first: what is read afterwards is all that a writer who has ended has written.
        let writer = written_by(&settings.run)?;
        let events = log.read().map_err(|source| CannotWatch::Log { log: log.path().to_owned(), source })?;
        events.iter().for_each(|event| view.hears(event));
        let goes_on = writer.is_some() && !settings.once;
        // Of what was there at first, the last session's.
        let from = if following { 0 } else { events.iter().rposition(is_begin).unwrap_or(0) };
        following |= goes_on;
        if following {
            events[from..].iter().filter(|event| is_news(event)).for_each(|event| observer.on(event));
        }
        if !goes_on {
            break writer;
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = cancel.cancelled() => return Err(CannotWatch::Interrupted.into()),
        }
    };
    if !log.is_there() && writer.is_none() {
        return Err(CannotWatch::NoLog { run: settings.run.clone() }.into());
    }
    show(settings, &view, writer, out).map_err(OutputError)?;
    Ok(Verdict::Done)
}

fn show(
    settings: &WatchSettings,
    view: &RunView,
    writer: Option<Writer>,
    out: &mut dyn Output,
) -> std::io::Result<()> {
    match settings.json {
        true => out.json(&view.json(&settings.run, writer, Timestamp::now())),
        false => view.show(&settings.run, writer, Timestamp::now(), out),
    }
}

fn is_begin(event: &Event) -> bool {
    matches!(event.what, What::Run(_))
}

/// What is no news of the run is not told again: where it lies, and that another command has ended.
fn is_news(event: &Event) -> bool {
    !matches!(event.what, What::Run(_) | What::Command(CommandEvent::Failed { .. }))
}

/// The command that goes on with the run in `dir`.
fn resume_line(dir: &Path) -> String {
    format!("sparktune moe --resume '{}'", dir.display())
}
