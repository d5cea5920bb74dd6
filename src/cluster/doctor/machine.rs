//! Disk, clock, and what lies in the user's home.

use super::Judgement;
use super::seen::{Examined, Seen};

const GIB: u64 = 1 << 30;
/// Below this nothing can be put there.
const FULL: u64 = GIB;
/// Below this an image or a model hardly fits.
const TIGHT: u64 = 32 * GIB;
/// Seconds by which a clock may be off before the times of logs and results mislead.
const OFF_S: f64 = 1.0;
/// Folders of the home that containers write to and programs want to.
pub(super) const FOLDERS: [&str; 4] = ["~/.cache", "~/.cache/huggingface", "~/.config", "~/.triton"];

pub(super) fn disk(seen: &Seen) -> Option<Judgement> {
    let disk = seen.facts()?.disks.iter().min_by_key(|disk| disk.free)?;
    let says = format!(
        "{:.1} of {:.1} GiB are free on {}",
        disk.free as f64 / GIB as f64,
        disk.total as f64 / GIB as f64,
        disk.path
    );
    let engine = seen.node.settings.engine();
    let fix = engine.map_or_else(
        || format!("sudo du -xh --max-depth=2 {} | sort -h | tail", disk.path),
        |kind| format!("{} system df, then {} image prune", kind.program(), kind.program()),
    );
    Some(match disk.free {
        free if free < FULL => Judgement::failed(says).fix(fix),
        free if free < TIGHT => Judgement::warning(says).fix(fix),
        _ => Judgement::ok(says),
    })
}

pub(super) fn clock(seen: &Seen) -> Option<Judgement> {
    let [least, most] = seen.read.as_ref()?.as_ref().ok()?.clock_ahead_s;
    let off = if least > OFF_S { Some((least, "ahead of")) } else { None };
    let off = off.or_else(|| (most < -OFF_S).then_some((-most, "behind")));
    Some(match off {
        Some((seconds, side)) => {
            Judgement::failed(format!("its clock is at least {seconds:.1} s {side} this machine's"))
                .fix("sudo timedatectl set-ntp true, there or here")
        }
        None => Judgement::ok(format!("off by no more than {:.2} s", most.max(-least))),
    })
}

pub(super) fn folders(seen: &Seen) -> Option<Judgement> {
    let looked = seen.look()?;
    if looked.user == 0 {
        return Some(Judgement::ok("the user is root"));
    }
    if looked.foreign.is_empty() {
        return Some(Judgement::ok("the user's own"));
    }
    let shown = looked.foreign.iter().map(|(folder, owner)| match owner {
        0 => format!("{folder} is root's"),
        owner => format!("{folder} is user {owner}'s"),
    });
    let names: Vec<&str> = looked.foreign.keys().map(String::as_str).collect();
    Some(
        Judgement::warning(shown.collect::<Vec<_>>().join(", "))
            .fix(format!("sudo chown -R $(id -u):$(id -g) {}", names.join(" "))),
    )
}

/// Ray's head asks for a token where it finds one, and its workers know none.
pub(super) fn ray_token(examined: &Examined) -> Vec<Option<Judgement>> {
    let having = |has: bool| {
        let nodes =
            examined.nodes.iter().filter(move |seen| seen.look().is_some_and(|it| it.ray_token == has));
        nodes.map(|seen| seen.node.name.as_str()).collect::<Vec<_>>()
    };
    let (with, without) = (having(true), having(false));
    let judge = |seen: &Seen| {
        let looked = seen.look()?;
        if with.is_empty() || without.is_empty() {
            return Some(Judgement::ok(if with.is_empty() { "none" } else { "every node has one" }));
        }
        looked.ray_token.then(|| {
            Judgement::warning(format!("~/.ray/auth_token is here, and not on {}", without.join(", ")))
                .fix("RAY_AUTH_MODE=disabled on every node before `ray start`, or rm ~/.ray/auth_token")
        })
    };
    examined.nodes.iter().map(judge).collect()
}
