//! Models brought up and taken down.

use super::screen::Screen;
use crate::events::ServeEvent;
use crate::host_name::HostName;
use crate::span::in_words;

/// Whether a model is on its way up by then.
pub(super) fn on_its_way(event: &ServeEvent) -> bool {
    matches!(event, ServeEvent::Stage { .. } | ServeEvent::StageDone { .. } | ServeEvent::Started { .. })
}

pub(super) fn show(screen: &mut Screen, host: Option<&HostName>, event: &ServeEvent) {
    let on = host.map(|host| format!(" on {host}")).unwrap_or_default();
    match event {
        ServeEvent::Stage { what } if screen.on_terminal() => screen.spin(what),
        ServeEvent::Stage { what } => screen.plain(&format!("  {what} ...")),
        ServeEvent::StageDone { what, seconds } => {
            screen.clear();
            screen.line(&format!("  {what}: {}", in_words(*seconds)));
        }
        ServeEvent::Started { part } => screen.line(&format!("  {part}{on} runs")),
        ServeEvent::Ended { part, ending } => screen.line(&format!("  {part}{on} has ended: {ending}")),
        ServeEvent::Removed { container } => screen.line(&format!("  {container}{on} is gone")),
        ServeEvent::Ready { served_name, base_url, seconds } => {
            screen.clear();
            screen.line(&format!("  {served_name} answers at {base_url} after {}", in_words(*seconds)));
        }
    }
}
