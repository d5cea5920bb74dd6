//! The GPU: there, within containers' reach, not capped, not hot.

use super::Judgement;
use super::seen::{Examined, Seen, is_spark, usual};
use crate::host::EngineKind;

/// A Spark whose power supply was not agreed upon runs at 500 to 850 MHz instead of about 2,400, MHz.
const CAPPED_MHZ: f64 = 850.0;
/// Far above a GPU that rests, degrees Celsius.
const HOT_C: f64 = 80.0;

pub(super) fn gpu(seen: &Seen) -> Option<Judgement> {
    let facts = seen.facts()?;
    let mut names: Vec<&str> = facts.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    names.dedup();
    let names = names.join(", ");
    match seen.node.settings.expect_gpu() {
        Some(expected) if facts.gpus.iter().any(|gpu| gpu.name == expected) => Some(Judgement::ok(names)),
        Some(expected) if facts.gpus.is_empty() => {
            let says = format!("no GPU, where the inventory expects {expected}: nvidia-smi names none");
            Some(Judgement::failed(says).fix("nvidia-smi, which says what the driver lacks"))
        }
        Some(expected) => {
            let says = format!("{names}, where the inventory expects {expected}");
            Some(Judgement::failed(says).fix("set `expect_gpu` of this node in the inventory"))
        }
        None if !facts.gpus.is_empty() => Some(Judgement::ok(names)),
        None if !seen.wants_gpus() => None,
        None => Some(
            Judgement::failed("no GPU: nvidia-smi names none")
                .fix("nvidia-smi, which says what the driver lacks; or `gpus = \"none\"` in the inventory"),
        ),
    }
}

/// Whether the engine can give containers what the node has.
pub(super) fn in_containers(seen: &Seen) -> Option<Judgement> {
    let engine = &seen.engine_seen()?.facts;
    if !seen.wants_gpus() {
        return None;
    }
    let cdi = &engine.gpus.cdi_devices;
    let files = seen.facts().map(|facts| facts.cdi_specifications.as_slice()).unwrap_or_default();
    if engine.gpus.dropped_by_the_api {
        let says = format!(
            "{} {} leaves GPUs out of containers that its Docker API creates (before 5.4)",
            engine.engine, engine.version
        );
        // Over a login its own command creates them.
        let judgement = match seen.node.reach.login {
            Some(_) => Judgement::warning(format!("{says}; they are created by its command instead")),
            None => Judgement::failed(says),
        };
        return Some(judgement.fix("update Podman to 5.4 or newer"));
    }
    if !cdi.is_empty() || !files.is_empty() {
        let named = cdi.first().or(files.first()).cloned().unwrap_or_default();
        return Some(Judgement::ok(format!("by CDI ({named})")));
    }
    if engine.gpus.nvidia_runtime {
        return Some(Judgement::ok("by NVIDIA's runtime"));
    }
    let fix = match engine.engine {
        EngineKind::Docker => {
            "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
        }
        EngineKind::Podman => "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    };
    // Docker finds NVIDIA's hook by its name too, and does not say so.
    Some(Judgement::warning("the engine knows neither NVIDIA's runtime nor a CDI device").fix(fix))
}

/// At rest a clock says nothing; its limit does, and one that differs from the other nodes'.
pub(super) fn clock(examined: &Examined) -> Vec<Option<Judgement>> {
    let gpu = |seen: &Seen| {
        let facts = seen.facts()?;
        let gpu = facts.gpus.first()?.clone();
        Some((gpu.name, gpu.max_clock_mhz?, gpu.clock_mhz, is_spark(facts)))
    };
    let clocks: Vec<_> = examined.nodes.iter().map(gpu).collect();
    let judge = |own: &(String, f64, Option<f64>, bool)| {
        let (name, most, now, spark) = own;
        let now = now.map_or_else(String::new, |now| format!("{now:.0} MHz now, "));
        let says = format!("{now}{most:.0} MHz at most");
        if *spark && *most <= CAPPED_MHZ {
            let says = format!("{says}: capped, as where USB-PD was not agreed upon");
            return Judgement::failed(says).fix("pull the power supply's plug for a minute");
        }
        // Of the same kind of GPU only.
        let others: Vec<_> = clocks.iter().map(|it| it.as_ref().filter(|it| it.0 == *name)).collect();
        let usual = usual(&examined.nodes, &others, |one, other| one.1 == other.1);
        match usual.and_then(|at| Some((at, others[at]?.1))) {
            Some((at, usual)) if usual != *most => {
                let of = &examined.nodes[at].node.name;
                Judgement::warning(format!("{says}; {usual:.0} MHz on {of}: their times are not comparable"))
                    .fix("nvidia-smi -q -d CLOCK, on both")
            }
            _ => Judgement::ok(format!("{says}; whether it gets there shows under load only")),
        }
    };
    clocks.iter().map(|own| own.as_ref().map(judge)).collect()
}

pub(super) fn temperature(seen: &Seen) -> Option<Judgement> {
    let celsius = seen.facts()?.gpus.iter().filter_map(|gpu| gpu.temperature_c).reduce(f64::max)?;
    let says = format!("{celsius:.0} \u{b0}C");
    match celsius >= HOT_C {
        true => {
            let says = format!("{says}, from {HOT_C:.0} on it may slow down");
            Some(Judgement::warning(says).fix("look at its air, and at what runs: nvidia-smi"))
        }
        false => Some(Judgement::ok(says)),
    }
}
