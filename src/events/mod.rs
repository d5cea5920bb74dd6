//! What happened while a command worked, said once. Progress bars, event lines and the log are its readers.
//!
//! An event is a fact by itself: it says when, where and what, as plain data, and needs no other event before or
//! after it. Sentences are made by whoever shows it.
//! `docs/events.md` lists every one as programs read it.

mod command;
mod compile;
mod file;
mod image;
mod line;
mod load;
mod measure;
mod mock;
mod node;
mod pace;
mod run;
mod serve;
mod setup;
mod stock;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::host_name::HostName;

pub use command::CommandEvent;
pub use compile::{CompileEvent, NoBinary};
pub use file::FileEvent;
pub use image::ImageEvent;
pub use line::VERSION;
pub use load::{LiveView, LoadEvent, LoadPart};
pub use measure::{DecisionGrounds, MeasureEvent, Seen, SpeedupSeen};
pub use mock::MockEvent;
pub use node::{Left, NodeEvent};
pub use pace::Pace;
pub use run::RunEvent;
pub use serve::ServeEvent;
pub use setup::SetupEvent;
pub use stock::StockEvent;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the harness's clock.
    pub at: Timestamp,
    /// Where.
    #[serde(rename = "host")]
    pub from: EventOrigin,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Where something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOrigin {
    /// In this program.
    Harness,
    /// On a host that works for it.
    Host(HostName),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum What {
    /// Something the user should know that stops nothing.
    Note {
        /// A sentence for people.
        text: String,
    },
    /// The command comes to an early end.
    Command(CommandEvent),
    /// A run has its directory.
    Run(RunEvent),
    /// The environment that compiles kernels is made.
    Setup(SetupEvent),
    /// A node comes or goes.
    Node(NodeEvent),
    /// Kernels are compiled.
    Compile(CompileEvent),
    /// Kernels are timed.
    Measure(MeasureEvent),
    /// A runtime's own tuner is at work.
    Stock(StockEvent),
    /// A server is measured.
    Load(LoadEvent),
    /// A mock server answers.
    Mock(MockEvent),
    /// An image is on its way to a node.
    Image(ImageEvent),
    /// A model is brought up or taken down.
    Serve(ServeEvent),
    /// Files are written.
    File(FileEvent),
}

/// How far some work is: all that a bar needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Ended, however it ended.
    pub done: u64,
    /// All there is.
    pub of: u64,
}

/// Somebody who wants to know.
pub trait Observer {
    /// Called for every event, in order.
    fn on(&mut self, event: &Event);
}

/// What emitters say things with.
impl dyn Observer + '_ {
    /// It happened here and now.
    pub fn say(&mut self, what: impl Into<What>) {
        self.on(&Event { at: Timestamp::now(), from: EventOrigin::Harness, what: what.into() });
    }

    /// It happened on `host`, and is heard of now.
    pub fn say_from(&mut self, host: &HostName, what: impl Into<What>) {
        self.on(&Event { at: Timestamp::now(), from: EventOrigin::Host(host.clone()), what: what.into() });
    }

    /// Something the user should know that stops nothing.
    pub fn note(&mut self, text: impl Into<String>) {
        self.say(What::Note { text: text.into() });
    }
}

/// Hears nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&mut self, _: &Event) {}
}

#[cfg(test)]
impl Observer for Vec<Event> {
    fn on(&mut self, event: &Event) {
        self.push(event.clone());
    }
}

impl Work {
    /// So many of so many.
    pub fn new(done: usize, of: usize) -> Self {
        Self { done: done as u64, of: of as u64 }
    }

    /// Whether nothing is left.
    pub fn is_done(self) -> bool {
        self.done >= self.of
    }
}

/// A host's name, or null for the harness.
impl<'de> Deserialize<'de> for EventOrigin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(EventOrigin::Harness, EventOrigin::Host))
    }
}

/// The host's name, or null for the harness.
impl Serialize for EventOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            EventOrigin::Harness => serializer.serialize_none(),
            EventOrigin::Host(name) => name.serialize(serializer),
        }
    }
}

macro_rules! what_from {
    ($($kind:ident($event:ty)),* $(,)?) => {
        $(impl From<$event> for What {
            fn from(event: $event) -> Self {
                What::$kind(event)
            }
        })*
    };
}

what_from!(
    Command(CommandEvent),
    Run(RunEvent),
    Setup(SetupEvent),
    Node(NodeEvent),
    Compile(CompileEvent),
    Measure(MeasureEvent),
    Stock(StockEvent),
    Load(LoadEvent),
    Mock(MockEvent),
    Image(ImageEvent),
    Serve(ServeEvent),
    File(FileEvent),
);

#[cfg(test)]
mod tests;
