//! Who hears of what happens: the reader of stderr, a person or a program, and the log of the run.

use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};

use super::event_lines::EventLines;
use super::progress::Progress;
use super::run_log::RunLog;
use crate::events::{Event, Observer};

/// How events are told on stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EventForm {
    /// Bars on a terminal, sentences elsewhere
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// All who hear, for all who have something to tell.
#[derive(Debug, Clone)]
pub(super) struct Audience(Arc<Mutex<Readers>>);

#[derive(Debug)]
struct Readers {
    stderr: Reader,
    log: RunLog,
}

#[derive(Debug)]
enum Reader {
    Person(Progress),
    Program(EventLines),
}

impl Audience {
    /// One that reads `form`.
    pub(super) fn of(form: EventForm) -> Self {
        let reader = match form {
            EventForm::Text => Reader::Person(Progress::default()),
            EventForm::Json => Reader::Program(EventLines),
        };
        Self(Arc::new(Mutex::new(Readers { stderr: reader, log: RunLog::of_this_process() })))
    }

    /// The bars on the terminal, for whoever else writes there.
    pub(super) fn bars(&self) -> MultiProgress {
        match &self.0.lock().unwrap_or_else(PoisonError::into_inner).stderr {
            Reader::Person(progress) => progress.bars(),
            Reader::Program(_) => MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
        }
    }
}

impl Observer for Audience {
    fn on(&mut self, event: &Event) {
        let Readers { stderr, log } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stderr.on(event);
        log.on(event);
        if let Some(trouble) = log.take_trouble() {
            (stderr as &mut dyn Observer).note(trouble.to_string());
        }
    }
}

impl Observer for Reader {
    fn on(&mut self, event: &Event) {
        match self {
            Reader::Person(progress) => progress.on(event),
            Reader::Program(lines) => lines.on(event),
        }
    }
}
