//! The server's own metrics, read beside a run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::bench::server::Endpoints;
use crate::bench::server::metrics::{Scraped, scrape};
use crate::bench::summary::MetricsSample;

/// Reads the metrics before, during and after a run. A server without any is left alone after the first try.
#[derive(Debug)]
pub(super) struct Watch {
    endpoints: Endpoints,
    every: Option<Duration>,
    seen: Arc<Mutex<Vec<Scraped>>>,
    reading: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn new(endpoints: Endpoints, every: Option<Duration>) -> Self {
        Self { endpoints, every, seen: Arc::default(), reading: None }
    }

    /// Read them once. What cannot be read is missing, which the summary shows; it fails no run.
    pub(super) async fn look(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.abort();
        }
        if self.every.is_none() {
            return;
        }
        match scrape(&self.endpoints).await {
            Ok(Some(scraped)) => self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(scraped),
            Ok(None) | Err(_) => self.every = None,
        }
    }

    /// Read them on and on, until the next look.
    pub(super) fn start(&mut self) {
        let Some(every) = self.every else { return };
        let (endpoints, seen) = (self.endpoints.clone(), self.seen.clone());
        self.reading = Some(tokio::spawn(async move {
            let mut tick = tokio::time::interval_at((Instant::now() + every).into(), every);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tick.tick().await;
                if let Ok(Some(scraped)) = scrape(&endpoints).await {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(scraped);
                }
            }
        }));
    }

    /// Everything read, by the clock of a run that began then.
    pub(super) fn samples(self, began: Instant) -> Vec<MetricsSample> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.into_iter().map(|scraped| scraped.sample(began)).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.abort();
        }
    }
}
