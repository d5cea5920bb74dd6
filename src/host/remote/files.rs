//! Files read and written by an interpreter.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::launch::line;
use super::{Interpreter, START_LIMIT, after_mark, mark, no_interpreter, why_silent, within};
use crate::host::{BoxWrite, HostFailure, HostPath, Process};

const FILES: &str = include_str!("files.py");
/// The slowest link that files are moved over, bytes a second.
const SLOWEST_LINK: u64 = 100_000;

/// What is to be done, and the bytes for it.
pub(super) struct Order<'a> {
    header: Header<'a>,
    bytes: Vec<&'a [u8]>,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Header<'a> {
    Put { files: Vec<(&'a str, usize)> },
    Get { path: &'a str, most: u64 },
    Replace { path: &'a str, length: usize },
}

#[derive(Serialize)]
struct Marked<'a> {
    mark: &'a str,
    #[serde(flatten)]
    header: &'a Header<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Failed {
        path: String,
        errno: Option<i32>,
        message: String,
    },
    Length {
        length: u64,
    },
    TooLarge {
        #[serde(rename = "too_large")]
        _too_large: bool,
    },
    Done {
        #[serde(rename = "done")]
        _done: bool,
    },
}

impl<'a> Order<'a> {
    pub(super) fn put(files: &'a [(HostPath, &'a [u8])]) -> Self {
        let sizes = files.iter().map(|(path, bytes)| (path.as_str(), bytes.len())).collect();
        Self { header: Header::Put { files: sizes }, bytes: files.iter().map(|(_, bytes)| *bytes).collect() }
    }

    pub(super) fn get(path: &'a HostPath, most: u64) -> Self {
        Self { header: Header::Get { path: path.as_str(), most }, bytes: Vec::new() }
    }

    pub(super) fn replace(path: &'a HostPath, bytes: &'a [u8]) -> Self {
        Self { header: Header::Replace { path: path.as_str(), length: bytes.len() }, bytes: vec![bytes] }
    }

    /// Time enough for a slow link.
    fn limit(&self) -> Duration {
        let bytes = match self.header {
            Header::Get { most, .. } => most,
            Header::Put { .. } | Header::Replace { .. } => {
                self.bytes.iter().map(|bytes| bytes.len() as u64).sum()
            }
        };
        START_LIMIT + Duration::from_secs(bytes / SLOWEST_LINK)
    }

    fn failed(&self, path: String, errno: Option<i32>, message: String) -> HostFailure {
        let source = errno.map_or_else(|| io::Error::other(message), io::Error::from_raw_os_error);
        let path = HostPath::new(path);
        match self.header {
            Header::Get { .. } => HostFailure::Read { path, source },
            Header::Put { .. } | Header::Replace { .. } => {
                let source = io::Error::new(source.kind(), format!("cannot write `{path}`: {source}"));
                HostFailure::Write { path, source }
            }
        }
    }
}

/// Have `order` done. The bytes are those of the file that was to be read, else none.
pub(super) async fn ask(interpreter: &impl Interpreter, order: Order<'_>) -> Result<Vec<u8>, HostFailure> {
    let mark = mark();
    let Process { input, output, log, end } =
        within(START_LIMIT, async { interpreter.python(FILES).await.map_err(|error| error.what) }).await?;
    let header = line(&Marked { mark: &mark, header: &order.header });
    within(order.limit(), async {
        // Whoever fails early does not listen to the end: what counts is the answer.
        let (_, heard) = tokio::join!(send(input, &header, &order.bytes), after_mark(output, &mark));
        let lost = |error: io::Error| HostFailure::Unreachable { why: error.to_string() };
        let Some((answer, mut output)) = heard.map_err(lost)? else {
            return Err(why_silent(log, end).await);
        };
        let answer = serde_json::from_slice(&answer)
            .map_err(|error| no_interpreter(format!("its answer about files is garbled: {error}")))?;
        match answer {
            Answer::Done { .. } => Ok(Vec::new()),
            Answer::Failed { path, errno, message } => Err(order.failed(path, errno, message)),
            Answer::TooLarge { .. } => Err(match order.header {
                Header::Get { path, most } => HostFailure::TooLarge { path: HostPath::new(path), most },
                Header::Put { .. } | Header::Replace { .. } => {
                    no_interpreter("it answers something else".into())
                }
            }),
            Answer::Length { length } => {
                let mut bytes = Vec::new();
                (&mut output).take(length).read_to_end(&mut bytes).await.map_err(lost)?;
                if (bytes.len() as u64) < length {
                    return Err(HostFailure::Unreachable { why: "the link was lost within a file".into() });
                }
                Ok(bytes)
            }
        }
    })
    .await
}

async fn send(mut input: BoxWrite, header: &[u8], bytes: &[&[u8]]) -> io::Result<()> {
    input.write_all(header).await?;
    for bytes in bytes {
        input.write_all(bytes).await?;
    }
    input.shutdown().await
}
