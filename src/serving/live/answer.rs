//! What the server of a model says, asked on its own node: whoever looks need not reach the port that clients use.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::host::ask::{AskError, AskFailure, ask, beginning};
use crate::host::{Ending, Host, HostPath};

const PROGRAM: &str = include_str!("../../../worker/node/serving.py");
/// How long each of its answers may take: a first token after a pause of hours may take seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The same of somebody who may be no server.
const LISTENER_LIMIT: Duration = Duration::from_secs(3);
/// Three questions and a connection.
const LIMIT: Duration = Duration::from_secs(4 * ANSWER_LIMIT.as_secs() + 10);

/// What `worker/node/serving.py` answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Answer {
    /// Whether anybody takes connections on the port.
    pub(crate) listens: bool,
    /// The status of `/health`; none where there was no answer.
    pub(crate) health: Option<u16>,
    /// What `/v1/models` lists; none where there was no list.
    pub(crate) models: Option<Vec<String>>,
    /// True, or why there was no token; nothing where none was wanted.
    token: Option<Value>,
}

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whether anybody listens there, and as what if that is said soon: it may be no server at all.
    Listener,
    /// Its state.
    State,
    /// A token besides.
    Token,
}

impl Answer {
    /// Why `model` does not answer clients; none where it does, as far as was asked.
    pub(crate) fn missing(&self, model: &str) -> Option<String> {
        if !self.listens {
            return Some("nobody listens on its port yet".to_owned());
        }
        match self.health {
            Some(200) => {}
            Some(status) => return Some(format!("/health says {status}")),
            None => return Some("/health does not answer".to_owned()),
        }
        match &self.models {
            None => return Some("/v1/models lists nothing".to_owned()),
            Some(models) if !models.iter().any(|name| name == model) => {
                return Some(format!("it serves {} and not {model}", models.join(", ")));
            }
            Some(_) => {}
        }
        match &self.token {
            None | Some(Value::Bool(true)) => None,
            Some(why) => Some(format!("no token: {}", beginning(why.as_str().unwrap_or("?").as_bytes()))),
        }
    }

    /// Whether what answers is another model.
    pub(crate) fn is_another(&self, model: &str) -> bool {
        let others = |models: &Vec<String>| !models.is_empty() && !models.iter().any(|name| name == model);
        self.models.as_ref().is_some_and(others)
    }
}

/// Ask the server on `port` of `host`, whether it serves `model`.
pub(crate) async fn ask_server(
    host: &dyn Host,
    port: u16,
    model: &str,
    wanted: Wanted,
) -> Result<Answer, AskError> {
    let python = HostPath::new("python3");
    let limit = if wanted == Wanted::Listener { LISTENER_LIMIT } else { ANSWER_LIMIT };
    let seconds = limit.as_secs();
    let order = json!({
        "port": port, "model": model, "complete": wanted == Wanted::Token, "seconds": seconds,
    });
    let answer = ask(host, &python, PROGRAM, &[format!("{order}\n").as_bytes()], LIMIT).await?;
    serde_json::from_slice(&answer).map_err(|_| AskError {
        on: host.name().clone(),
        what: AskFailure::Ended { program: python, ending: Ending::Exit(0), said: beginning(&answer) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_answers_where_everything_says_so() {
        let ready = Answer {
            listens: true,
            health: Some(200),
            models: Some(vec!["m".into()]),
            token: Some(json!(true)),
        };
        assert_eq!(ready.missing("m"), None);
        assert_eq!(Answer { token: None, ..ready.clone() }.missing("m"), None);
        for (answer, words) in [
            (Answer::default(), "nobody listens"),
            (Answer { health: None, ..ready.clone() }, "does not answer"),
            (Answer { health: Some(503), ..ready.clone() }, "/health says 503"),
            (Answer { models: None, ..ready.clone() }, "lists nothing"),
            (Answer { models: Some(vec!["old".into()]), ..ready.clone() }, "serves old and not m"),
            (Answer { token: Some(json!("status 500: no")), ..ready.clone() }, "no token: status 500: no"),
        ] {
            let why = answer.missing("m").unwrap();
            assert!(why.contains(words), "{why}");
        }
        assert!(!ready.is_another("m") && ready.is_another("n"));
        assert!(!Answer::default().is_another("m"));
    }
}
