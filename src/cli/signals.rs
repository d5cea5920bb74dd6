//! Ctrl-C and SIGTERM: the first asks for an orderly stop, the second ends the program.

use tokio_util::sync::CancellationToken;

use crate::failure::Kind;

/// A token that is cancelled by the first Ctrl-C or SIGTERM. The second ends the program at once.
pub(super) fn cancelled_by_signals() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        signalled().await;
        eprintln!("stopping: results so far are kept ...");
        cancel.cancel();
        signalled().await;
        end_at_once();
    });
    token
}

/// Wait for a Ctrl-C or SIGTERM.
async fn signalled() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without a handler SIGTERM ends the program as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// The user asked twice. What is on disk is whole at any moment, and a worker ends with its input.
#[expect(clippy::disallowed_methods, reason = "there is nothing left to wait for")]
fn end_at_once() -> ! {
    std::process::exit(i32::from(Kind::Interrupted.exit_code()))
}
