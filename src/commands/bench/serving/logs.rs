//! `sparkbench logs`: what the processes that serve write, all of them together.

use tokio_util::sync::CancellationToken;

use super::nodes::{AskedNodes, NodesSettings};
use super::plan::Stopped;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::log_line::among_others;
use crate::serving::live::{Heard, Listening, Part, look};

/// Which logs.
#[derive(Debug)]
pub(crate) struct LogsSettings {
    /// Of which nodes.
    pub(crate) nodes: NodesSettings,
    /// The last lines of each.
    pub(crate) lines: usize,
    /// And what is written from now on.
    pub(crate) follow: bool,
}

/// Show them.
pub(crate) async fn run(
    settings: &LogsSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let found = async {
        let nodes = AskedNodes::connect(&settings.nodes).await?;
        let found = look(nodes.pairs(), &nodes.cluster).await;
        Ok::<_, Box<dyn crate::failure::Failure>>((nodes, found))
    };
    // The connections live as long as they are read through.
    let (_nodes, found) = cancel.run_until_cancelled(found).await.ok_or(Stopped)??;
    let mut all_well = true;
    for (node, problem) in found.problems() {
        observer.note(format!("{node} cannot be asked: {problem}"));
        all_well = false;
    }
    let models = found.models();
    let parts: Vec<&Part> = models.iter().flat_map(|model| &model.parts).collect();
    if parts.is_empty() && all_well {
        observer.note("nothing of ours serves there");
    }
    let heads: Vec<String> = heads(&parts);
    if settings.follow {
        let mut listening = Listening::to(&parts, settings.lines);
        // Ctrl-C is how following ends.
        while let Some(Some((at, heard))) = cancel.run_until_cancelled(listening.next()).await {
            match heard {
                Heard::Line(line) => {
                    out.line(&format!("{} {}", heads[at], among_others(&line))).map_err(OutputError)?
                }
                Heard::Ended => {
                    observer.note(format!("{} has ended", heads[at].trim_end_matches(" |").trim_end()))
                }
                Heard::Lost(why) => {
                    observer.note(format!(
                        "{} is out of reach: {why}",
                        heads[at].trim_end_matches(" |").trim_end()
                    ));
                    all_well = false;
                }
            }
        }
    } else {
        for (part, head) in parts.iter().zip(&heads) {
            match part.last_lines(settings.lines).await {
                Ok(lines) => {
                    for line in lines {
                        out.line(&format!("{head} {}", among_others(&line))).map_err(OutputError)?;
                    }
                }
                Err(why) => {
                    observer.note(format!("{} on {}: {why}", part.role, part.node));
                    all_well = false;
                }
            }
        }
    }
    Ok(if all_well { Verdict::Done } else { Verdict::CheckSaidNo })
}

/// What stands before the lines of each, equally wide.
fn heads(parts: &[&Part]) -> Vec<String> {
    let names: Vec<String> = parts.iter().map(|part| format!("{} {}", part.node, part.role)).collect();
    let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    names.iter().map(|name| format!("{name:wide$} |")).collect()
}
