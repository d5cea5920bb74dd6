//! A runtime's own tuner at work.

use std::time::Duration;

use super::nodes::Nodes;
use super::screen::Screen;
use crate::events::StockEvent;
use crate::host_name::HostName;
use crate::span::in_words;

/// Off a terminal, at most one line of progress in this time: a batch size takes hours.
const PLAIN_INTERVAL: Duration = Duration::from_secs(60);

const TUNING: &str = "  {prefix} {wide_bar} {pos}/{len} batch sizes {elapsed} {msg}";

pub(super) fn show(screen: &mut Screen, nodes: &mut Nodes, host: Option<&HostName>, event: &StockEvent) {
    let on =
        host.filter(|host| **host != HostName::local()).map(|host| format!("{host}: ")).unwrap_or_default();
    match event {
        StockEvent::Queued { work } => screen.start(*work, TUNING, "tuning", Duration::ZERO),
        StockEvent::Started { batch_size } => {
            nodes.works(host);
            nodes.does(screen, host, &format!("batch size {batch_size}"));
            screen.plain(&format!("  {on}batch size {batch_size} ..."));
        }
        StockEvent::Running { batch_size, seconds, line } => {
            let line = line.as_deref().unwrap_or("no word yet");
            let words = format!("batch size {batch_size}, {}: {line}", in_words(*seconds));
            nodes.does(screen, host, &words);
            if screen.quiet_for(PLAIN_INTERVAL) {
                screen.plain(&format!("  {on}{words}"));
            }
        }
        StockEvent::Tuned { batch_size, config, seconds, work } => {
            if let Some(bar) = screen.current() {
                bar.set_position(work.done);
            }
            let words = format!("  {on}batch size {batch_size}: {config} after {}", in_words(*seconds));
            screen.plain(&format!("{words} ({}/{})", work.done, work.of));
        }
        StockEvent::Failed { batch_size, why, again } => {
            let then = if *again { "it is tried again" } else { "it is given up" };
            screen.line(&format!("  {on}batch size {batch_size}: {why}; {then}"));
        }
        StockEvent::Ended { .. } => screen.clear(),
    }
}
