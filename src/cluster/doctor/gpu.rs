//! The GPU: there, within containers' reach, not capped, not hot.

use super::Judgement;
use super::seen::{CudaGpu, Examined, GpuInside, Seen, gib, is_spark, usual};
use crate::device::Device;
use crate::host::EngineKind;

/// A Spark whose power supply was not agreed upon runs at 500 to 850 MHz instead of about 2,400, MHz.
pub(super) const CAPPED_MHZ: f64 = 850.0;
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
    let fix = give_gpus(engine.engine);
    // Docker finds NVIDIA's hook by its name too, and does not say so.
    Some(Judgement::warning("the engine knows neither NVIDIA's runtime nor a CDI device").fix(fix))
}

/// Whether a container really has it, by the driver's own library.
pub(super) fn visible(seen: &Seen) -> Option<Judgement> {
    // That the node has none is said already.
    if seen.facts().is_some_and(|facts| facts.gpus.is_empty()) {
        return None;
    }
    let kind = seen.node.settings.engine()?;
    let found = match seen.gpus_inside.as_ref()? {
        GpuInside::NoContainer(trouble) => {
            let says = format!("no container with it comes up: {}", trouble.says);
            let of_gpus = ["nvidia", "cdi", "device driver", "gpu"];
            let lowered = trouble.says.to_ascii_lowercase();
            let fix = match &trouble.fix {
                Some(fix) => fix.clone(),
                None if of_gpus.iter().any(|word| lowered.contains(word)) => give_gpus(kind).to_owned(),
                None => {
                    "give the node what is missing, or take it from `[container]` in the inventory".to_owned()
                }
            };
            return Some(Judgement::failed(says).fix(fix));
        }
        GpuInside::Unknown(trouble) => return Some(Judgement::unknown(&trouble.says)),
        GpuInside::Seen(found) => found,
    };
    let mut names: Vec<&str> = found.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    names.dedup();
    let names = names.join(", ");
    if let Some(expected) = seen.node.settings.expect_gpu().filter(|_| !found.gpus.is_empty()) {
        let has = found.gpus.iter().any(|gpu| gpu.name == expected);
        return Some(match has {
            true => Judgement::ok(format!("a container has {names}")),
            false => {
                Judgement::failed(format!("a container has {names}, where the inventory expects {expected}"))
                    .fix("set `expect_gpu` of this node in the inventory")
            }
        });
    }
    if !found.gpus.is_empty() {
        return Some(Judgement::ok(format!("a container has {names}")));
    }
    let trouble = found.trouble.as_deref().unwrap_or("it has no GPU");
    let injected = [found.nodes.as_slice(), found.driver.as_slice()].concat().join(", ");
    Some(match (found.library, injected.is_empty()) {
        (false, true) => {
            Judgement::failed(format!("a container has neither its devices nor its driver: {trouble}"))
                .fix(give_gpus(kind))
        }
        // What the image asks for decides which of the driver's libraries are mounted.
        (false, false) => {
            Judgement::failed(format!("a container has {injected} and no driver library: {trouble}"))
                .fix("`env = { NVIDIA_DRIVER_CAPABILITIES = \"compute,utility\" }` in the inventory")
        }
        (true, true) => {
            Judgement::failed(format!("a container has no device of it: {trouble}")).fix(give_gpus(kind))
        }
        (true, false) => {
            Judgement::failed(format!("a container has {injected}, and its driver does not work: {trouble}"))
                .fix("nvidia-smi, there and in the container: are driver and library of one version?")
        }
    })
}

/// Files are made for a limit: where it is another one, entries crash or leave memory unused.
pub(super) fn shared_memory(seen: &Seen) -> Option<Judgement> {
    let GpuInside::Seen(found) = seen.gpus_inside.as_ref()? else { return None };
    let judge = |gpu: &CudaGpu| {
        let Some(bytes) = gpu.shared_memory_per_block else {
            return Judgement::unknown(format!(
                "the driver does not say what a block of {} may have",
                gpu.name
            ));
        };
        let says = format!("a block of {} may have {bytes} bytes", gpu.name);
        match Device::find(&gpu.name) {
            Err(_) => Judgement::ok(format!("{says}; there is no profile of it to compare with")),
            Ok(device) if device.shared_memory_per_block == bytes => Judgement::ok(says),
            Ok(device) => {
                let says = format!("{says}, and its profile says {}", device.shared_memory_per_block);
                Judgement::failed(says).fix("another driver; or a profile of this GPU for --profiles")
            }
        }
    };
    // Of several the one that is worst.
    found.gpus.iter().map(judge).max_by_key(|judgement| judgement.state)
}

/// What lets an engine give its GPUs away.
fn give_gpus(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Docker => {
            "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
        }
        EngineKind::Podman => "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    }
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

/// Who works there: what is examined, tuned or served now shares the GPU with them.
pub(super) fn in_use(seen: &Seen) -> Option<Judgement> {
    let looked = seen.look()?;
    // nvidia-smi's own words for what it does not know are no programs.
    let line = |line: &str| {
        let mut fields = line.splitn(3, ',').map(str::trim);
        let pid = fields.next()?.parse::<u32>().ok()?;
        let memory = fields.next()?.parse::<u64>().ok().map(|mib| gib(mib << 20));
        let program = fields.next().unwrap_or_default().to_owned();
        let owner = looked.owners.get(&pid.to_string()).cloned();
        let more: Vec<String> = owner.into_iter().chain(memory).collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        Some((pid, format!("{pid} {program}{more}")))
    };
    let programs: Vec<(u32, String)> = looked.gpu_programs.as_ref()?.lines().filter_map(line).collect();
    if programs.is_empty() {
        return Some(Judgement::ok("nobody works there"));
    }
    let shown: Vec<&str> = programs.iter().map(|(_, shown)| shown.as_str()).collect();
    let pids: Vec<String> = programs.iter().map(|(pid, _)| pid.to_string()).collect();
    let fix = format!("ps -o user,lstart,args -p {}, which says whose it is", pids.join(","));
    Some(Judgement::warning(format!("in use by {}", shown.join(", "))).fix(fix))
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
