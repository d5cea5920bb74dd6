//! Nodes for programs, for a file of variables, and for people.

use std::io;

use serde_json::{Value, json};

use super::runtime::{self, Serving};
use super::{Node, Read, Unread};
use crate::cluster::fabric::{DerivedVariable, Fabric, NodeFabric, Plane};
use crate::cluster::facts::{Engine, Gpu};
use crate::commands::Output;
use crate::host_name::HostName;

fn of_node<'a>(fabric: &'a Fabric, name: &HostName) -> Option<&'a NodeFabric> {
    fabric.nodes.iter().find(|node| node.node == *name)
}

/// The compute capability of a node's first GPU, times ten.
fn capability(read: &Result<Read, Unread>) -> Option<u32> {
    let gpu = read.as_ref().ok()?.facts.gpus.first()?;
    gpu.compute_capability.as_ref()?.replace('.', "").parse().ok()
}

pub(super) fn as_json(nodes: &[Node], serving: &[Serving], fabric: &Fabric) -> Value {
    let each = nodes.iter().map(|(name, read)| match read {
        Ok(read) => {
            let mut value = json!(of_node(fabric, name));
            let [least, most] = read.clock_ahead_s;
            value["clock_ahead_s"] = json!({ "least": least, "most": most });
            value["facts"] = json!(read.facts);
            value
        }
        Err(error) => json!({ "node": name, "error": error.to_string(), "hint": error.hint() }),
    });
    let each = each.zip(nodes).map(|(mut value, (name, _))| {
        if let Some(serving) = serving.iter().find(|(node, _)| node.name == *name) {
            value["runtime"] = runtime::as_json(serving);
        }
        value
    });
    json!({
        "nodes": each.collect::<Vec<_>>(),
        "topology": fabric.topology,
        "notes": fabric.notes,
        "netplan": fabric.netplan,
    })
}

/// Lines as `docker run --env-file` and a shell read them.
pub(super) fn environment(nodes: &[Node], fabric: &Fabric, out: &mut dyn Output) -> io::Result<()> {
    for (name, read) in nodes {
        out.line(&format!("# {name}"))?;
        if let Err(error) = read {
            out.line(&format!("# {}", error.problem()))?;
            continue;
        }
        let Some(NodeFabric { environment, data: Some(_), .. }) = of_node(fabric, name) else {
            out.line("# no interface that is up has an address for other nodes: nothing can be derived")?;
            continue;
        };
        for DerivedVariable { name, value, reason, .. } in environment {
            match value {
                Some(value) => {
                    out.line(&format!("# {reason}"))?;
                    out.line(&format!("{name}={value}"))?;
                }
                None => out.line(&format!("# {name} is left unset: {reason}"))?,
            }
        }
    }
    Ok(())
}

pub(super) fn for_people(
    nodes: &[Node],
    serving: &[Serving],
    fabric: &Fabric,
    out: &mut dyn Output,
) -> io::Result<()> {
    let rows: Vec<Vec<String>> = nodes.iter().map(|(name, read)| row(name, read, fabric)).collect();
    let header = ["node", "GPU", "driver", "engine", "memory free", "RDMA", "control", "data", "problem"];
    out.table(&header, &rows)?;
    for node in &fabric.nodes {
        for (what, plane) in [("control", &node.control), ("data", &node.data)] {
            let Some(Plane { address, interface, reason }) = plane else { continue };
            out.line(&format!("{}: {what} {address} ({interface}): {reason}", node.node))?;
        }
    }
    let notes = served(nodes, serving, out)?;
    if fabric.nodes.len() > 1 {
        out.line(&format!("joined: {}", fabric.topology))?;
    }
    for note in &fabric.notes {
        out.line(&format!("note: {note}"))?;
    }
    for note in notes {
        out.line(&format!("note: {note}"))?;
    }
    for (name, read) in nodes {
        for doubt in read.iter().flat_map(|read| &read.facts.doubts) {
            out.line(&format!("note: {name}: {}: {}", doubt.about, doubt.problem))?;
        }
    }
    for netplan in &fabric.netplan {
        out.line(&format!(
            "missing on {}; for a file below /etc/netplan there, then `sudo netplan apply`:",
            netplan.node
        ))?;
        out.line(netplan.text.trim_end())?;
    }
    Ok(())
}

/// A second table, of what serves on the nodes; what there is to note of it.
fn served(nodes: &[Node], serving: &[Serving], out: &mut dyn Output) -> io::Result<Vec<String>> {
    if serving.is_empty() {
        return Ok(Vec::new());
    }
    let of = |serving: &Serving| {
        let read = nodes.iter().find(|(name, _)| *name == serving.0.name);
        read.and_then(|(_, read)| capability(read))
    };
    let rows: Vec<Vec<String>> = serving.iter().map(|it| runtime::row(it, of(it))).collect();
    out.line("")?;
    out.table(&runtime::HEADER, &rows)?;
    let mut all = Vec::new();
    for it in serving {
        let (lines, notes) = runtime::notes(it, of(it));
        lines.iter().try_for_each(|line| out.line(line))?;
        all.extend(notes);
    }
    Ok(all)
}

fn row(name: &HostName, read: &Result<Read, Unread>, fabric: &Fabric) -> Vec<String> {
    let none = || "-".to_owned();
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            let mut row = vec![none(); 9];
            row[0] = name.to_string();
            row[8] = error.problem();
            return row;
        }
    };
    let facts = &read.facts;
    let node = of_node(fabric, name);
    let address = |plane: Option<&Plane>| plane.map_or_else(none, |plane| plane.address.to_string());
    let joined = |words: Vec<String>| if words.is_empty() { none() } else { words.join(", ") };
    let engines = facts.engines.iter().map(|Engine { command, version, .. }| match version {
        Some(version) => format!("{command} {version}"),
        None => format!("{command} (not usable)"),
    });
    let problems = facts.engines.iter().filter_map(|it| it.problem.as_ref());
    let problems = problems.cloned().chain((!facts.doubts.is_empty()).then(|| "see the notes".to_owned()));
    vec![
        name.to_string(),
        joined(gpus(&facts.gpus)),
        facts.gpus.first().and_then(|gpu| gpu.driver.clone()).unwrap_or_else(none),
        joined(engines.collect()),
        match (facts.memory.available, facts.memory.total) {
            (Some(available), Some(total)) => format!("{:.0} of {:.0} GiB", gib(available), gib(total)),
            _ => none(),
        },
        joined(node.map(|node| node.rdma.clone()).unwrap_or_default()),
        address(node.and_then(|node| node.control.as_ref())),
        address(node.and_then(|node| node.data.as_ref())),
        problems.collect::<Vec<_>>().join("; "),
    ]
}

/// Each kind of GPU, with how many of it there are.
fn gpus(gpus: &[Gpu]) -> Vec<String> {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for gpu in gpus {
        match kinds.iter_mut().find(|(name, _)| *name == gpu.name) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&gpu.name, 1)),
        }
    }
    let shown = |(name, count): (&str, usize)| match count {
        1 => name.to_owned(),
        _ => format!("{count} x {name}"),
    };
    kinds.into_iter().map(shown).collect()
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_of_a_kind_are_counted() {
        let gpu = |name: &str| Gpu {
            name: name.to_owned(),
            compute_capability: None,
            driver: None,
            clock_mhz: None,
            max_clock_mhz: None,
            temperature_c: None,
            power_w: None,
        };
        assert_eq!(gpus(&[gpu("A"), gpu("B"), gpu("A")]), ["2 x A", "B"]);
    }
}
