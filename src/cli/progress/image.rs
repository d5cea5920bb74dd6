//! Images on their way to nodes.

use std::time::Duration;

use super::screen::Screen;
use crate::events::ImageEvent;
use crate::host_name::HostName;

/// How often it is said off a terminal how far copies are.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

pub(super) fn show(screen: &mut Screen, host: Option<&HostName>, event: &ImageEvent) {
    let Some(host) = host else { return };
    match event {
        ImageEvent::Copying { image, from, bytes, size, seconds } => {
            let text = format!(
                "{image} from {from}: {} of about {}, {}",
                megabytes(*bytes),
                megabytes(*size),
                rate(*bytes, *seconds)
            );
            moves(screen, &text);
        }
        ImageEvent::Pulling { image, status } => moves(screen, &format!("{host} pulls {image}: {status}")),
        ImageEvent::Building { image, status } => moves(screen, &format!("{host} builds {image}: {status}")),
        ImageEvent::Built { image, seconds } => {
            screen.line(&format!("  {host} has built {image} in {seconds:.1} s"));
        }
        ImageEvent::Copied { image, from, bytes, seconds } => screen.line(&format!(
            "  {host} has {image} from {from}: {} in {seconds:.1} s, {}",
            megabytes(*bytes),
            rate(*bytes, *seconds)
        )),
        ImageEvent::Pulled { image, seconds } => {
            screen.line(&format!("  {host} has pulled {image} in {seconds:.1} s"));
        }
        ImageEvent::Detour { image, why } => {
            screen.line(&format!("  {host} gets {image} through this machine: {why}"));
        }
        ImageEvent::Failed { why } => screen.line(&format!("  {host}: {why}")),
    }
}

/// One line in the place of the last on a terminal, one now and then elsewhere.
fn moves(screen: &mut Screen, text: &str) {
    match screen.current() {
        Some(bar) => bar.set_message(text.to_owned()),
        None if screen.on_terminal() => screen.spin(text),
        None if screen.quiet_for(PLAIN_EVERY) => screen.plain(&format!("  {text}")),
        None => {}
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

fn rate(bytes: u64, seconds: f64) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / seconds.max(1e-3))
}
