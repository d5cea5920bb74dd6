//! Whether a model can be loaded: its files, room for what is missing of them, memory for its weights.

use super::Judgement;
use super::asked::{AskedModel, ModelSource};
use super::hub_cache::HubCache;
use super::seen::{Examined, ModelSeen, Seen, gib, usual};
use crate::device::Device;
use crate::host::HostPath;

/// The part of the memory that vLLM and SGLang take unless told otherwise, weights included: vLLM's
/// `--gpu-memory-utilization`. SGLang's `--mem-fraction-static` is below it.
const TAKEN: f64 = 0.9;
/// Digits of a revision that are shown.
const SHORT: usize = 12;

/// Whether the model is there, whole, and the same one as on the other nodes.
pub(super) fn files(examined: &Examined, at: usize) -> Vec<Option<Judgement>> {
    let model = &examined.models[at];
    let revisions: Vec<Option<&str>> =
        examined.nodes.iter().map(|seen| seen.model(at)?.ok()?.revision.as_deref()).collect();
    let usual = usual(&examined.nodes, &revisions, PartialEq::eq);
    let judge = |(seen, own): (&Seen, &Option<&str>)| {
        let name = &model.name;
        if let Some(path) = goes_with_the_container(model, seen) {
            let says =
                format!("{name}: no volume is mounted at {path}, so that each new container fetches it anew");
            let fix = "`volumes = [\"~/.cache/huggingface:/root/.cache/huggingface\"]` below [container] of the inventory";
            return Some(Judgement::warning(says).fix(fix));
        }
        let found = match seen.model(at)? {
            Ok(found) => found,
            Err(trouble) => return Some(Judgement::unknown(format!("{name}: {}", trouble.says))),
        };
        let fix = fetch(model, found, examined, at);
        if !found.there {
            let unfinished = unfinished(found).map(|says| format!("; {says}")).unwrap_or_default();
            return Some(
                Judgement::failed(format!("{name} is not in {}{unfinished}", found.folder)).fix(fix),
            );
        }
        if found.wrong > 0 {
            let more = found.wrong.saturating_sub(found.faults.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let unfinished = unfinished(found).map(|says| format!("; {says}")).unwrap_or_default();
            let says = format!("{name} in {}: {}{more}{unfinished}", found.folder, found.faults.join(", "));
            return Some(Judgement::failed(says).fix(fix));
        }
        let revision = own.map(|own| format!(", revision {}", short(own))).unwrap_or_default();
        let says = format!("{name}: {} files, {}{revision}", found.files, gib(found.have));
        if found.unlooked > 0 {
            let says = format!("{says}; {} of them were not looked into in time", found.unlooked);
            return Some(Judgement::unknown(says));
        }
        match (own, usual.and_then(|at| Some((at, revisions[at]?)))) {
            (Some(own), Some((most, usual))) if usual != *own => {
                let of = &examined.nodes[most].node.name;
                let says = format!("{says}, and {} on {of}", short(usual));
                Some(Judgement::warning(says).fix(format!("{fix}, on every node")))
            }
            _ => {
                let beside = unfinished(found).map(|it| format!("; beside it {it}")).unwrap_or_default();
                Some(Judgement::ok(format!("{says}, in {}{beside}", found.folder)))
            }
        }
    };
    examined.nodes.iter().zip(&revisions).map(judge).collect()
}

/// Whether there is room for what is still to be fetched. Nothing is said of a node that has the whole model.
pub(super) fn disk(examined: &Examined, at: usize) -> Vec<Option<Judgement>> {
    let model = &examined.models[at];
    let name = &model.name;
    let total = total(examined, at);
    let judge = |seen: &Seen| {
        let found = seen.model(at)?.ok()?;
        if goes_with_the_container(model, seen).is_some() {
            return None;
        }
        if found.there && found.wrong == 0 {
            return None;
        }
        let Some(total) = total else {
            return Some(Judgement::unknown(format!(
                "{name}: no node has its index, which says how large it is"
            )));
        };
        let left = total.saturating_sub(found.have).saturating_sub(found.unfinished.1);
        let free = found.free?;
        let says = format!(
            "{name}: {} are still to be fetched, {} are free at {}",
            gib(left),
            gib(free),
            found.folder
        );
        Some(match left >= free {
            true => Judgement::failed(says)
                .fix("sudo du -xh --max-depth=2 / | sort -h | tail, which says what takes it"),
            false => Judgement::ok(says),
        })
    };
    examined.nodes.iter().map(judge).collect()
}

/// Whether a rank's part of the weights fits into a GPU's memory.
pub(super) fn memory(examined: &Examined, at: usize) -> Vec<Option<Judgement>> {
    let AskedModel { name, parallelism, .. } = &examined.models[at];
    let total = total(examined, at);
    let judge = |seen: &Seen| {
        let (capacity, total) = (capacity(seen)?, total?);
        let share = total / u64::from(parallelism.tp());
        let says =
            format!("{name}: {} of weights a rank ({parallelism}), {} of memory", gib(share), gib(capacity));
        let fix = "more ranks (--tp), or a smaller model";
        Some(match share as f64 / capacity as f64 {
            part if part >= 1.0 => Judgement::failed(says).fix(fix),
            part if part >= TAKEN => {
                Judgement::warning(format!("{says}: as much as runtimes take for all they keep")).fix(fix)
            }
            _ => Judgement::ok(says),
        })
    };
    examined.nodes.iter().map(judge).collect()
}

/// The container's folder for the model, where that is no folder of the node.
fn goes_with_the_container(model: &AskedModel, seen: &Seen) -> Option<HostPath> {
    match (&model.source, HubCache::of(&seen.node)) {
        (ModelSource::Hub(_), HubCache::InContainer(path)) => Some(path),
        _ => None,
    }
}

/// Bytes of the model's weights, from whichever node knows.
fn total(examined: &Examined, at: usize) -> Option<u64> {
    examined.nodes.iter().filter_map(|seen| seen.model(at)?.ok()?.total).max()
}

/// Bytes that a GPU has for weights: its own by its profile, or the node's where both share them.
fn capacity(seen: &Seen) -> Option<u64> {
    let facts = seen.facts()?;
    match facts.gpus.first() {
        Some(gpu) if !gpu.shares_memory() => {
            Device::find(&gpu.name).ok().map(|device| (device.memory_gb * 1e9) as u64)
        }
        _ => facts.memory.total,
    }
}

fn unfinished(found: &ModelSeen) -> Option<String> {
    let (count, bytes) = found.unfinished;
    let downloads = if count == 1 { "download is" } else { "downloads are" };
    (count > 0).then(|| format!("{count} {downloads} unfinished ({} of it there)", gib(bytes)))
}

/// What brings the model there. What is there already is not fetched again.
fn fetch(model: &AskedModel, found: &ModelSeen, examined: &Examined, at: usize) -> String {
    match &model.source {
        ModelSource::Hub(id) => {
            let cache = found.folder.rsplit_once('/').map_or(".", |(cache, _)| cache);
            format!("hf download {id} --cache-dir {cache}")
        }
        ModelSource::Folder(folder) => {
            let whole =
                |seen: &&Seen| seen.model(at).is_some_and(|it| it.is_ok_and(|it| it.there && it.wrong == 0));
            let from =
                examined.nodes.iter().find(whole).map_or("where it is whole", |it| it.node.name.as_str());
            format!("copy it from {from}: rsync -a {folder}/ to this node")
        }
    }
}

fn short(revision: &str) -> &str {
    revision.get(..SHORT).unwrap_or(revision)
}
