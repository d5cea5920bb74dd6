//! One command at a time starts or stops models on a node. The lock is the node's, and ends with its holder.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::AbortHandle;

use crate::failure::{Failure, Kind};
use crate::host::ask::{ask, program};
use crate::host::{Host, HostError, HostPath};
use crate::host_name::HostName;

const PROGRAM: &str = include_str!("../../../worker/node/lock.py");
/// How long the node may take to say who has it.
const LIMIT: Duration = Duration::from_secs(20);
/// How long it stays locked for somebody who is silent, and how often we are not.
const LEASH: Duration = Duration::from_secs(60);
const PULSE: Duration = Duration::from_secs(10);
const MOST_BYTES: u64 = 4 << 10;

/// The right to start and stop models, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(AbortHandle);

impl Drop for Lock {
    fn drop(&mut self) {
        // With the task goes the program's input, and with that the program.
        self.0.abort();
    }
}

/// Nothing may be started or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else does.
    #[error("{on}: {who} is starting or stopping a model there")]
    Held {
        /// The node with the lock.
        on: HostName,
        /// Who.
        who: String,
    },
    /// The node could not be asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The node answered something else.
    #[error("{on}: cannot lock it: {said}")]
    Garbled {
        /// The node.
        on: HostName,
        /// Its words.
        said: String,
    },
}

impl Failure for LockError {
    fn kind(&self) -> Kind {
        match self {
            LockError::Held { .. } | LockError::Garbled { .. } => Kind::Environment,
            LockError::Host(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            LockError::Held { .. } => {
                Some("wait for it; it ends with that command, however it ends".to_owned())
            }
            LockError::Host(error) => error.hint(),
            LockError::Garbled { .. } => None,
        }
    }
}

#[derive(Deserialize)]
struct Said {
    held_by: Option<String>,
}

fn order(cluster: &str, who: &str, peek: bool) -> Vec<u8> {
    let order: Value = json!({ "name": cluster, "who": who, "peek": peek, "leash_s": LEASH.as_secs() });
    format!("{order}\n").into_bytes()
}

impl Lock {
    /// Take it for `who` on all `hosts`, or on none.
    pub(crate) async fn take_all(
        hosts: &[Arc<dyn Host>],
        cluster: &str,
        who: &str,
    ) -> Result<Vec<Self>, LockError> {
        let taken = join_all(hosts.iter().map(|host| Self::take(&**host, cluster, who))).await;
        taken.into_iter().collect()
    }

    /// Take it for `who` on `host`.
    async fn take(host: &dyn Host, cluster: &str, who: &str) -> Result<Self, LockError> {
        let garbled = |said: String| LockError::Garbled { on: host.name().clone(), said };
        let mut process = host.start(&program(&HostPath::new("python3"), PROGRAM)).await?;
        let answered = async {
            // One that does not listen says why by its end.
            _ = process.input.write_all(&order(cluster, who, false)).await;
            _ = process.input.flush().await;
            let mut line = String::new();
            _ = BufReader::new((&mut process.output).take(MOST_BYTES)).read_line(&mut line).await;
            line
        };
        let line = tokio::time::timeout(LIMIT, answered).await;
        let line = line.map_err(|_| garbled(format!("no answer within {} s", LIMIT.as_secs())))?;
        match serde_json::from_str::<Said>(&line) {
            Ok(Said { held_by: None }) => {}
            Ok(Said { held_by: Some(who) }) => return Err(LockError::Held { on: host.name().clone(), who }),
            Err(_) => {
                let mut words = String::new();
                let mut log = process.log.take(MOST_BYTES);
                let read = log.read_to_string(&mut words);
                // Its stream ends with it.
                _ = tokio::time::timeout(Duration::from_secs(1), read).await;
                let last = words.trim().lines().next_back().unwrap_or("it said nothing").to_owned();
                return Err(garbled(last));
            }
        }
        let pulse = async move {
            // All of it, so that it lives as long as this.
            let mut process = process;
            loop {
                tokio::time::sleep(PULSE).await;
                if process.input.write_all(b".").await.is_err() || process.input.flush().await.is_err() {
                    break;
                }
            }
        };
        Ok(Self(tokio::spawn(pulse).abort_handle()))
    }

    /// Who has it on `host`; none where nobody has, or the node does not say.
    pub(crate) async fn holder(host: &dyn Host, cluster: &str) -> Option<String> {
        let order = order(cluster, "", true);
        let answer = ask(host, &HostPath::new("python3"), PROGRAM, &[&order], LIMIT).await.ok()?;
        serde_json::from_slice::<Said>(&answer).ok()?.held_by
    }
}
