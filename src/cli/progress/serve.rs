//! Models brought up and taken down: a bar for each process that loads.

use std::collections::BTreeMap;

use indicatif::ProgressBar;

use super::screen::Screen;
use crate::events::ServeEvent;
use crate::host_name::HostName;
use crate::span::in_words;

const BAR: &str = "  {prefix} {bar:30} {msg}";
/// How finely a bar is drawn.
const WHOLE: u64 = 1000;

/// A model on its way up.
#[derive(Debug, Default)]
pub(super) struct Serving {
    /// Whether one is.
    starting: bool,
    /// What each process does, and its bar on a terminal.
    loading: BTreeMap<(HostName, String), (String, Option<ProgressBar>)>,
}

impl Serving {
    /// Whether a model is on its way up.
    pub(super) fn is_starting(&self) -> bool {
        self.starting
    }

    pub(super) fn on(&mut self, screen: &mut Screen, host: Option<&HostName>, event: &ServeEvent) {
        match event {
            ServeEvent::Stage { .. } | ServeEvent::StageDone { .. } | ServeEvent::Started { .. } => {
                self.starting = true;
            }
            ServeEvent::Loading { part, stage, fraction } => {
                if let Some(host) = host {
                    self.load(screen, host, part, stage, *fraction);
                }
            }
            ServeEvent::Ended { .. } | ServeEvent::Removed { .. } | ServeEvent::Ready { .. } => self.clear(),
        }
        show(screen, host, event);
    }

    /// Off a terminal a line where something new has begun.
    fn load(&mut self, screen: &mut Screen, host: &HostName, part: &str, stage: &str, fraction: Option<f64>) {
        let key = (host.clone(), part.to_owned());
        let (now, bar) = self.loading.entry(key).or_insert_with(|| {
            let bar = screen.below(BAR).map(|bar| bar.with_prefix(format!("{host} {part}")));
            if let Some(bar) = &bar {
                bar.set_length(WHOLE);
            }
            (String::new(), bar)
        });
        match bar {
            Some(bar) => {
                // Between 0 and 1.
                bar.set_position((fraction.unwrap_or_default().clamp(0.0, 1.0) * WHOLE as f64) as u64);
                bar.set_message(stage.to_owned());
            }
            None if now != stage => screen.plain(&format!("  {part} on {host}: {stage}")),
            None => {}
        }
        stage.clone_into(now);
    }

    fn clear(&mut self) {
        self.starting = false;
        for (_, bar) in std::mem::take(&mut self.loading).into_values() {
            bar.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

fn show(screen: &mut Screen, host: Option<&HostName>, event: &ServeEvent) {
    let on = host.map(|host| format!(" on {host}")).unwrap_or_default();
    match event {
        ServeEvent::Stage { what } if screen.on_terminal() => screen.spin(what),
        ServeEvent::Stage { what } => screen.plain(&format!("  {what} ...")),
        ServeEvent::StageDone { what, seconds } => {
            screen.clear();
            screen.line(&format!("  {what}: {}", in_words(*seconds)));
        }
        ServeEvent::Started { part } => screen.line(&format!("  {part}{on} runs")),
        ServeEvent::Loading { .. } => {}
        ServeEvent::Ended { part, ending } => screen.line(&format!("  {part}{on} has ended: {ending}")),
        ServeEvent::Removed { container } => screen.line(&format!("  {container}{on} is gone")),
        ServeEvent::Ready { served_name, base_url, seconds } => {
            screen.clear();
            screen.line(&format!("  {served_name} answers at {base_url} after {}", in_words(*seconds)));
        }
    }
}
