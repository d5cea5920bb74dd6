//! Looking around from a host.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{NearbyHost, mdns, merged, neighbours};
use crate::host::{Ending, Host, HostError, HostFailure, Program};

/// How long each of the programs may take; somebody waits at a terminal.
const LIMIT: Duration = Duration::from_secs(10);

/// The most that is read of what a program prints, bytes: thousands of hosts.
const MOST: u64 = 1 << 20;

/// Who is near.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Each machine once, those with a name first.
    pub hosts: Vec<NearbyHost>,
    /// What could not be looked at, and what would help.
    pub notes: Vec<String>,
}

/// Look around from `host` both ways at once. A way that fails is a note, never an error.
pub async fn look(host: &dyn Host) -> Found {
    let browse = ["--parsable", "--resolve", "--ignore-local", "--terminate", "_ssh._tcp"];
    let (services, neighbours) = tokio::join!(
        printed(host, Program::new("avahi-browse", browse)),
        printed(host, Program::new("ip", ["-json", "neigh"])),
    );
    let mut notes = Vec::new();
    let services = services.map(|text| mdns::parse(&text)).unwrap_or_else(|why| {
        notes.push(format!("cannot look for hosts by mDNS: {}", why.said("avahi-utils")));
        Vec::new()
    });
    let neighbours = neighbours.and_then(|text| {
        neighbours::parse(&text)
            .map_err(|error| Why::Other(format!("`ip` answers no list of neighbours: {error}")))
    });
    let neighbours = neighbours.unwrap_or_else(|why| {
        notes.push(format!("cannot look for neighbours on the fabric: {}", why.said("iproute2")));
        Vec::new()
    });
    Found { hosts: merged(services, neighbours), notes }
}

/// Why nothing was printed.
enum Why {
    /// There is no such program.
    Missing(String),
    Other(String),
}

impl Why {
    fn said(self, package: &str) -> String {
        match self {
            Why::Missing(program) => {
                format!("there is no `{program}` here (Debian's package {package} has it)")
            }
            Why::Other(why) => why,
        }
    }
}

/// What `program` prints before it ends well.
async fn printed(host: &dyn Host, program: Program) -> Result<String, Why> {
    let program = Program { limit: Some(LIMIT), ..program };
    let name = program.name().to_owned();
    let mut process = host.start(&program).await.map_err(|error| match error {
        HostError { what: HostFailure::Start { source, program }, .. }
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Why::Missing(program)
        }
        error => Why::Other(error.to_string()),
    })?;
    drop(process.input);
    let (output, log) = tokio::join!(read(process.output), read(process.log));
    let (Ok(output), Ok(log)) = (output, log) else {
        return Err(Why::Other(format!("what `{name}` prints cannot be read")));
    };
    if output.len() as u64 > MOST || log.len() as u64 > MOST {
        // Whoever goes on printing is ended with `process.end`.
        return Err(Why::Other(format!("`{name}` prints more than {MOST} bytes")));
    }
    match process.end.ended().await {
        Ending::Exit(0) => Ok(String::from_utf8_lossy(&output).into_owned()),
        Ending::Signal(_) => Err(Why::Other(format!("`{name}` did not end within {} s", LIMIT.as_secs()))),
        ending => {
            let log = String::from_utf8_lossy(&log);
            let why = log.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
            Err(Why::Other(format!("`{name}`: {} ({ending})", why.trim())))
        }
    }
}

/// What it says, as far as anybody wants to hold it.
async fn read(from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Here;

    async fn said(script: &str) -> Result<String, String> {
        printed(&Here::new(), Program::new("sh", ["-c", script])).await.map_err(|why| why.said("a-package"))
    }

    #[tokio::test]
    async fn a_program_that_ends_well_is_heard() {
        assert_eq!(said("echo a; echo b >&2").await.as_deref(), Ok("a\n"));
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let failed = said("echo; echo 'Daemon not running' >&2; exit 1").await.unwrap_err();
        assert_eq!(failed, "`sh`: Daemon not running (exit status: 1)");
        assert_eq!(said("exit 3").await.unwrap_err(), "`sh`: it does not say why (exit status: 3)");
        assert_eq!(said("kill -9 $$").await.unwrap_err(), "`sh` did not end within 10 s");
    }

    #[tokio::test]
    async fn a_program_without_end_is_not_held_in_memory() {
        let error = said("exec yes").await.unwrap_err();
        assert_eq!(error, "`sh` prints more than 1048576 bytes");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named_with_its_package() {
        let missing = printed(&Here::new(), Program::new("no-such-program", ["a"])).await.err().unwrap();
        let said = missing.said("avahi-utils");
        assert_eq!(said, "there is no `no-such-program` here (Debian's package avahi-utils has it)");
    }
}
