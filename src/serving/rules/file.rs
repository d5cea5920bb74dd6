//! The embedded rules, and those of a folder of one's own.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::{Rule, RuleAction, Rules};
use crate::failure::{Failure, Kind};
use crate::fs::{FolderError, is_toml, read_text_at_most, toml_files};
use crate::host::is_variable_name;
use crate::serving::arguments::key_of;
use crate::toml_text::{BadToml, from_toml};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/rules");

/// Far more than rules take.
const MAX_BYTES: u64 = 1 << 20;

/// Rules that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("rules `{}`: {message}", path.display())]
pub(crate) struct RulesError {
    path: PathBuf,
    message: String,
}

impl Failure for RulesError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    rule: Vec<Rule>,
}

impl Rules {
    /// The embedded rules; with `profiles`, those in its `rules` folder in place of embedded ones of the same id, and
    /// beside them.
    pub(crate) fn load(profiles: Option<&Path>) -> Result<Self, RulesError> {
        let mut rules = Vec::new();
        for file in EMBEDDED.files().filter(|file| is_toml(file.path())) {
            let path = Path::new("profiles/rules").join(file.path());
            take(&mut rules, parse(file.contents_utf8().unwrap_or_default(), &path)?, &path)?;
        }
        let mut own = Vec::new();
        for path in profiles.map(files).transpose()?.unwrap_or_default() {
            let text = read_text_at_most(&path, MAX_BYTES)
                .map_err(|error| RulesError { path: path.clone(), message: error.to_string() })?;
            take(&mut own, parse(&text, &path)?, &path)?;
        }
        rules.retain(|rule: &Rule| own.iter().all(|mine: &Rule| mine.id != rule.id));
        rules.extend(own);
        Ok(Self(rules))
    }
}

fn files(profiles: &Path) -> Result<Vec<PathBuf>, RulesError> {
    toml_files(profiles, "rules")
        .map_err(|FolderError { path, source }| RulesError { path, message: source.to_string() })
}

/// Add the rules of one file to those of others, whose ids they may not have.
fn take(rules: &mut Vec<Rule>, more: Vec<Rule>, path: &Path) -> Result<(), RulesError> {
    for rule in more {
        if rules.iter().any(|known| known.id == rule.id) {
            let message = format!("field `id`: `{}` is another rule's too", rule.id);
            return Err(RulesError { path: path.to_owned(), message });
        }
        rules.push(rule);
    }
    Ok(())
}

fn parse(text: &str, path: &Path) -> Result<Vec<Rule>, RulesError> {
    let bad = |message: String| RulesError { path: path.to_owned(), message };
    let RulesFile { rule: rules } =
        from_toml(text).map_err(|BadToml { place, message }| bad(format!("{place}: {message}")))?;
    for rule in &rules {
        rule.check().map_err(|message| bad(format!("rule `{}`: {message}", rule.id)))?;
    }
    Ok(rules)
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let adds = !self.arguments.is_empty() || !self.environment.is_empty();
        if adds != (self.then == RuleAction::Add) {
            return Err("`arguments` or `environment` go with do = \"add\", and with nothing else".to_owned());
        }
        if self.since.as_ref().zip(self.before.as_ref()).is_some_and(|(since, before)| since >= before) {
            return Err("`since` is not before `before`: it holds for no release".to_owned());
        }
        if let Some(name) = self.environment.keys().find(|name| !is_variable_name(name)) {
            return Err(format!("`environment`: `{name}` is no name of a variable"));
        }
        match self.arguments.iter().find_map(|word| key_of(self.engine, word)) {
            Some(key) => Err(format!("`arguments`: what the key `{key}` of a recipe is for")),
            None => Ok(()),
        }
    }
}
