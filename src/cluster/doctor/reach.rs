//! Whether a node, and its engine, can be reached and used.

use super::Judgement;
use super::seen::{Obstacle, Seen};
use crate::cluster::inventory::Login;
use crate::host::EngineKind;

/// A trouble that keeps the node from working.
fn failed(trouble: &Obstacle) -> Judgement {
    Judgement { fix: trouble.fix.clone(), ..Judgement::failed(&trouble.says) }
}

pub(super) fn reachable(seen: &Seen) -> Option<Judgement> {
    Some(match (&seen.reached, &seen.node.reach.login) {
        (Err(trouble), _) => failed(trouble),
        (Ok(()), Some(Login::Local)) => Judgement::ok("it is this machine"),
        (Ok(()), Some(Login::Ssh(route))) => Judgement::ok(format!("by ssh to {route}")),
        (Ok(()), None) => {
            Judgement::unknown("the inventory names an engine and no login: only that is looked at")
                .fix("add `ssh = \"...\"` for it to the inventory")
        }
    })
}

/// Whether it says what it is. Its facts have no item of their own where they are there.
pub(super) fn readable(seen: &Seen) -> Option<Judgement> {
    match seen.read.as_ref()? {
        Err(trouble) => Some(failed(trouble)),
        Ok(read) if read.facts.doubts.is_empty() => Some(Judgement::ok("it says what it is")),
        Ok(read) => {
            let doubts = read.facts.doubts.iter().map(|doubt| format!("{}: {}", doubt.about, doubt.problem));
            Some(Judgement::warning(doubts.collect::<Vec<_>>().join("; ")))
        }
    }
}

pub(super) fn engine(seen: &Seen) -> Option<Judgement> {
    let kind = seen.node.settings.engine()?;
    match seen.engine.as_ref()? {
        Ok(engine) => {
            let facts = &engine.facts;
            Some(Judgement::ok(format!("{} {}, API {}", facts.engine, facts.version, facts.api)))
        }
        Err(trouble) => {
            let fix = trouble.fix.clone().unwrap_or_else(|| start(kind, seen).to_owned());
            Some(Judgement::failed(&trouble.says).fix(fix))
        }
    }
}

/// What brings an engine within reach whose socket says nothing telling, as behind a forward: the engine's own command
/// on the node says whether the user may use it.
fn start(kind: EngineKind, seen: &Seen) -> &'static str {
    let said = seen.facts().into_iter().flat_map(|facts| &facts.engines);
    let said = said.filter(|engine| engine.command == kind.program()).find_map(|it| it.problem.as_deref());
    match kind {
        EngineKind::Docker if said.is_some_and(|words| words.contains("permission denied")) => {
            "sudo usermod -aG docker $USER, and log in again"
        }
        EngineKind::Docker => "sudo systemctl start docker",
        EngineKind::Podman => "sudo systemctl start podman.socket",
    }
}
