//! An image handed from one node to others over the fabric, by a program on each (`worker/node/image.py`).
//!
//! The bytes go as they are over a network that only the nodes are on. Who may have them, and whether they are the
//! ones that were sent, is told over our own connections: a token that is good once, and the digest of all bytes,
//! without which no engine gets the end of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::watch;
use tokio::time::timeout;

use super::fabric::Meeting;
use crate::cluster::connect::Connected;
use crate::host::engine::ImageName;
use crate::host::{BoxRead, BoxWrite, End, HostPath, Process, Program};

const PROGRAM: &str = include_str!("../../../worker/node/image.py");
/// How long a node may take to start the program and listen.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a node may be without a word: its engine may pack or unpack the whole image meanwhile.
const WORD_LIMIT: Duration = Duration::from_secs(1860);
/// How long a node that broke off may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The longest line of the program, bytes.
const MOST_OF_A_LINE: u64 = 64 << 10;

/// A node that takes the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taker<'a> {
    pub node: &'a Connected,
    pub meeting: Meeting,
}

/// What keeps a node from having the image so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Its engine says no, in its own words.
    Refused(String),
    /// Nothing comes any more from the node that gives, as seen by the one that takes.
    BrokeOff(String),
    /// Something else that another way may not have.
    Lost(String),
}

/// The size and SHA-256 of what went over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Sum {
    bytes: u64,
    sha256: String,
}

/// A line of the program.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Listening { ports: BTreeMap<IpAddr, u16>, token: String },
    Bytes(u64),
    Sent(Sum),
    Taken(Sum),
    Loaded(Vec<String>),
    Failed { what: What, message: String },
}

/// What failed, as the program tells it apart.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// The engine that takes says no.
    Refused,
    /// Nothing comes from the node that gives.
    BrokeOff,
    /// Something else.
    Failed,
}

/// Hand `image` from `giver` to all `takers` at once, telling of the bytes sent; for each, in their order, the names
/// that its engine has for it then.
pub(super) async fn hand_over(
    image: &ImageName,
    giver: &Connected,
    takers: &[Taker<'_>],
    tell: impl FnMut(u64),
) -> Vec<Result<Vec<String>, NotTaken>> {
    let all = |why: NotTaken| takers.iter().map(|_| Err(why.clone())).collect();
    let listen: BTreeSet<IpAddr> = takers.iter().map(|taker| taker.meeting.at).collect();
    let order = json!({ "role": "give", "image": image.as_str(), "listen": listen, "count": takers.len() });
    let begun = async {
        let mut giving = Talk::begin(giver, order).await?;
        match giving.hear(READY_LIMIT).await? {
            Said::Listening { ports, token } => Ok((giving, ports, token)),
            other => Err(other.unexpected()),
        }
    };
    let (giving, ports, token) = match begun.await {
        Ok(begun) => begun,
        Err(why) => return all(why.of(giver)),
    };
    let (tell_sum, sum) = watch::channel(None);
    let taken = join_all(takers.iter().map(|taker| take(taker, &ports, &token, sum.clone())));
    let mut given = pin!(give(giving, tell_sum, tell));
    let mut taken = pin!(taken);
    let mut ended = None;
    // Nobody sends to those who have what they need, or never will.
    let taken = loop {
        tokio::select! {
            taken = &mut taken => break taken,
            given = &mut given, if ended.is_none() => ended = Some(given),
        }
    };
    let broke_off = |taken: &Result<_, NotTaken>| matches!(taken, Err(NotTaken::BrokeOff(_)));
    if ended.is_none() && taken.iter().any(broke_off) {
        ended = timeout(LAST_WORDS, given).await.ok();
    }
    // Who gives knows best why it gives no more.
    let why = ended.and_then(Result::err).map(|why| why.of(giver));
    let known = |taken: Result<_, NotTaken>| match (&taken, &why) {
        (Err(NotTaken::BrokeOff(_)), Some(why)) => Err(why.clone()),
        _ => taken,
    };
    taken.into_iter().map(known).collect()
}

/// Hear what the node that gives has to say; the sum of all it has sent is told to those who wait for it.
async fn give(
    mut giving: Talk,
    tell_sum: watch::Sender<Option<Sum>>,
    mut tell: impl FnMut(u64),
) -> Result<(), NotTaken> {
    loop {
        match giving.hear(WORD_LIMIT).await? {
            Said::Bytes(bytes) => tell(bytes),
            Said::Sent(sum) => {
                tell(sum.bytes);
                tell_sum.send_replace(Some(sum));
                return Ok(());
            }
            other => return Err(other.unexpected()),
        }
    }
}

async fn take(
    taker: &Taker<'_>,
    ports: &BTreeMap<IpAddr, u16>,
    token: &str,
    mut sum: watch::Receiver<Option<Sum>>,
) -> Result<Vec<String>, NotTaken> {
    let Meeting { at, from } = taker.meeting;
    let port = ports.get(&at).ok_or_else(|| NotTaken::Lost(format!("nobody listens on {at}")))?;
    let order = json!({ "role": "take", "from": from, "connect": [at, port], "token": token });
    let mut taking = Talk::begin(taker.node, order).await?;
    let taken = loop {
        match taking.hear(WORD_LIMIT).await? {
            // How much is told by the node that gives; this one lives.
            Said::Bytes(_) => {}
            Said::Taken(taken) => break taken,
            other => return Err(other.unexpected()),
        }
    };
    let sent = timeout(READY_LIMIT, sum.wait_for(Option::is_some)).await;
    let sent = sent.ok().and_then(Result::ok).and_then(|sum| sum.clone());
    match sent {
        Some(sent) if sent == taken => taking.go_on().await?,
        Some(_) => return Err(NotTaken::Lost("what came is not what was sent".into())),
        None => return Err(NotTaken::Lost("the node that gives does not say what it has sent".into())),
    }
    match taking.hear(WORD_LIMIT).await? {
        Said::Loaded(names) => Ok(names),
        other => Err(other.unexpected()),
    }
}

impl Said {
    /// What is wrong where this is said.
    fn unexpected(self) -> NotTaken {
        match self {
            Said::Failed { what: What::Refused, message } => NotTaken::Refused(message),
            Said::Failed { what: What::BrokeOff, message } => NotTaken::BrokeOff(message),
            Said::Failed { what: What::Failed, message } => NotTaken::Lost(message),
            _ => NotTaken::Lost("its program says something else than it was asked".into()),
        }
    }
}

impl NotTaken {
    /// Of the node that gives, for one that takes: its no is another's as well.
    fn of(self, giver: &Connected) -> Self {
        match self {
            NotTaken::Refused(why) | NotTaken::BrokeOff(why) | NotTaken::Lost(why) => {
                NotTaken::Lost(format!("{}: {why}", giver.name()))
            }
        }
    }
}

/// The program on one node. It ends with this.
struct Talk {
    input: BoxWrite,
    output: BufReader<BoxRead>,
    end: Box<dyn End>,
    /// Read by nobody, and in the way of everything else where it is not read.
    log: tokio::task::JoinHandle<()>,
}

impl Talk {
    async fn begin(node: &Connected, mut order: Value) -> Result<Self, NotTaken> {
        let lost = |why: String| NotTaken::Lost(why);
        let socket = node.engine_socket().await.map_err(|error| lost(error.problem()))?;
        let socket = socket.ok_or_else(|| lost("its engine has no socket there".into()))?;
        order["socket"] = json!(HostPath::as_str(&socket));
        let host = node.host().map_err(|error| lost(error.problem()))?;
        // Isolated: what the user's environment and folders say about Python is not for this.
        let program = Program::new("python3", ["-I", "-c", PROGRAM]);
        let started = timeout(READY_LIMIT, host.start(&program)).await;
        let started =
            started.map_err(|_| lost(format!("nothing starts there within {} s", READY_LIMIT.as_secs())))?;
        let Process { input, output, mut log, end } =
            started.map_err(|error| lost(error.what.to_string()))?;
        let log = tokio::spawn(async move {
            // What it could say of itself, it says in its output.
            let _ = tokio::io::copy(&mut log, &mut tokio::io::sink()).await;
        });
        let mut talk = Self { input, output: BufReader::new(output), end, log };
        talk.say(&order.to_string()).await?;
        Ok(talk)
    }

    async fn say(&mut self, line: &str) -> Result<(), NotTaken> {
        let said = async {
            self.input.write_all(format!("{line}\n").as_bytes()).await?;
            self.input.flush().await
        };
        match timeout(READY_LIMIT, said).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(NotTaken::Lost(error.to_string())),
            Err(_) => Err(NotTaken::Lost("it takes no order".into())),
        }
    }

    /// Let its engine have the end of what has come.
    async fn go_on(&mut self) -> Result<(), NotTaken> {
        self.say("go").await
    }

    /// Its next line.
    async fn hear(&mut self, limit: Duration) -> Result<Said, NotTaken> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.output).take(MOST_OF_A_LINE);
        match timeout(limit, bounded.read_until(b'\n', &mut line)).await {
            Err(_) => return Err(NotTaken::Lost(format!("no word for {} s", limit.as_secs()))),
            Ok(Err(error)) => return Err(NotTaken::Lost(error.to_string())),
            Ok(Ok(0)) => {
                let ending = timeout(READY_LIMIT, self.end.ended()).await;
                let how = ending.map_or_else(|_| String::new(), |ending| format!(" ({ending})"));
                return Err(NotTaken::Lost(format!(
                    "its program ended there{how}; it needs Python 3 as python3"
                )));
            }
            Ok(Ok(_)) => {}
        }
        serde_json::from_slice(&line).map_err(|_| {
            let said = crate::host::ask::beginning(&line);
            NotTaken::Lost(format!("its program says `{said}`"))
        })
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.log.abort();
    }
}

#[cfg(test)]
mod tests;
