//! Known failures: what a line in an engine's log means, why it comes, and what mends it.
//!
//! They are data, `profiles/failures/*.toml`. A log mostly holds several: what went wrong and what fell over it. Of those
//! the one nearest to the cause is told: what is no mere symptom before what is one, then the earlier line, and of several
//! in one line the entry that comes first (one's own first, then the embedded files by name, each in its order).

mod file;
#[cfg(test)]
mod tests;

use regex::{Regex, RegexSet};
use serde::{Deserialize, Serialize};

use super::kind::ServingEngine;
use super::milestone::milestone;
use crate::log_line::{plain, without_tokens};

/// All known failures.
#[derive(Debug)]
pub(crate) struct KnownFailures {
    entries: Vec<KnownFailure>,
    /// Every pattern of every entry: a line is held against all of them at once.
    patterns: RegexSet,
    /// Whose each is, and what for; in the order of `patterns`.
    parts: Vec<(usize, Part)>,
}

/// What is known of one failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownFailure {
    /// What messages call it.
    id: String,
    /// Whose log it stands in; any where not given.
    engine: Option<LogOf>,
    /// What it does to a start.
    #[serde(default)]
    kind: FailureKind,
    /// Whether it follows from another failure, which may not stand in this log.
    #[serde(default)]
    symptom: bool,
    /// A regular expression over one line.
    pattern: String,
    /// Another, over some line: what one alone does not prove.
    also: Option<String>,
    /// Another, over no line.
    unless: Option<String>,
    /// Why it comes, in a sentence.
    cause: String,
    /// What mends it.
    fix: String,
    /// How that is known.
    source: String,
}

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogOf {
    Sglang,
    Vllm,
    /// Either engine's log, on Ray.
    Ray,
}

/// What a failure does to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FailureKind {
    /// It ends it.
    #[default]
    Fatal,
    /// It keeps it from going on, where nothing comes after the line.
    Hang,
    /// It goes on, worse than it could.
    Warning,
}

/// What a pattern of an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Pattern,
    Also,
    Unless,
}

/// What a log shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Explanation {
    /// The entry.
    pub(crate) id: String,
    /// What it does to a start.
    pub(crate) kind: FailureKind,
    /// Why it comes.
    pub(crate) cause: String,
    /// What mends it.
    pub(crate) fix: String,
    /// How that is known.
    pub(crate) source: String,
    /// The line that shows it, fit to be shown.
    pub(crate) line: String,
    /// Whether it follows from another failure, which may stand in another node's log.
    #[serde(skip)]
    pub(crate) symptom: bool,
}

/// An entry that holds for a log.
struct Found<'a> {
    order: usize,
    entry: &'a KnownFailure,
    lines: Lines,
}

/// The first line that shows something, and the last.
#[derive(Debug, Clone, Copy)]
struct Lines {
    first: usize,
    last: usize,
}

impl KnownFailures {
    /// Why an engine's process ended that left `lines`: by what is fatal, else by what it was waiting for when it ended.
    /// What only warns ends nothing.
    pub(crate) fn explain(&self, engine: ServingEngine, lines: &[String]) -> Option<Explanation> {
        let found = self.found(engine, lines);
        let fatal = found.iter().filter(|found| found.entry.kind == FailureKind::Fatal);
        if let Some(Found { entry, lines: at, .. }) =
            fatal.min_by_key(|found| (found.entry.symptom, found.lines.first, found.order))
        {
            return Some(entry.explains(&lines[at.first]));
        }
        // What has gone on since did not hang.
        let reached = lines.iter().rposition(|line| milestone(engine, line).is_some()).unwrap_or(0);
        let hang =
            found.iter().filter(|found| found.entry.kind == FailureKind::Hang && found.lines.last >= reached);
        let Found { entry, lines: at, .. } = hang.max_by_key(|found| found.lines.last)?;
        Some(entry.explains(&lines[at.last]))
    }

    /// What `lines` show of a start that goes on worse than it could, in the order of the lines.
    pub(crate) fn warnings(&self, engine: ServingEngine, lines: &[String]) -> Vec<Explanation> {
        let mut found = self.found(engine, lines);
        found.retain(|found| found.entry.kind == FailureKind::Warning);
        found.sort_by_key(|found| (found.lines.first, found.order));
        found.iter().map(|found| found.entry.explains(&lines[found.lines.first])).collect()
    }

    /// What an engine waits for that has not gone on since it said `line`.
    pub(crate) fn hang(&self, engine: ServingEngine, line: &str) -> Option<Explanation> {
        let lines = [line.to_owned()];
        let found = self.found(engine, &lines);
        let hang = found.iter().find(|found| found.entry.kind == FailureKind::Hang)?;
        Some(hang.entry.explains(line))
    }

    /// The entries that hold for `lines`, in their order. One pass over the lines, whatever the number of entries.
    fn found(&self, engine: ServingEngine, lines: &[String]) -> Vec<Found<'_>> {
        let mut seen: Vec<Option<Lines>> = vec![None; self.parts.len()];
        for (at, line) in lines.iter().enumerate() {
            for pattern in &self.patterns.matches(line) {
                seen[pattern].get_or_insert(Lines { first: at, last: at }).last = at;
            }
        }
        let mut found: Vec<Found<'_>> = Vec::new();
        let mut refused: Vec<usize> = Vec::new();
        for (&(order, part), seen) in self.parts.iter().zip(seen) {
            let entry = &self.entries[order];
            match (part, seen) {
                (Part::Pattern, Some(lines)) if entry.is_of(engine) => {
                    found.push(Found { order, entry, lines })
                }
                (Part::Also, None) | (Part::Unless, Some(_)) => refused.push(order),
                (Part::Pattern, _) | (Part::Also, Some(_)) | (Part::Unless, None) => {}
            }
        }
        found.retain(|found| !refused.contains(&found.order));
        found
    }
}

impl KnownFailure {
    fn is_of(&self, engine: ServingEngine) -> bool {
        match self.engine {
            None | Some(LogOf::Ray) => true,
            Some(LogOf::Sglang) => engine == ServingEngine::Sglang,
            Some(LogOf::Vllm) => engine == ServingEngine::Vllm,
        }
    }

    /// Its patterns, each with the field that holds it.
    fn patterns(&self) -> impl Iterator<Item = (&'static str, Part, &str)> {
        let Self { pattern, also, unless, .. } = self;
        let also = also.as_deref().map(|also| ("also", Part::Also, also));
        let unless = unless.as_deref().map(|unless| ("unless", Part::Unless, unless));
        std::iter::once(("pattern", Part::Pattern, pattern.as_str())).chain(also).chain(unless)
    }

    fn explains(&self, line: &str) -> Explanation {
        let Self { id, kind, cause, fix, source, symptom, .. } = self.clone();
        Explanation { id, kind, cause, fix, source, line: shown(line, &self.pattern), symptom }
    }
}

/// The part of a line around what `pattern` finds there, without control characters and without tokens of the hub.
fn shown(line: &str, pattern: &str) -> String {
    const MOST: usize = 300;
    /// What stands before a message: a time, a process, a file.
    const BEFORE: usize = 100;
    let line = without_tokens(&plain(line));
    // Patterns that do not compile were refused when they were read.
    let at =
        Regex::new(pattern).ok().and_then(|pattern| pattern.find(&line)).map_or(0, |found| found.start());
    let before = line[..at].chars().count();
    let skipped = if line.chars().count() > MOST { before.saturating_sub(BEFORE) } else { 0 };
    line.chars().skip(skipped).take(MOST).collect()
}
