//! What serves on each node: the same everywhere, and able to compile for the node's GPU.

use super::Judgement;
use super::seen::{Examined, Seen, usual};
use crate::cluster::installed::{Assembler, NoPlace, Tools};
use crate::cluster::runtimes::{NoRuntime, NodeRuntime};
use crate::failure::Failure;
use crate::host::container_spec::ContainerVariable;

/// What serves on a node, where that is known.
fn known(seen: &Seen) -> Option<&NodeRuntime> {
    seen.runtime.as_ref()?.as_ref().ok()
}

/// SGLang or vLLM at a version.
fn family(runtime: &NodeRuntime) -> Option<String> {
    let family = runtime.installed.family()?;
    let version = runtime.installed.version(family.package()).unwrap_or("of unknown version");
    Some(format!("{} {version}", family.name()))
}

fn triton_of(runtime: &NodeRuntime) -> Option<String> {
    Some(runtime.installed.version("triton")?.to_owned())
}

/// Which runtime, and that it is the others' too: ranks of several releases do not understand one another.
pub(super) fn runtime(examined: &Examined) -> Vec<Option<Judgement>> {
    let same = equal(examined, family);
    let judge = |(seen, same): (&Seen, Option<Judgement>)| match seen.runtime.as_ref()? {
        Ok(_) => same,
        // The node, its engine and its image are items of their own.
        Err(
            NoRuntime::Connect(_)
            | NoRuntime::Engine(_)
            | NoRuntime::BadImage { .. }
            | NoRuntime::NotThere { .. }
            | NoRuntime::OtherArchitecture { .. }
            | NoRuntime::Interrupted,
        ) => None,
        Err(error) => Some(Judgement {
            fix: error.hint(),
            ..match error {
                // What serves nothing may be there for something else.
                NoRuntime::NoPython { .. } | NoRuntime::Neither { .. } => Judgement::warning(error.problem()),
                NoRuntime::Python(why) if matches!(**why, NoPlace::NoRuntime { .. }) => {
                    Judgement::warning(error.problem())
                }
                _ => Judgement::unknown(error.problem()),
            }
        }),
    };
    examined.nodes.iter().zip(same).map(judge).collect()
}

/// Its Triton, after which SGLang names its folder of config files.
pub(super) fn triton(examined: &Examined) -> Vec<Option<Judgement>> {
    equal(examined, triton_of)
}

/// Whether nodes have what most of them have.
fn equal(examined: &Examined, of: impl Fn(&NodeRuntime) -> Option<String>) -> Vec<Option<Judgement>> {
    let all: Vec<Option<String>> = examined.nodes.iter().map(|seen| of(known(seen)?)).collect();
    let usual = usual(&examined.nodes, &all, PartialEq::eq);
    let judge = |(seen, own): (&Seen, &Option<String>)| {
        let own = own.as_ref()?;
        match usual.and_then(|at| Some((at, all[at].as_ref()?))) {
            Some((at, usual)) if usual != own => {
                let of = &examined.nodes[at].node.name;
                let fix = match seen.node.settings.image() {
                    Some(_) => format!("sparktune image sync --from {of}, with one image in the inventory"),
                    None => "the same versions in both environments: pip list, on both".to_owned(),
                };
                Some(Judgement::failed(format!("{own}, and {usual} on {of}")).fix(fix))
            }
            _ => Some(Judgement::ok(own)),
        }
    };
    examined.nodes.iter().zip(&all).map(judge).collect()
}

/// Whether the assembler that Triton takes for the node's GPU knows it.
pub(super) fn ptxas(seen: &Seen) -> Option<Judgement> {
    let runtime = known(seen)?;
    runtime.installed.version("triton")?;
    let capability = seen.facts()?.gpus.first()?.compute_capability.as_deref()?;
    let (major, minor) = capability.split_once('.')?;
    let capability = major.parse::<u32>().ok()?.checked_mul(10)?.checked_add(minor.parse().ok()?)?;
    let tools = runtime.installed.tools.as_ref()?;
    let target = Tools::target(capability);
    let shown =
        |it: &Assembler| format!("{} ({})", it.path, it.version.as_deref().unwrap_or("it does not run"));
    let Some(taken) = tools.assembler(capability) else {
        return Some(
            Judgement::failed("Triton has no ptxas that runs, and compiles nothing without one")
                .fix("pip install --force-reinstall triton, or TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas"),
        );
    };
    if taken.knows(&target) {
        return Some(Judgement::ok(format!("{} knows {target}", shown(taken))));
    }
    let says = format!("{} does not know {target}: Triton compiles nothing for this GPU", shown(taken));
    let variable = match taken.of.to_ascii_lowercase().contains("blackwell") {
        true => "TRITON_PTXAS_BLACKWELL_PATH",
        false => "TRITON_PTXAS_PATH",
    };
    let said = match seen.node.settings.environment().get(variable) {
        Some(ContainerVariable::Set(path)) => {
            tools.ptxas.iter().find(|it| it.path.as_str() == path).ok_or(path)
        }
        _ => Ok(taken),
    };
    match said {
        Ok(said) if said.knows(&target) => {
            return Some(Judgement::ok(format!("{} knows {target}, by the inventory", shown(said))));
        }
        Ok(_) => {}
        Err(path) => {
            return Some(Judgement::unknown(format!(
                "the inventory's {variable} is {path}, which nobody asked; {says}"
            )));
        }
    }
    let other = tools.ptxas.iter().find(|it| it.knows(&target));
    Some(Judgement::failed(says).fix(match other {
        Some(other) => format!("`env = {{ {variable} = \"{}\" }}` in the inventory", other.path),
        None => format!("an image with a newer CUDA, or {variable} naming a newer ptxas"),
    }))
}
