//! The machines behind a server, as they were before and after it was measured, and what of that makes figures hard to
//! trust or to compare. Pure; who reads the machines is the caller's affair ([`ServingNodes`]).

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whoever can say what the machines behind the server are like now.
pub(crate) trait ServingNodes: std::fmt::Debug + Sync {
    /// What the cluster is called.
    fn cluster(&self) -> &str;
    /// Every node, in the same order each time. A node that does not answer is in it too.
    fn look(&self) -> BoxFuture<'_, Vec<NodeState>>;
}

/// A cluster before and after a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodesAround {
    /// What the cluster is called.
    pub cluster: String,
    /// Before anything was sent, warm-up included.
    pub before: Vec<NodeState>,
    /// After the last answer; absent while it is running, and where it was killed.
    pub after: Option<Vec<NodeState>>,
}

/// What a node was like at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeState {
    /// Its name in the inventory.
    pub node: String,
    /// Why it did not say; everything else is absent then.
    pub unread: Option<String>,
    /// Its kernel's release.
    pub kernel: Option<String>,
    /// Its GPUs, in the driver's order.
    pub gpus: Vec<GpuState>,
    /// Memory that programs could still have, bytes.
    pub memory_available_bytes: Option<u64>,
    /// Memory that was swapped out, bytes.
    pub swap_used_bytes: Option<u64>,
}

/// What a GPU was like at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuState {
    /// Its name, as torch has it.
    pub name: String,
    /// The driver's version.
    pub driver: Option<String>,
    /// The clock of its multiprocessors, MHz. Between runs a GPU rests.
    pub clock_mhz: Option<f64>,
    /// The highest clock it may reach, MHz.
    pub max_clock_mhz: Option<f64>,
    /// Its temperature, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// The power it draws, W.
    pub power_w: Option<f64>,
}

/// Swapped out meanwhile, bytes, from which on it is said: the doctor's limit for swap in use.
const SWAP_BYTES: u64 = 1 << 30;

/// Degrees Celsius from which on a GPU is said to be hot: the doctor's limit.
const HOT_C: f64 = 80.0;

impl NodesAround {
    /// What to know of the nodes before reading the run's figures.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = unread(&self.before, "before");
        let after = self.after.as_deref().unwrap_or_default();
        notes.extend(unread(after, "after"));
        notes.extend(apart(&self.before));
        for (before, after) in self.before.iter().zip(after) {
            notes.extend(meanwhile(before, after));
        }
        notes
    }
}

fn unread(nodes: &[NodeState], when: &str) -> Vec<String> {
    let say = |node: &NodeState| {
        Some(format!("{} could not be read {when} the run: {}", node.node, node.unread.as_ref()?))
    };
    nodes.iter().filter_map(say).collect()
}

/// Where nodes with one kind of GPU are not alike, the slowest decides what all come to.
fn apart(nodes: &[NodeState]) -> Vec<String> {
    let gpus: Vec<(&str, &GpuState)> =
        nodes.iter().flat_map(|node| node.gpus.iter().map(|gpu| (node.node.as_str(), gpu))).collect();
    let mut notes = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (_, gpu) in &gpus {
        if seen.contains(&gpu.name.as_str()) {
            continue;
        }
        seen.push(&gpu.name);
        let alike: Vec<_> = gpus.iter().filter(|(_, other)| other.name == gpu.name).collect();
        for (what, read) in DECISIVE {
            let said: Vec<(&str, String)> =
                alike.iter().filter_map(|(node, gpu)| Some((*node, read(gpu)?))).collect();
            if said.iter().any(|(_, value)| *value != said[0].1) {
                let each: Vec<String> = said.iter().map(|(node, value)| format!("{node} {value}")).collect();
                notes.push(format!("the nodes' {what}s of {} differ: {}", gpu.name, each.join(", ")));
            }
        }
    }
    notes
}

/// What changed on one node while it was measured.
fn meanwhile(before: &NodeState, after: &NodeState) -> Vec<String> {
    let node = &after.node;
    let mut notes = Vec::new();
    for (old, new) in before.gpus.iter().zip(&after.gpus) {
        if let Some(hot) = new.temperature_c.filter(|hot| *hot >= HOT_C) {
            notes.push(format!(
                "{node}: its GPU had {hot} °C when the run ended, and hot GPUs lower their clock"
            ));
        }
        for (what, read) in DECISIVE {
            if let (Some(old), Some(new)) = (read(old), read(new))
                && old != new
            {
                notes.push(format!("{node}: {what} changed during the run from {old} to {new}"));
            }
        }
    }
    if let (Some(old), Some(new)) = (before.swap_used_bytes, after.swap_used_bytes)
        && new.saturating_sub(old) >= SWAP_BYTES
    {
        let gib = (new - old) as f64 / (1 << 30) as f64;
        notes.push(format!("{node}: {gib:.1} GiB more were swapped out when the run ended"));
    }
    notes
}

/// Something a GPU may say of itself, as it is shown.
type GpuFact = fn(&GpuState) -> Option<String>;

/// What must be the same for figures to be comparable.
const DECISIVE: [(&str, GpuFact); 2] = [
    ("driver", |gpu| gpu.driver.clone()),
    ("clock limit", |gpu| Some(format!("{} MHz", gpu.max_clock_mhz?))),
];

/// Where the machines of two measurements were not the same, `a` and `b` in words. Nothing is said of what only one of
/// them knows.
pub fn differences(a: &NodesAround, b: &NodesAround) -> Vec<String> {
    let names = |it: &NodesAround| it.before.iter().map(|node| node.node.clone()).collect::<Vec<_>>();
    let (nodes_a, nodes_b) = (names(a), names(b));
    let mut notes = Vec::new();
    if nodes_a != nodes_b {
        notes.push(format!("A was served by {}, B by {}", nodes_a.join(", "), nodes_b.join(", ")));
    }
    let name: (&str, GpuFact) = ("GPU", |gpu| Some(gpu.name.clone()));
    let of_gpus = [name].into_iter().chain(DECISIVE);
    let mut changed = |what: &str, read: &dyn Fn(&NodeState) -> Option<String>| {
        // Nodes that changed alike are told in one line.
        let mut changes: Vec<(String, String, Vec<&str>)> = Vec::new();
        for old in &a.before {
            let Some(new) = b.before.iter().find(|new| new.node == old.node) else { continue };
            let (Some(was), Some(is)) = (read(old), read(new)) else { continue };
            if was == is {
                continue;
            }
            match changes.iter_mut().find(|change| (&change.0, &change.1) == (&was, &is)) {
                Some(change) => change.2.push(&old.node),
                None => changes.push((was, is, vec![&old.node])),
            }
        }
        for (was, is, nodes) in changes {
            notes.push(format!("{what}: {was} in A, {is} in B ({})", nodes.join(", ")));
        }
    };
    for (what, read) in of_gpus {
        changed(what, &|node| gpus(node, read));
    }
    changed("kernel", &|node| node.kernel.clone());
    notes
}

/// What a node's GPUs say, those that say the same once; none where none says anything.
fn gpus(node: &NodeState, read: GpuFact) -> Option<String> {
    let mut said: Vec<String> = node.gpus.iter().filter_map(read).collect();
    said.dedup();
    (!said.is_empty()).then(|| said.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spark(node: &str) -> NodeState {
        NodeState {
            node: node.into(),
            kernel: Some("6.11.0-1016-nvidia".into()),
            gpus: vec![GpuState {
                name: "NVIDIA GB10".into(),
                driver: Some("580.95.05".into()),
                max_clock_mhz: Some(3003.0),
                temperature_c: Some(61.0),
                ..GpuState::default()
            }],
            memory_available_bytes: Some(100 << 30),
            swap_used_bytes: Some(0),
            ..NodeState::default()
        }
    }

    fn around(before: [NodeState; 2], after: [NodeState; 2]) -> NodesAround {
        NodesAround { cluster: "lab".into(), before: before.into(), after: Some(after.into()) }
    }

    fn two() -> [NodeState; 2] {
        [spark("spark-1"), spark("spark-2")]
    }

    #[test]
    fn of_nodes_that_are_alike_and_stay_so_nothing_is_said() {
        assert_eq!(around(two(), two()).notes(), [""; 0]);
        assert_eq!(differences(&around(two(), two()), &around(two(), two())), [""; 0]);
        // Others than those that are compared may be what they like: clocks at rest, memory.
        let mut after = two();
        (after[0].gpus[0].clock_mhz, after[0].memory_available_bytes) = (Some(208.0), Some(3 << 30));
        assert_eq!(around(two(), after).notes(), [""; 0]);
    }

    #[test]
    fn nodes_that_are_not_alike_are_told() {
        let mut before = two();
        before[1].gpus[0].max_clock_mhz = Some(2100.0);
        let notes = around(before.clone(), before).notes();
        let says = "the nodes' clock limits of NVIDIA GB10 differ: spark-1 3003 MHz, spark-2 2100 MHz";
        assert_eq!(notes, [says]);
        // Different GPUs have different limits by nature.
        let mut before = two();
        (before[1].gpus[0].name, before[1].gpus[0].max_clock_mhz) = ("NVIDIA Thor".into(), Some(1575.0));
        assert_eq!(around(before.clone(), before).notes(), [""; 0]);
    }

    #[test]
    fn what_changed_meanwhile_is_told_with_its_node() {
        let mut after = two();
        after[1].gpus[0].temperature_c = Some(84.0);
        after[1].gpus[0].max_clock_mhz = Some(850.0);
        after[1].swap_used_bytes = Some(3 << 29);
        let notes = around(two(), after).notes();
        assert_eq!(
            notes,
            [
                "spark-2: its GPU had 84 °C when the run ended, and hot GPUs lower their clock",
                "spark-2: clock limit changed during the run from 3003 MHz to 850 MHz",
                "spark-2: 1.5 GiB more were swapped out when the run ended",
            ]
        );
        let gone = NodeState {
            node: "spark-2".into(),
            unread: Some("no answer within 20 s".into()),
            ..Default::default()
        };
        let notes = around(two(), [spark("spark-1"), gone]).notes();
        assert_eq!(notes, ["spark-2 could not be read after the run: no answer within 20 s"]);
    }

    #[test]
    fn two_measurements_differ_in_what_their_nodes_were() {
        let mut later = two();
        for node in &mut later {
            node.gpus[0].driver = Some("580.142".into());
        }
        later[1].kernel = Some("6.14".into());
        let notes = differences(&around(two(), two()), &around(later.clone(), later));
        assert_eq!(
            notes,
            [
                "driver: 580.95.05 in A, 580.142 in B (spark-1, spark-2)",
                "kernel: 6.11.0-1016-nvidia in A, 6.14 in B (spark-2)",
            ]
        );
        let others = [spark("spark-1"), spark("spark-3")];
        let notes = differences(&around(two(), two()), &around(others.clone(), others));
        assert_eq!(notes, ["A was served by spark-1, spark-2, B by spark-1, spark-3"]);
    }
}
