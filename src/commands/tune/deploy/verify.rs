//! `sparktune deploy --verify`: whether every node's server has loaded what was deployed there.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::Ready;
use super::partly::Partly;
use super::place::container_name;
use super::show::place;
use crate::cluster::connect::ConnectError;
use crate::cluster::deploy::{
    FileUse, FolderContents, Instead, Loading, NodeFailure, Problem, Served, loading,
};
use crate::cluster::server_log::{self, ServerLog};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::{Failure, Kind};
use crate::host::container_spec::NodePath;
use crate::host::{EngineKind, HostPath};
use crate::host_name::HostName;

/// Where a node's server writes what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogOf {
    /// To the log of its container.
    Container {
        /// Whose container.
        engine: EngineKind,
        /// Its name.
        name: String,
    },
    /// To these files, where the deployed files lie: on the node, or in the container.
    Files(Vec<NodePath>),
}

/// A node whose server's log is not known.
#[derive(Debug, thiserror::Error)]
#[error("{on}: it is not known where its server's log is: no container of it is named")]
struct NoLog {
    on: HostName,
}

impl Failure for NoLog {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some("name the file that the server writes, with --log; or its container, with --container".into())
    }
}

/// What a node could not do of which nothing is heard.
const WHAT: &str = "say what their servers have loaded";

/// Where the log of each node's server is: in `files`, else in its container's own.
pub(super) fn logs(nodes: &[Ready], files: &[NodePath]) -> Result<Vec<LogOf>, Box<dyn Failure>> {
    let of = |node: &Ready| -> Result<LogOf, NoLog> {
        if !files.is_empty() {
            return Ok(LogOf::Files(files.to_vec()));
        }
        let named = || Some((node.node.node.settings.engine()?, container_name(&node.node)?));
        let container = node.place.container.clone().or_else(named);
        let (engine, name) = container.ok_or_else(|| NoLog { on: node.name().clone() })?;
        Ok(LogOf::Container { engine, name })
    };
    let (mut logs, mut failures) = (Vec::new(), Vec::new());
    for node in nodes {
        match of(node) {
            Ok(log) => logs.push(log),
            Err(error) => failures.push(Box::new(error) as Box<dyn Failure>),
        }
    }
    if failures.is_empty() {
        Ok(logs)
    } else {
        Err(Partly { asked: nodes.len(), what: WHAT, failures }.into())
    }
}

/// Judge the servers of all nodes by their `logs`.
pub(super) async fn verify(
    nodes: &[Ready],
    logs: &[LogOf],
    as_json: bool,
    out: &mut dyn Output,
) -> CommandResult {
    let heard = join_all(nodes.iter().zip(logs).map(|(node, log)| hear(node, log))).await;
    let mut failures = Vec::new();
    let mut told = Vec::new();
    for ((node, log), heard) in nodes.iter().zip(logs).zip(heard) {
        match heard {
            Ok(heard) => told.push((node, log, heard)),
            Err(failure) => failures.push(failure),
        }
    }
    let served = |(node, _, heard): &'_ (&Ready, &LogOf, Heard)| folders(node, heard);
    let folders: Vec<Vec<String>> = told.iter().map(served).collect();
    let served: Vec<Served<'_>> = told
        .iter()
        .zip(folders)
        .map(|((_, _, heard), folders)| Served { held: &heard.held, folders, log: &heard.log })
        .collect();
    let loadings = loading(&served);
    let sound = loadings.iter().all(Loading::is_sound);
    let judged: Vec<Judged<'_>> = told
        .iter()
        .zip(&loadings)
        .map(|((node, log, heard), loading)| Judged { node, of: log, log: &heard.log, loading })
        .collect();
    let shown = if as_json { as_value(&judged, sound, out) } else { table(&judged, out) };
    shown.map_err(OutputError)?;
    if !failures.is_empty() {
        return Err(Partly { asked: nodes.len(), what: WHAT, failures }.into());
    }
    Ok(if sound { Verdict::Done } else { Verdict::CheckSaidNo })
}

/// What a node holds, and what its server has said.
struct Heard {
    held: FolderContents,
    log: ServerLog,
}

async fn hear(node: &Ready, log: &LogOf) -> Result<Heard, Box<dyn Failure>> {
    let folder = &node.place.folder;
    let failure = |error| NodeFailure { on: folder.on().clone(), folder: folder.folder.clone(), error };
    let held = folder.look().await.map_err(failure)?;
    let log = match log {
        LogOf::Container { name, .. } => {
            let engine = node.node.engine().await?;
            server_log::of_container(engine, name).await.map_err(ConnectError::from)?
        }
        LogOf::Files(files) => server_log::of_files(&*folder.host, &folder.python, files).await?,
    };
    Ok(Heard { held, log })
}

/// The paths by which the node's server may know the folder: as it was found, with links followed, and where it is
/// mounted.
fn folders(node: &Ready, heard: &Heard) -> Vec<String> {
    let mut folders = vec![node.place.folder.folder.to_string(), heard.held.folder.to_string()];
    if node.place.container.is_none() {
        let own = |(there, own): &(HostPath, HostPath)| {
            let rest = heard.held.folder.as_str().strip_prefix(there.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{own}{rest}"))
        };
        folders.extend(heard.log.mounts.iter().filter_map(own));
    }
    folders
}

/// A node, and what its server makes of the files.
struct Judged<'a> {
    node: &'a Ready,
    of: &'a LogOf,
    log: &'a ServerLog,
    loading: &'a Loading,
}

fn table(nodes: &[Judged<'_>], out: &mut dyn Output) -> std::io::Result<()> {
    let mut rows = Vec::new();
    for Judged { node, loading, .. } in nodes {
        let mut add = |file: &str, state: String| {
            rows.push(vec![node.name().to_string(), file.to_owned(), state]);
        };
        let told = loading.files.iter().filter(|(_, file)| **file != FileUse::NotMentioned);
        told.clone().for_each(|(name, file)| add(name, words(file)));
        match loading.files.len() - told.count() {
            0 if loading.files.is_empty() => add("-", "-".into()),
            0 => {}
            others => add(&format!("{others} of {}", loading.files.len()), words(&FileUse::NotMentioned)),
        }
    }
    out.table(&["node", "file", "state"], &rows)?;
    for judged in nodes {
        judged.lines().iter().try_for_each(|line| out.line(&format!("  {}: {line}", judged.node.name())))?;
    }
    if nodes.iter().any(|it| it.loading.files.values().any(|file| *file == FileUse::SaidElsewhere)) {
        out.line(
            "  vLLM (0.33.0) says on the first rank of all nodes alone what it loads: the others' silence is no \
             proof, but they say it where they find no file",
        )?;
    }
    Ok(())
}

fn words(file: &FileUse) -> String {
    match file {
        FileUse::Loaded => "loaded".into(),
        FileUse::OnSomeRanks { silent } => format!("loaded, but not by {}", silent.join(", ")),
        FileUse::NotUsed { instead: Instead::Fallback, .. } => "fell back".into(),
        FileUse::NotUsed { instead: Instead::Default, .. } => "default used".into(),
        FileUse::NotUsed { instead: Instead::OtherFolder, .. } => "another folder's used".into(),
        FileUse::Before => "read before it was deployed".into(),
        FileUse::Changed => "changed since".into(),
        FileUse::Missing => "missing".into(),
        FileUse::NotMentioned => "not asked for".into(),
        FileUse::SaidElsewhere => "said by the first rank".into(),
    }
}

fn problem_words(problem: &Problem) -> String {
    match problem {
        Problem::NothingDeployed => "nothing was deployed here".into(),
        Problem::Unfinished => "the deployment is not finished: deploy again".into(),
        Problem::NotLookedFor { line } => format!("its server looks for no files: {line}"),
        Problem::OlderServer => "its server was started before the files were deployed: restart it".into(),
        Problem::NothingLoaded => {
            "its log tells of none of the files: is the server up, and has it loaded a model of such a shape?"
                .into()
        }
    }
}

impl Judged<'_> {
    /// What is to be said beside the table.
    fn lines(&self) -> Vec<String> {
        let loading = self.loading;
        let mut lines: Vec<String> = loading.problem.iter().map(problem_words).collect();
        if loading.problem.is_some() && self.log.said.is_empty() && matches!(self.of, LogOf::Container { .. })
        {
            lines.push(
                "its container's log tells of no config file: a server that `exec` started writes elsewhere, which \
                 --log names"
                    .into(),
            );
        }
        for file in loading.files.values() {
            match file {
                FileUse::NotUsed { line, .. } => lines.push(line.clone()),
                FileUse::Before if loading.problem.is_none() => {
                    lines.push(problem_words(&Problem::OlderServer))
                }
                _ => {}
            }
        }
        lines.extend(loading.missing.keys().map(|name| format!("wanted, and not deployed: {name}")));
        if !self.log.whole {
            lines.push("there was no time to read all of its log".into());
        }
        lines.dedup();
        lines
    }

    fn value(&self) -> Value {
        let mut value = place(self.node);
        value["log"] = match self.of {
            LogOf::Container { name, .. } => json!({ "container": name }),
            LogOf::Files(files) => {
                json!({ "files": files.iter().map(ToString::to_string).collect::<Vec<_>>() })
            }
        };
        value["log"]["began"] = json!(self.log.began);
        value["log"]["whole"] = json!(self.log.whole);
        let file = |(name, file): (&String, &FileUse)| {
            let mut value = json!({ "name": name, "state": words(file) });
            match file {
                FileUse::NotUsed { line, .. } => value["line"] = json!(line),
                FileUse::OnSomeRanks { silent } => value["silent_ranks"] = json!(silent),
                _ => {}
            }
            value
        };
        value["files"] = self.loading.files.iter().map(file).collect();
        let missing = self.loading.missing.iter().map(|(name, line)| json!({ "name": name, "line": line }));
        value["wanted"] = missing.collect();
        value["problem"] = json!(self.loading.problem.as_ref().map(problem_words));
        value["sound"] = json!(self.loading.is_sound());
        value
    }
}

fn as_value(nodes: &[Judged<'_>], sound: bool, out: &mut dyn Output) -> std::io::Result<()> {
    let nodes: Vec<Value> = nodes.iter().map(Judged::value).collect();
    out.json(&json!({ "nodes": nodes, "sound": sound }))
}
