//! What is to be said of a model that was found: whether clients can use it, and why not.

use serde::Serialize;

use super::answer::Answer;
use super::found::{FoundModel, PartState};
use crate::host_name::HostName;

/// What is to be said of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "snake_case")]
pub(crate) enum Condition {
    /// Clients can use it.
    Ready(()),
    /// Everything runs, and clients cannot use it yet.
    Starting(String),
    /// It will not work again by itself.
    Broken(String),
}

impl Condition {
    /// Of `model`, whose server said `answer`, or why it said nothing. `problems`: nodes that could not be asked, and why.
    /// `starter`: who is starting something right now.
    pub(crate) fn of(
        model: &FoundModel,
        answer: Option<&Result<Answer, String>>,
        problems: &[(&HostName, &str)],
        starter: Option<&str>,
    ) -> Self {
        if let Some((node, why)) = problems.iter().find(|(node, _)| model.served.nodes.contains(node)) {
            return Self::Broken(format!("{node} cannot be asked: {why}"));
        }
        for container in &model.containers {
            if !container.runs {
                return Self::Broken(format!(
                    "the container {} on {} does not run",
                    container.name, container.node
                ));
            }
            if let Some(problem) = &container.problem {
                return Self::Broken(format!(
                    "the container {} on {} does not say what runs in it: {problem}",
                    container.name, container.node
                ));
            }
        }
        let ended = model.parts.iter().find_map(|part| match &part.state {
            PartState::Running { .. } => None,
            PartState::Ended { how, .. } => Some(format!("{} on {} has ended: {how}", part.role, part.node)),
        });
        if let Some(ended) = ended {
            return Self::Broken(ended);
        }
        let (there, wanted) = (model.parts.len(), model.served.processes);
        if there < wanted {
            return match starter {
                Some(who) => {
                    Self::Starting(format!("{who} is starting it: {there} of {wanted} processes run"))
                }
                None => Self::Broken(format!("its start was cut off: {there} of {wanted} processes run")),
            };
        }
        match answer {
            None => Self::Broken("its server's node says nothing of it".to_owned()),
            Some(Err(why)) => Self::Broken(format!("its server cannot be asked: {why}")),
            Some(Ok(answer)) if answer.is_another(&model.served.served_name) => {
                Self::Broken(answer.missing(&model.served.served_name).unwrap_or_default())
            }
            Some(Ok(answer)) => match answer.missing(&model.served.served_name) {
                Some(why) => Self::Starting(why),
                None => Self::Ready(()),
            },
        }
    }

    /// Why clients cannot use it.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Condition::Ready(()) => None,
            Condition::Starting(why) | Condition::Broken(why) => Some(why),
        }
    }

    /// In one word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Condition::Ready(()) => "ready",
            Condition::Starting(_) => "starting",
            Condition::Broken(_) => "broken",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::live::found::{FoundContainer, Part};
    use crate::serving::live::tests::{part, served};
    use crate::serving::role::Role;

    fn up() -> FoundModel {
        let container = |node: &str| FoundContainer {
            node: node.parse().unwrap(),
            name: "c".into(),
            runs: true,
            problem: None,
        };
        FoundModel {
            served: served("me/m", "n1,n2"),
            parts: vec![part("n1", Role::Server), part("n2", Role::Rank(1))],
            containers: vec![container("n1"), container("n2")],
            head: None,
        }
    }

    fn answer(health: u16, model: &str) -> Option<Result<Answer, String>> {
        let json = format!(r#"{{"listens":true,"health":{health},"models":["{model}"],"token":null}}"#);
        Some(Ok(serde_json::from_str(&json).unwrap()))
    }

    fn condition(model: &FoundModel, answer: Option<Result<Answer, String>>) -> Condition {
        Condition::of(model, answer.as_ref(), &[], None)
    }

    #[track_caller]
    fn broken(condition: &Condition, words: &str) {
        assert!(
            matches!(condition, Condition::Broken(why) if why.contains(words)),
            "`{words}` is not why: {condition:?}"
        );
    }

    #[test]
    fn a_model_is_ready_where_all_run_and_it_answers() {
        assert_eq!(condition(&up(), answer(200, "m")), Condition::Ready(()));
        assert_eq!(condition(&up(), answer(503, "m")), Condition::Starting("/health says 503".into()));
        broken(&condition(&up(), answer(200, "old")), "serves old and not m");
        broken(&condition(&up(), None), "says nothing");
        broken(&condition(&up(), Some(Err("link lost".into()))), "link lost");
    }

    #[test]
    fn whoever_has_ended_or_is_out_of_reach_breaks_it() {
        let mut model = up();
        model.parts[1].state = PartState::Ended { how: "signal: 9".into(), left: 0 };
        broken(&condition(&model, answer(200, "m")), "rank 1 on n2 has ended: signal: 9");
        let mut model = up();
        model.containers[1].runs = false;
        broken(&condition(&model, answer(200, "m")), "the container c on n2 does not run");
        let mut model = up();
        model.containers[0].problem = Some("no python3".into());
        broken(&condition(&model, answer(200, "m")), "no python3");
        let (n2, n3): (HostName, HostName) = ("n2".parse().unwrap(), "n3".parse().unwrap());
        let answered = answer(200, "m");
        let of = |node| Condition::of(&up(), answered.as_ref(), &[(node, "no route")], None);
        broken(&of(&n2), "n2 cannot be asked: no route");
        assert_eq!(of(&n3), Condition::Ready(()), "it takes no part");
    }

    #[test]
    fn a_start_that_was_cut_off_is_broken_unless_somebody_is_at_it() {
        let mut model = up();
        let gone: Option<Part> = model.parts.pop();
        assert!(gone.is_some());
        broken(&condition(&model, answer(200, "m")), "cut off: 1 of 2");
        let condition = Condition::of(&model, None, &[], Some("anna"));
        assert_eq!(condition, Condition::Starting("anna is starting it: 1 of 2 processes run".into()));
    }
}
