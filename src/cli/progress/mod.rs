//! Progress on stderr: bars on a terminal, plain lines elsewhere.

mod image;
mod load;
mod nodes;
mod screen;
mod serve;
mod stock;
mod tune;

use indicatif::MultiProgress;

use self::nodes::Nodes;
use self::screen::Screen;
use self::serve::Serving;
use self::tune::Tuning;
use crate::events::{CommandEvent, Event, EventOrigin, MockEvent, Observer, Pace, SetupEvent, What};

/// Shows events to people.
#[derive(Debug, Default)]
pub(super) struct Progress {
    screen: Screen,
    nodes: Nodes,
    /// Of what is compiled or measured.
    pace: Pace,
    serving: Serving,
}

impl Progress {
    /// The bars, for whoever writes to the same terminal.
    pub(super) fn bars(&self) -> MultiProgress {
        self.screen.bars()
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event) {
        let Self { screen, nodes, pace, serving } = self;
        let host = match &event.from {
            EventOrigin::Harness => None,
            EventOrigin::Host(name) => Some(name),
        };
        match &event.what {
            What::Note { text } => screen.line(&format!("warning: {text}")),
            What::Command(CommandEvent::Stopping) if serving.is_starting() => {
                screen.line("stopping: what was started is taken down ...");
            }
            What::Command(CommandEvent::Stopping) => screen.line("stopping: results so far are kept ..."),
            What::Command(CommandEvent::Failed { exit_code: _, message, causes, hint }) => {
                screen.clear();
                screen.line(&format!("error: {message}"));
                for cause in causes {
                    screen.line(&format!("caused by: {cause}"));
                }
                if let Some(hint) = hint {
                    screen.line(&format!("hint: {hint}"));
                }
            }
            What::Run(_) | What::File(_) => {}
            What::Setup(SetupEvent::Ready) => screen.clear(),
            What::Setup(step) => screen.spin(&setup_words(step)),
            What::Node(event) => nodes.on(screen, host, event),
            What::Compile(told) => Tuning { screen, nodes, pace, at: event.at }.compile(host, told),
            What::Measure(told) => Tuning { screen, nodes, pace, at: event.at }.measure(host, told),
            What::Stock(event) => stock::show(screen, nodes, host, event),
            What::Load(event) => load::show(screen, event),
            What::Image(event) => image::show(screen, host, event),
            What::Serve(event) => serving.on(screen, host, event),
            What::Mock(MockEvent::Listening { url, model }) => {
                screen.line(&format!("  {model} on {url}; Ctrl-C stops it"));
            }
        }
    }
}

fn setup_words(step: &SetupEvent) -> String {
    match step {
        SetupEvent::Waiting => "waiting for another run that prepares the environment".into(),
        SetupEvent::VirtualEnvironment { triton } => {
            format!("making a virtual environment for Triton {triton}")
        }
        SetupEvent::InstallTriton { triton } => format!("installing Triton {triton} (about 200 MB)"),
        SetupEvent::InstallAssembler => "installing an assembler that knows sm_121a (about 40 MB)".into(),
        SetupEvent::FetchSglang { version } => format!("fetching SGLang {version}'s wheel"),
        SetupEvent::UnpackSglang { version } => format!("unpacking SGLang {version}"),
        SetupEvent::Ready => "the environment is whole".into(),
    }
}

#[cfg(test)]
mod tests;
