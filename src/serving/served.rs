//! What the labels of containers and processes say of the model that they serve: what is up is what the nodes say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kind::ServingEngine;
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
    /// `labels`, which say it too.
    pub(in crate::serving) fn labelled(&self, mut labels: Labels) -> Labels {
        let nodes: Vec<&str> = self.nodes.iter().map(HostName::as_str).collect();
        let more = [
            ("model", self.model.clone()),
            ("served_name", self.served_name.clone()),
            ("engine", self.engine.label().to_owned()),
            ("base_url", self.base_url.clone()),
            ("port", self.port.to_string()),
            ("nodes", nodes.join(",")),
            ("processes", self.processes.to_string()),
        ];
        labels.more.extend(more.map(|(key, value)| (key.to_owned(), value)));
        labels.owner.clone_from(&self.owner);
        labels
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
        let served = Served {
            model: "me/m:fast".into(),
            served_name: "m".into(),
            engine: ServingEngine::Vllm,
            base_url: "http://10.0.0.1:8000".into(),
            port: 8000,
            nodes: vec!["n1".parse().unwrap(), "n2".parse().unwrap()],
            processes: 5,
            owner: "desk:7".into(),
        };
        let labels = served.labelled(Labels::default()).pairs();
        assert_eq!(Served::of(&labels), Some(served.clone()));
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
