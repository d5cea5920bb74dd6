//! Ctrl-C and SIGTERM: the first asks for an orderly stop, the second ends the program.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::audience::Audience;
use crate::events::{CommandEvent, Observer};
use crate::failure::Kind;

/// A token that is cancelled by the first Ctrl-C or SIGTERM. The second ends the program at once.
pub(super) fn cancelled_by_signals(mut audience: Audience) -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    // Listening begins now, not when the task first runs: by then the work has begun.
    let mut signals = Signals::listen();
    tokio::spawn(async move {
        signals.next().await;
        (&mut audience as &mut dyn Observer).say(CommandEvent::Stopping);
        cancel.cancel();
        signals.next().await;
        end_at_once();
    });
    token
}

/// Ctrl-C and SIGTERM, each where it can be had: without a handler it ends the program as it always did.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    fn listen() -> Self {
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    /// Wait for either.
    async fn next(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The user asked twice. What is on disk is whole at any moment, and a worker ends with its input.
#[expect(clippy::disallowed_methods, reason = "there is nothing left to wait for")]
fn end_at_once() -> ! {
    std::process::exit(i32::from(Kind::Interrupted.exit_code()))
}
