//! The options of a server's command, asked of the interpreter that would run it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cluster::installed::{Family, NoPlace};
use crate::host::ask::{ask as ask_program, beginning};
use crate::host::{Host, HostPath};
use crate::runtime::options::{OptionList, ServerOption};

pub(super) const PROGRAM: &str = include_str!("../../../worker/node/options.py");
/// How long one help may take, seconds: it loads the runtime and torch, from a disk that has not read them yet.
const HELP_S: u64 = 120;
/// vLLM has two forms of help.
const LIMIT: Duration = Duration::from_secs(2 * HELP_S + 20);

/// What `worker/node/options.py` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OptionsAnswer {
    family: Option<Family>,
    help: Option<String>,
    trouble: Option<String>,
    read: Vec<ServerOption>,
    positional: Vec<String>,
}

/// What a server's command takes, and how that is known.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerOptions {
    /// The runtime.
    pub(crate) family: Family,
    /// How it is known.
    #[serde(flatten)]
    pub(crate) from: OptionsFrom,
    /// The options.
    #[serde(flatten)]
    pub(crate) list: OptionList,
}

/// How options are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub(crate) enum OptionsFrom {
    /// The command said so.
    Help,
    /// Its source was read, which may leave some out: the command did not say.
    Source {
        /// Why not.
        trouble: String,
    },
}

pub(super) async fn ask(
    host: &dyn Host,
    python: &HostPath,
    family: Family,
) -> Result<OptionsAnswer, NoPlace> {
    let order = json!({ "package": family.package(), "seconds": HELP_S });
    let line = format!("{order}\n");
    let answer = ask_program(host, python, PROGRAM, &[line.as_bytes()], LIMIT).await?;
    let answer: OptionsAnswer = serde_json::from_slice(&answer).map_err(|_| NoPlace::Garbled {
        on: host.name().clone(),
        python: python.clone(),
        said: beginning(&answer),
    })?;
    Ok(OptionsAnswer { family: Some(family), ..answer })
}

impl OptionsAnswer {
    /// The options, or why nobody knows them.
    pub(super) fn options(&self) -> Result<ServerOptions, String> {
        let unsaid = || self.trouble.clone().unwrap_or_else(|| "its help names no options".to_owned());
        let family = self.family.ok_or_else(unsaid)?;
        let flexible = family == Family::Vllm;
        if let Some(list) = self.help.as_deref().and_then(|help| OptionList::of_help(help, flexible).ok()) {
            return Ok(ServerOptions { family, from: OptionsFrom::Help, list });
        }
        if self.read.is_empty() {
            return Err(unsaid());
        }
        let mut options = self.read.clone();
        options.push(ServerOption::help());
        let list = OptionList { options, positional: self.positional.clone(), flexible };
        Ok(ServerOptions { family, from: OptionsFrom::Source { trouble: unsaid() }, list })
    }
}
