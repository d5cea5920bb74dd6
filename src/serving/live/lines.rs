//! What programs write, line by line, as they write it.

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::found::Part;
use super::place::Place;
use crate::host::detached::DetachedId;

/// Bytes of a line that are kept.
const MOST_OF_A_LINE: usize = 4 << 10;
/// Lines on their way. Who writes faster than is read waits.
pub(super) const MAIL: usize = 256;

/// What is heard of a program.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A line, without its end.
    Line(String),
    /// It has ended, and all that it wrote has been heard.
    Ended,
    /// Nothing more is heard of it.
    Lost(String),
}

/// What several programs write.
#[derive(Debug)]
pub(crate) struct Listening {
    mail: mpsc::Receiver<(usize, Heard)>,
    readers: Vec<AbortHandle>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.readers.iter().for_each(AbortHandle::abort);
    }
}

impl Listening {
    /// To the last `lines` of each of `parts`, and then to what they write.
    pub(crate) fn to(parts: &[&Part], lines: usize) -> Self {
        let (tell, mail) = mpsc::channel(MAIL);
        let readers = parts.iter().enumerate().map(|(at, part)| {
            let reading = follow(part.place.clone(), part.id.clone(), lines, at, tell.clone());
            tokio::spawn(reading).abort_handle()
        });
        Self { readers: readers.collect(), mail }
    }

    /// What is heard next, and of which part; none once all have ended.
    pub(crate) async fn next(&mut self) -> Option<(usize, Heard)> {
        self.mail.recv().await
    }
}

impl Part {
    /// The last `lines` that it wrote.
    pub(crate) async fn last_lines(&self, lines: usize) -> Result<Vec<String>, String> {
        let said =
            self.place.programs().log(&self.id, lines).await.map_err(|error| error.what.to_string())?;
        let said = said.strip_suffix(b"\n").unwrap_or(&said);
        Ok(match said {
            [] => Vec::new(),
            said => said.split(|byte| *byte == b'\n').map(text).collect(),
        })
    }
}

/// Tell, as `at`, the last `lines` of the program `id`, what it writes then, and how that came to its end.
pub(super) async fn follow(
    place: Place,
    id: DetachedId,
    lines: usize,
    at: usize,
    tell: mpsc::Sender<(usize, Heard)>,
) {
    let mut line = Vec::new();
    let end = match place.programs().follow(&id, lines).await {
        Err(error) => Heard::Lost(error.what.to_string()),
        Ok(mut log) => loop {
            match log.next().await {
                None => break Heard::Ended,
                Some(Err(error)) => break Heard::Lost(error.what.to_string()),
                Some(Ok(piece)) => {
                    for byte in piece {
                        if byte == b'\n' {
                            // Whoever has gone needs no more lines.
                            if tell.send((at, Heard::Line(text(&line)))).await.is_err() {
                                return;
                            }
                            line.clear();
                        } else if line.len() < MOST_OF_A_LINE {
                            line.push(byte);
                        }
                    }
                }
            }
        },
    };
    if !line.is_empty() {
        _ = tell.send((at, Heard::Line(text(&line)))).await;
    }
    _ = tell.send((at, end)).await;
}

/// As it was written: whoever looks for words knows what stands around them, whoever shows it makes it fit.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
