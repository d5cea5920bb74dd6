//! What is told of copies while they go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::error::ImageSyncError;
use crate::events::ImageEvent;
use crate::host::engine::{Engine, Image, ImageName};
use crate::host_name::HostName;

/// How often it is told how far a copy is.
pub(super) const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What happened on which node.
pub type Told = (HostName, ImageEvent);

/// One image on its way from one node to several at once.
pub(super) struct Copying<'a> {
    name: &'a ImageName,
    from: &'a HostName,
    /// Bytes as the engine counts them that gives it.
    size: u64,
    targets: Vec<&'a Engine>,
    tell: &'a UnboundedSender<Told>,
    begun: Instant,
    sent: AtomicU64,
    /// When it was told last, milliseconds since it begun.
    told: AtomicU64,
}

impl<'a> Copying<'a> {
    pub(super) fn begin(
        name: &'a ImageName,
        image: &Image,
        from: &'a HostName,
        targets: Vec<&'a Engine>,
        tell: &'a UnboundedSender<Told>,
    ) -> Self {
        let (begun, sent, told) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
        Self { name, from, size: image.bytes, targets, tell, begun, sent, told }
    }

    /// So many bytes are on their way, in all.
    pub(super) fn sent(&self, bytes: u64) {
        self.sent.store(bytes, Ordering::Relaxed);
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.told.load(Ordering::Relaxed)) < TOLD_EVERY.as_millis() as u64 {
            return;
        }
        self.told.store(now, Ordering::Relaxed);
        for target in &self.targets {
            let (image, from) = (self.name.to_string(), self.from.clone());
            let (size, seconds) = (self.size, self.begun.elapsed().as_secs_f64());
            say(self.tell, target, ImageEvent::Copying { image, from, bytes, size, seconds });
        }
    }

    /// `target` has it, and it is the same.
    pub(super) fn done(&self, target: &Engine) {
        let (image, from) = (self.name.to_string(), self.from.clone());
        let (bytes, seconds) = (self.sent.load(Ordering::Relaxed), self.begun.elapsed().as_secs_f64());
        say(self.tell, target, ImageEvent::Copied { image, from, bytes, seconds });
    }
}

/// Tell that `target` does not get it.
pub(super) fn failed<T>(
    target: &Engine,
    error: ImageSyncError,
    tell: &UnboundedSender<Told>,
) -> Result<T, ImageSyncError> {
    say(tell, target, ImageEvent::Failed { why: error.problem() });
    Err(error)
}

pub(super) fn say(tell: &UnboundedSender<Told>, on: &Engine, event: ImageEvent) {
    // Whoever listens no more wants to know no more.
    let _ = tell.send((on.node().clone(), event));
}
