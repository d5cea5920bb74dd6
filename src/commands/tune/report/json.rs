//! A run's report for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::Told;
use crate::journal::Writer;
use crate::tuner::history::{Doing, NodeHistory};
use crate::tuner::run::Raced;
use crate::tuner::verdict::Verdict;

/// One object, with the figures of the page.
pub(super) fn json(told: &Told<'_>, run: &Path, writer: Option<Writer>) -> Value {
    let Told { plan, history, race } = told;
    let sessions = history.sessions.iter().map(|session| {
        json!({"opened": session.opened, "from_s": seconds(session.from_ms), "to_s": seconds(session.to_ms)})
    });
    json!({
        "run": run,
        "running": writer.is_some(),
        "process": writer.and_then(|writer| writer.process),
        "model": plan.model.name,
        "device": plan.device.name,
        "seconds": seconds(history.ends_ms),
        "sessions": sessions.collect::<Vec<_>>(),
        "nodes": history.nodes.iter().map(|(name, history)| node(name.as_str(), history)).collect::<Vec<_>>(),
        "batch_sizes": plan.batch_sizes,
        "verdicts": race.map(|(_, raced)| verdicts(raced)),
    })
}

fn node(name: &str, node: &NodeHistory) -> Value {
    let spent = |doing| seconds(node.spent_ms(doing));
    let departures = node.departures.iter().map(|(at_ms, how)| json!({"at_s": seconds(*at_ms), "left": how}));
    let spells = node.spells.iter().map(|spell| {
        json!({"from_s": seconds(spell.from_ms), "to_s": seconds(spell.to_ms), "doing": word(spell.doing)})
    });
    let readings = node.readings.iter().map(|(at_ms, gpu)| json!({"at_s": seconds(*at_ms), "gpu": gpu}));
    let looks = node.looks.iter().map(|look| {
        json!({"at_s": seconds(look.at_ms), "batch_size": look.batch_size, "over_first": look.over_first})
    });
    json!({
        "node": name,
        "gpu": node.gpu,
        "sessions": node.sessions,
        "measuring_s": spent(Doing::Measuring),
        "compiling_s": spent(Doing::Compiling),
        "idle_s": spent(Doing::Idle),
        "away_s": spent(Doing::Away),
        "utilisation": node.utilisation(),
        "orders": node.orders,
        "broken_off": node.broken_off,
        "restarts": node.restarts,
        "workers_replaced": node.replaced,
        "departures": departures.collect::<Vec<_>>(),
        "kernels": {
            "proven": node.proven,
            "without_binary": node.without_binary,
            "kept": node.kept,
            "given_up": node.given_up,
        },
        "binaries": node.binaries,
        "binaries_taken": node.taken,
        "rounds": node.rounds,
        "not_timed": node.failures,
        "furthest_drift": node.furthest_drift(),
        "spells": spells.collect::<Vec<_>>(),
        "readings": readings.collect::<Vec<_>>(),
        "looks": looks.collect::<Vec<_>>(),
    })
}

fn verdicts(raced: &Raced) -> Vec<Value> {
    let verdict = |(batch_size, verdict): (&u32, &Verdict)| {
        let second = verdict.second.as_ref();
        json!({
            "batch_size": batch_size,
            "decided_on": verdict.on,
            "speedup": verdict.speedup,
            "second": second.map(|it| json!({"node": it.on, "agrees": it.agrees, "speedup": it.speedup})),
        })
    };
    raced.verdicts.iter().map(verdict).collect()
}

fn word(doing: Doing) -> &'static str {
    match doing {
        Doing::Measuring => "measuring",
        Doing::Compiling => "compiling",
        Doing::Idle => "idle",
        Doing::Away => "away",
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}
