//! Memory, which on unified machines is the GPU's too.

use super::Judgement;
use super::seen::{Seen, gib};

const GIB: u64 = 1 << 30;
/// Below this, and with files' contents in the way, drivers fail to allocate.
const LITTLE_FREE: u64 = 8 * GIB;
/// Swap in use that is no chance.
const MUCH_SWAP: u64 = GIB;

pub(super) fn memory(seen: &Seen) -> Option<Judgement> {
    let memory = &seen.facts()?.memory;
    let (available, total) = (memory.available?, memory.total?);
    let says = format!("{} of {} can be had", gib(available), gib(total));
    match available < total / 2 {
        true => Some(
            Judgement::warning(says).fix("ps -eo rss,pid,args --sort=-rss | head, which says who has it"),
        ),
        false => Some(Judgement::ok(says)),
    }
}

/// Where there is a GPU: what the kernel keeps of files is not free to it until it is given up.
pub(super) fn page_cache(seen: &Seen) -> Option<Judgement> {
    let facts = seen.facts()?;
    let (free, kept) = (facts.memory.free?, facts.memory.page_cache?);
    if facts.gpus.is_empty() {
        return None;
    }
    let says = format!("{} hold files, {} are free", gib(kept), gib(free));
    match free < LITTLE_FREE && kept > free {
        true => Some(Judgement::warning(says).fix("sync; echo 3 | sudo tee /proc/sys/vm/drop_caches")),
        false => Some(Judgement::ok(says)),
    }
}

pub(super) fn swap(seen: &Seen) -> Option<Judgement> {
    let memory = &seen.facts()?.memory;
    let (total, free) = (memory.swap_total?, memory.swap_free?);
    let used = total.saturating_sub(free);
    match used >= MUCH_SWAP {
        true => Some(
            Judgement::warning(format!("{} of {} are swapped out", gib(used), gib(total)))
                .fix("sudo swapoff -a, once memory is free again"),
        ),
        false => Some(Judgement::ok(format!("{} of {} in use", gib(used), gib(total)))),
    }
}

pub(super) fn guard(seen: &Seen) -> Option<Judgement> {
    let guards = &seen.facts()?.memory_guards;
    Some(match guards.is_empty() {
        true => {
            Judgement::warning("nothing ends a program before memory is used up; such machines hang then")
                .fix("sudo apt-get install earlyoom")
        }
        false => Judgement::ok(format!("{} runs", guards.join(", "))),
    })
}

pub(super) fn traces(seen: &Seen) -> Option<Judgement> {
    let traces = &seen.facts()?.memory_traces;
    let Some(last) = traces.last() else {
        return Some(Judgement::ok("none that this user may read"));
    };
    let boot = if last.before_this_boot { "the boot before this one" } else { "this boot" };
    let says = format!("memory was used up in {boot}: {}", last.line);
    Some(
        Judgement::warning(says)
            .fix("serve with less memory: SGLang's --mem-fraction-static, vLLM's --gpu-memory-utilization"),
    )
}

/// Without a container the user's own limit counts; RDMA locks what it sends from.
pub(super) fn memlock(seen: &Seen) -> Option<Judgement> {
    let facts = seen.facts()?;
    if seen.node.settings.engine().is_some() || facts.rdma.is_empty() {
        return None;
    }
    Some(match facts.limits.get("memlock")?.soft {
        None => Judgement::ok("no limit"),
        Some(bytes) => Judgement::warning(format!("{bytes} bytes may be locked, and RDMA needs more")).fix(
            "echo '* - memlock unlimited' | sudo tee /etc/security/limits.d/memlock.conf, and log in again",
        ),
    })
}
