//! A node that this machine reaches through the open connection of another one.

use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncReadExt;

use super::forward::Place;
use super::{ForwardFailure, SshConnection, SshDestination, SshFailure, SshSettings};
use crate::host::{Ending, Here, Host, Process, Program};

/// The most that is read of what ssh says of its settings, bytes.
const SETTINGS_BYTES: u64 = 64 << 10;

/// ssh's `ProxyCommand` for a connection through the one whose master is at `socket`. It asks that master alone: where
/// there is none, nothing connects.
pub(super) fn proxy_command(socket: &Path) -> String {
    // ssh expands what begins with `%`, and a shell reads the rest: any shell, so that there are no other quotes.
    let socket = socket.to_string_lossy().replace('%', "%%").replace('\'', r"'\''");
    format!(
        "ssh -F none -S '{socket}' -o ControlMaster=no -o ProxyCommand=false -o BatchMode=yes -W '[%h]:%p' -- master"
    )
}

impl SshConnection {
    /// What `failure`, of a connection to `destination` through this one, comes to: what of it this node knows.
    pub(super) async fn of_one_behind(
        self: &Arc<Self>,
        failure: SshFailure,
        destination: &SshDestination,
    ) -> SshFailure {
        let through = self.name().clone();
        if let Some(why) = self.is_lost() {
            return SshFailure::Lost { why }.through(through);
        }
        match failure {
            SshFailure::NotForwarded => {}
            SshFailure::TimedOut { step, limit } if step == super::failure::CONNECTING => {
                let why = format!("no answer within {} s", limit.as_secs_f64());
                return SshFailure::Beyond { through, place: destination.host().to_owned(), why };
            }
            failure => return failure,
        }
        // The master alone says why, in a line that does not tell whom it is about.
        let resolved = resolved(destination, self.settings()).await;
        let (host, port) =
            resolved.unwrap_or((destination.host().to_owned(), destination.port().unwrap_or(22)));
        let place = Place::port(&host, port);
        let shown = place.shown();
        let asked = tokio::time::timeout(self.settings().connect, self.unmet(&place)).await;
        let why = match asked {
            Ok(Ok(None)) => return SshFailure::Forbidden { through, place: shown },
            Ok(Ok(Some(ForwardFailure::Deaf(_)))) => "nobody listens there".to_owned(),
            Ok(Ok(Some(ForwardFailure::Other { why, .. }))) => why,
            Ok(Ok(Some(failure))) => failure.to_string(),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        SshFailure::Beyond { through, place: shown, why }
    }
}

/// The host and port that the user's config makes of a destination.
async fn resolved(destination: &SshDestination, settings: &SshSettings) -> Option<(String, u16)> {
    let mut words = settings.config_words();
    words.push("-G".to_owned());
    words.extend(destination.words());
    let program = Program { limit: Some(settings.connect), ..Program::new("ssh", words) };
    let Process { output, mut end, .. } = Here::new().start(&program).await.ok()?;
    let mut said = String::new();
    output.take(SETTINGS_BYTES).read_to_string(&mut said).await.ok()?;
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let resolved = (value("hostname")?.to_owned(), value("port")?.parse().ok()?);
    (end.ended().await == Ending::Exit(0)).then_some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_folder_is_called_the_socket_is_one_word() {
        let of = |path: &str| proxy_command(Path::new(path));
        assert!(of("/tmp/spark-x/master").starts_with("ssh -F none -S '/tmp/spark-x/master' -o "));
        assert!(of("/tmp/it's 5%/m").contains(r" -S '/tmp/it'\''s 5%%/m' "));
    }
}
