//! A server under load.

use std::time::Duration;

use super::screen::Screen;
use crate::events::{LiveView, LoadEvent, LoadPart, Work};

/// Off a terminal, at most one line of progress in this time.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

const SENDING: &str = "  {prefix} {wide_bar} {pos}/{len} {elapsed} (eta {eta}) {msg}";

pub(super) fn show(screen: &mut Screen, event: &LoadEvent) {
    match event {
        LoadEvent::Preparing { requests } => screen.spin(&format!("making {requests} prompts")),
        LoadEvent::Calibrating { streams } => screen.spin(&format!("{streams} streams")),
        LoadEvent::Prepared { .. } | LoadEvent::Calibrated { .. } => screen.clear(),
        LoadEvent::Queued { part, work } => screen.start(*work, SENDING, &part.to_string(), Duration::ZERO),
        LoadEvent::Sending { part, work, seconds, live } => {
            if let Some(bar) = screen.current() {
                bar.set_position(work.done);
                bar.set_message(words(live, *seconds));
            }
            if screen.quiet_for(PLAIN_INTERVAL) {
                screen.plain(&line(part, *work, live, *seconds));
            }
        }
        LoadEvent::Ended { part, work, seconds, live } => {
            screen.plain(&line(part, *work, live, *seconds));
            screen.clear();
        }
    }
}

fn line(part: &LoadPart, work: Work, live: &LiveView, seconds: f64) -> String {
    format!("  {part}: {}/{} ended: {}", work.done, work.of, words(live, seconds))
}

/// `37 done, 1 failed, 812.4 tok/s, TTFT 131 ms, ITL 21.3 ms`, means so far.
fn words(live: &LiveView, seconds: f64) -> String {
    let LiveView { sent: _, done, failed, tokens, mean_ttft_ms, mean_itl_ms } = *live;
    let mut words = format!("{done} done, {failed} failed, {:.1} tok/s", tokens as f64 / seconds.max(1e-3));
    for (name, mean) in [("TTFT", mean_ttft_ms), ("ITL", mean_itl_ms)] {
        if let Some(ms) = mean {
            words += &format!(", {name} {ms:.*} ms", if ms < 100.0 { 1 } else { 0 });
        }
    }
    words
}
