//! Whether a server has loaded what was deployed, by what its log says. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::folder::FolderContents;
use super::record::DeployedFile;
use crate::cluster::server_log::{Said, ServerLog};
use crate::runtime::{LookUp, TritonVersion};

/// What a server makes of the deployed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loading {
    /// Each deployed file.
    pub(crate) files: BTreeMap<String, FileUse>,
    /// Files that it looked for, and that were not deployed: their names, and the line that says what it uses instead.
    pub(crate) missing: BTreeMap<String, String>,
    /// What keeps all files from their use; none where there is nothing, or each file says it itself.
    pub(crate) problem: Option<Problem>,
}

/// What a server makes of one deployed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileUse {
    /// Every rank whose lines are in the log has loaded it, and it has still the bytes that were deployed.
    Loaded,
    /// Some ranks have loaded it.
    OnSomeRanks {
        /// The ranks that say nothing of it.
        silent: Vec<String>,
    },
    /// Something else is used in its place.
    NotUsed {
        /// What.
        instead: Instead,
        /// The line that says so.
        line: String,
    },
    /// The log tells of it from before it was deployed only.
    Before,
    /// The file is another than was deployed.
    Changed,
    /// The file is gone.
    Missing,
    /// The log does not tell of it: it was not asked for.
    NotMentioned,
    /// The log does not tell of it; that of another node does, which may speak for all.
    SaidElsewhere,
}

/// What is used in a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instead {
    /// The file of another Triton, or that of the up projection.
    Fallback,
    /// The runtime's own default.
    Default,
    /// A file of this name in another folder.
    OtherFolder,
}

/// What keeps all files of a node from their use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is no record of a deployment.
    NothingDeployed,
    /// The node died while it renamed.
    Unfinished,
    /// The runtime looks for no files.
    NotLookedFor {
        /// The line that says so.
        line: String,
    },
    /// The server is older than the files.
    OlderServer,
    /// The log tells of none of the files.
    NothingLoaded,
}

impl FileUse {
    fn fails(&self) -> bool {
        match self {
            FileUse::Loaded | FileUse::NotMentioned | FileUse::SaidElsewhere => false,
            FileUse::OnSomeRanks { .. }
            | FileUse::NotUsed { .. }
            | FileUse::Before
            | FileUse::Changed
            | FileUse::Missing => true,
        }
    }
}

impl Loading {
    /// Whether the server uses what was deployed.
    pub(crate) fn is_sound(&self) -> bool {
        self.problem.is_none() && !self.files.values().any(FileUse::fails)
    }

    /// Take what another node's log says for this one's where no line of its own says otherwise: of vLLM, whose first
    /// rank may speak for the ranks of all nodes.
    fn hear(&mut self, elsewhere: &BTreeSet<String>) {
        let said = |name: &String| elsewhere.contains(name);
        if self.problem != Some(Problem::NothingLoaded) || !self.files.keys().any(said) {
            return;
        }
        self.problem = None;
        for (name, file) in &mut self.files {
            if *file == FileUse::NotMentioned && said(name) {
                *file = FileUse::SaidElsewhere;
            }
        }
    }
}

/// What a node holds, and what its server has said.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    /// What lies in the folder.
    pub(crate) held: &'a FolderContents,
    /// The folder, by each path under which the server may know it.
    pub(crate) folders: Vec<String>,
    /// What its log says.
    pub(crate) log: &'a ServerLog,
}

/// Judge every node's server.
pub(crate) fn loading(nodes: &[Served<'_>]) -> Vec<Loading> {
    let mut each: Vec<Loading> = nodes.iter().map(Served::loading).collect();
    let elsewhere: BTreeSet<String> = nodes
        .iter()
        .zip(&each)
        .filter(|(node, loading)| node.is_vllms() && loading.is_sound())
        .flat_map(|(_, loading)| &loading.files)
        .filter(|(_, file)| **file == FileUse::Loaded)
        .map(|(name, _)| name.clone())
        .collect();
    for (node, loading) in nodes.iter().zip(&mut each) {
        if node.is_vllms() {
            loading.hear(&elsewhere);
        }
    }
    each
}

impl Served<'_> {
    fn loading(&self) -> Loading {
        let nothing =
            |problem| Loading { files: BTreeMap::new(), missing: BTreeMap::new(), problem: Some(problem) };
        let (Some(record), Some(changed)) = (&self.held.deployed, self.held.changed()) else {
            return nothing(Problem::NothingDeployed);
        };
        if self.held.unfinished {
            return nothing(Problem::Unfinished);
        }
        let heard = Heard::of(self.log, changed);
        let files: BTreeMap<String, FileUse> =
            record.files.iter().map(|file| (file.name.clone(), self.file_use(file, &heard))).collect();
        let missing = heard.last.iter().filter_map(|(name, lines)| {
            let line = lines.values().find(|said| !matches!(said.config.look_up, LookUp::Loaded { .. }))?;
            (!files.contains_key(*name)).then(|| ((*name).to_owned(), line.line.clone()))
        });
        let missing = missing.collect();
        let problem = self.problem(&files, &heard, changed);
        Loading { files, missing, problem }
    }

    fn problem(
        &self,
        files: &BTreeMap<String, FileUse>,
        heard: &Heard<'_>,
        changed: Timestamp,
    ) -> Option<Problem> {
        if let Some(said) = heard.not_looked_for {
            return Some(Problem::NotLookedFor { line: said.line.clone() });
        }
        // What fails, or is loaded, speaks for itself.
        let silent = |file: &FileUse| matches!(file, FileUse::NotMentioned | FileUse::Before);
        if !files.values().all(silent) {
            return None;
        }
        let older = self.log.began.is_some_and(|began| began < changed);
        let before = files.values().any(|file| *file == FileUse::Before);
        Some(if older || before { Problem::OlderServer } else { Problem::NothingLoaded })
    }

    fn file_use(&self, file: &DeployedFile, heard: &Heard<'_>) -> FileUse {
        match self.held.files.get(&file.name) {
            None => return FileUse::Missing,
            Some(digest) if *digest != file.sha256 => return FileUse::Changed,
            Some(_) => {}
        }
        let Some(lines) = heard.last.get(file.name.as_str()) else {
            return match heard.before.contains(file.name.as_str()) {
                true => FileUse::Before,
                false => FileUse::NotMentioned,
            };
        };
        let not_used = |said: &&Said| Some((self.instead(&said.config.look_up)?, said.line.clone()));
        if let Some((instead, line)) = lines.values().find_map(not_used) {
            return FileUse::NotUsed { instead, line };
        }
        let silent = heard.ranks.iter().filter(|rank| !lines.contains_key(&Some(**rank)));
        match silent.map(|rank| (*rank).to_owned()).collect::<Vec<_>>() {
            silent if silent.is_empty() => FileUse::Loaded,
            silent => FileUse::OnSomeRanks { silent },
        }
    }

    /// What is used in the file's place; none where it is the file.
    fn instead(&self, look_up: &LookUp) -> Option<Instead> {
        let ours = |folder: &str| self.folders.iter().any(|one| one.trim_end_matches('/') == folder);
        match look_up {
            LookUp::Loaded { path } => {
                (!split(path).is_some_and(|(folder, _)| ours(folder))).then_some(Instead::OtherFolder)
            }
            LookUp::OfAnotherTriton { .. } | LookUp::WithoutDown { .. } => Some(Instead::Fallback),
            LookUp::Default { .. } | LookUp::NotLookedFor => Some(Instead::Default),
        }
    }

    /// Whether vLLM reads the folder: SGLang's is a Triton's.
    fn is_vllms(&self) -> bool {
        let folder = split(self.held.folder.as_str()).map_or("", |(_, name)| name);
        TritonVersion::from_directory(folder).is_none()
    }
}

/// A log, sorted by file and rank. A process says a thing once, so that what it said last is what holds.
#[derive(Debug, Default)]
struct Heard<'a> {
    /// The last line since the deployment, by the file's name, by rank.
    last: BTreeMap<&'a str, BTreeMap<Option<&'a str>, &'a Said>>,
    /// Files that were told of before it.
    before: BTreeSet<&'a str>,
    /// Ranks that have said anything since.
    ranks: BTreeSet<&'a str>,
    not_looked_for: Option<&'a Said>,
}

impl<'a> Heard<'a> {
    fn of(log: &'a ServerLog, changed: Timestamp) -> Self {
        let since = |at: Option<Timestamp>| at.is_none_or(|at| at >= changed);
        let mut heard = Self::default();
        let ranks = log.ranks.iter().filter(|(_, at)| since(**at));
        heard.ranks = ranks.map(|(rank, _)| rank.as_str()).collect();
        for said in &log.said {
            let paths = match &said.config.look_up {
                LookUp::Loaded { path: wanted }
                | LookUp::OfAnotherTriton { wanted, .. }
                | LookUp::WithoutDown { wanted } => std::slice::from_ref(wanted),
                LookUp::Default { wanted } => wanted,
                LookUp::NotLookedFor => {
                    heard.not_looked_for = since(said.at).then_some(said).or(heard.not_looked_for);
                    continue;
                }
            };
            // Paths of one line differ in their folders.
            let Some((_, name)) = paths.first().and_then(|path| split(path)) else { continue };
            match since(said.at) {
                true => {
                    let rank = said.config.rank.as_deref();
                    heard.last.entry(name).or_default().insert(rank, said);
                }
                false => {
                    heard.before.insert(name);
                }
            }
        }
        heard
    }
}

/// The folder of a file, and its name.
fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

#[cfg(test)]
mod tests;
