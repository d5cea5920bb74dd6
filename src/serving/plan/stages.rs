//! The order in which a model comes up.

use std::collections::BTreeMap;

use super::{Action, Stage, Step};
use crate::serving::engine::{Process, ray};
use crate::serving::member::Member;
use crate::serving::recipe::{RayKeys, ServingRecipe};
use crate::serving::role::Role;

/// Every stage, first things first.
pub(super) fn stages(recipe: &ServingRecipe, members: &[Member<'_>]) -> Vec<Stage> {
    let mut stages = Vec::new();
    let create = |member: &Member<'_>| {
        let spec = member.container.clone()?;
        Some(step(member, Action::Create(Box::new(spec))))
    };
    let containers: Vec<Step> = members.iter().filter_map(create).collect();
    if !containers.is_empty() {
        stages.push(Stage {
            what: "containers",
            reason: "everything runs in them, with the variables of its own node",
            steps: containers,
        });
    }
    let Some((head, others)) = members.split_first() else { return stages };
    match recipe.keys.ray.filter(|_| !others.is_empty()) {
        Some(keys) => by_ray(recipe, keys, head, others, &mut stages),
        None => by_ranks(recipe, head, others, &mut stages),
    }
    stages.push(Stage {
        what: "ready",
        reason: "an answered health check may be another model's, so that the name is looked at too",
        steps: vec![step(head, Action::AwaitReady)],
    });
    stages
}

/// Every rank by itself; they find one another at the head's address.
fn by_ranks(recipe: &ServingRecipe, head: &Member<'_>, others: &[Member<'_>], stages: &mut Vec<Stage>) {
    let nodes = others.len() + 1;
    let process = |on, rank| Process { recipe, on, head, rank, nodes }.command();
    // The last rank first, as the guides have it: any order would do, and these may go at once.
    let ranks: Vec<Step> = others
        .iter()
        .enumerate()
        .map(|(at, on)| (on, at + 1))
        .rev()
        .map(|(on, rank)| step(on, start(Role::Rank(rank), process(on, rank))))
        .collect();
    if !ranks.is_empty() {
        stages.push(Stage {
            what: "ranks",
            reason: "they wait for rank 0, so that a rank that cannot start is seen before the head",
            steps: ranks,
        });
    }
    stages.push(Stage {
        what: "server",
        reason: "rank 0 answers clients",
        steps: vec![step(head, start(Role::Server, process(head, 0)))],
    });
}

/// A Ray cluster, and one process that places the ranks on it.
fn by_ray(
    recipe: &ServingRecipe,
    RayKeys { port }: RayKeys,
    head: &Member<'_>,
    others: &[Member<'_>],
    stages: &mut Vec<Stage>,
) {
    let nodes = others.len() + 1;
    let up = |role, argv| Action::Start { role, argv, until: Some(ray::UP) };
    let workers = others.iter().map(|on| step(on, up(Role::RayWorker, ray::worker(on, head, port))));
    let server = Process { recipe, on: head, head, rank: 0, nodes }.command();
    let gpus = Action::AwaitGpus { argv: ray::gpus(head, port), gpus: recipe.split().gpus() };
    let one = |what, reason, action| Stage { what, reason, steps: vec![step(head, action)] };
    stages.extend([
        one("Ray's head", "the others join it", up(Role::RayHead, ray::head(head, port))),
        Stage {
            what: "Ray's workers",
            reason: "they have the variables of their own node only if they start with them",
            steps: workers.collect(),
        },
        one("GPUs", "an engine that asks Ray for GPUs that have not joined waits without a word", gpus),
        one("server", "it asks Ray for a GPU of every node", start(Role::Server, server)),
    ]);
}

/// A program whose words nobody waits for.
fn start(role: Role, argv: Vec<String>) -> Action {
    Action::Start { role, argv, until: None }
}

fn step(member: &Member<'_>, action: Action) -> Step {
    let container = member.container.as_ref().zip(member.node.settings.engine());
    let container = container.map(|(spec, engine)| (engine, spec.name.clone()));
    let environment = if container.is_some() { BTreeMap::new() } else { member.environment.clone() };
    Step { node: member.node.name.clone(), container, environment, action }
}
