//! What the labels of containers and processes say of the model that they serve: what is up is what the nodes say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kind::ServingEngine;
use super::plan::LaunchPlan;
use crate::host::container_spec::Labels;
use crate::host_name::HostName;

/// What containers and processes that serve are for.
pub(crate) const PURPOSE: &str = "serve";

/// A model that was brought up, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Served {
    /// Its name, and behind a colon the variant.
    pub(crate) model: String,
    /// What clients call it.
    pub(crate) served_name: String,
    /// What serves it.
    pub(crate) engine: ServingEngine,
    /// Where clients reach it, without `/v1`.
    pub(crate) base_url: String,
    /// The port of its first node on which it listens.
    pub(crate) port: u16,
    /// The nodes that take part, the first with the server.
    pub(crate) nodes: Vec<HostName>,
    /// How many processes there are to be.
    pub(crate) processes: usize,
    /// The command that brought it up: its machine, and there its process.
    #[serde(rename = "launch")]
    pub(crate) owner: String,
}

impl Served {
    /// What `plan` brings up for `owner`.
    pub(in crate::serving) fn labels(plan: &LaunchPlan, labels: Labels) -> Labels {
        let nodes: Vec<&str> = plan.nodes.iter().map(HostName::as_str).collect();
        let more = [
            ("model", plan.name.clone()),
            ("served_name", plan.served_name.clone()),
            ("engine", plan.engine.label().to_owned()),
            ("base_url", plan.base_url.clone()),
            ("port", plan.port.to_string()),
            ("nodes", nodes.join(",")),
            ("processes", plan.processes().to_string()),
        ];
        let more = labels.more.into_iter().chain(more.map(|(key, value)| (key.to_owned(), value))).collect();
        Labels { more, ..labels }
    }

    /// What labels, whose keys are whole, say; none where any of it is missing or makes no sense.
    pub(in crate::serving) fn of(labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = |key: &str| labels.get(&format!("{}{key}", Labels::PREFIX)).cloned();
        let nodes: Option<Vec<HostName>> = label("nodes")?.split(',').map(|name| name.parse().ok()).collect();
        Some(Self {
            model: label("model")?,
            served_name: label("served_name")?,
            engine: ServingEngine::of_label(&label("engine")?)?,
            base_url: label("base_url")?,
            port: label("port")?.parse().ok()?,
            nodes: nodes?,
            processes: label("processes")?.parse().ok()?,
            owner: label("owner")?,
        })
    }

    /// The node with the server.
    pub(crate) fn head(&self) -> Option<&HostName> {
        self.nodes.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_without_a_part_of_it_are_of_no_model() {
        let more = [
            ("model", "me/m:fast"),
            ("served_name", "m"),
            ("engine", "vllm"),
            ("base_url", "http://10.0.0.1:8000"),
            ("port", "8000"),
            ("nodes", "n1,n2"),
            ("processes", "5"),
        ];
        let more = more.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let labels = Labels { owner: "desk:7".into(), more, ..Labels::default() }.pairs();
        let served = Served::of(&labels).unwrap();
        assert_eq!((served.model.as_str(), served.port, served.processes), ("me/m:fast", 8000, 5));
        assert_eq!(served.head().map(HostName::as_str), Some("n1"));
        for key in ["model", "served_name", "engine", "base_url", "port", "nodes", "processes", "owner"] {
            let mut labels = labels.clone();
            labels.remove(&format!("{}{key}", Labels::PREFIX));
            assert_eq!(Served::of(&labels), None, "without {key}");
        }
        for (key, value) in [("engine", "other"), ("port", "70000"), ("nodes", "n1,,n2"), ("processes", "-1")]
        {
            let mut labels = labels.clone();
            labels.insert(format!("{}{key}", Labels::PREFIX), value.to_owned());
            assert_eq!(Served::of(&labels), None, "{key} = {value}");
        }
    }
}
