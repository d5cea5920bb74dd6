//! The embedded rules, and those of a folder of one's own.

use std::path::Path;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::{Rule, RuleAction, Rules};
use crate::host::is_variable_name;
use crate::serving::arguments::key_of;
use crate::serving::entries::{Entries, EntriesError, Entry};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/rules");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serving) struct RulesFile {
    #[serde(default)]
    rule: Vec<Rule>,
}

impl From<RulesFile> for Vec<Rule> {
    fn from(RulesFile { rule }: RulesFile) -> Self {
        rule
    }
}

impl Rules {
    /// The embedded rules; with `profiles`, those in its `rules` folder in place of embedded ones of the same id, and
    /// beside them.
    pub(crate) fn load(profiles: Option<&Path>) -> Result<Self, EntriesError> {
        let Entries { own, embedded } = Entries::load(&EMBEDDED, profiles)?;
        Ok(Self(embedded.into_iter().chain(own).collect()))
    }
}

impl Entry for Rule {
    type File = RulesFile;
    const WORD: &'static str = "rule";
    const FOLDER: &'static str = "rules";

    fn id(&self) -> &str {
        &self.id
    }

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
