//! What the containers have in common that this program makes for a moment: to ask an image, to compile, to look at GPUs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ContainerSpec, ContainerVariable, EngineKind, Gpus, Labels, Maker, Restart};
use crate::host::ShellLine;
use crate::host_name::HostName;

/// What the first process does: nothing, until nobody works there any more.
const IDLE: &str = include_str!("../../../worker/node/idle.py");
/// What it is called where its text would say nothing to a reader.
const IDLE_NAME: &str = "node/idle.py";
/// How long nobody may work there, seconds: longer than any command takes between two programs.
const ALONE_S: &str = "900";

impl ContainerSpec {
    /// A container of `image` that sees nothing of its node.
    pub fn apart(image: String, labels: Labels) -> Self {
        Self {
            image,
            name: String::new(),
            network: "none".into(),
            ipc: None,
            gpus: Gpus::None,
            ulimits: BTreeMap::new(),
            shm_size: None,
            devices: Vec::new(),
            cap_add: Vec::new(),
            volumes: Vec::new(),
            environment: BTreeMap::new(),
            entrypoint: None,
            command: Vec::new(),
            restart: Restart::No,
            labels,
        }
    }

    /// The same, but that it idles under a name of its own on `node`, ends once nobody has worked in it for a while, says
    /// which process made it, and knows no secrets.
    #[must_use]
    pub fn short_lived(mut self, node: &HostName) -> Self {
        let Labels { cluster, purpose, .. } = &self.labels;
        let begun = Timestamp::now().strftime("%Y%m%d-%H%M%S-%3f");
        self.name = format!("sparktune-{cluster}-{purpose}-{node}-{begun}-{}", std::process::id());
        self.entrypoint = Some(Vec::new());
        self.command = first_process(IDLE);
        self.restart = Restart::No;
        self.environment.retain(|_, variable| *variable != ContainerVariable::FromHarness);
        self.labels.maker = Some(Maker::this());
        self
    }

    /// The command that creates and starts a [short-lived](Self::short_lived) container; its program by name and not by
    /// its text.
    pub fn short_lived_line(&self, engine: EngineKind) -> ShellLine {
        Self { command: first_process(IDLE_NAME), ..self.clone() }.run_line(engine)
    }
}

fn first_process(program: &str) -> Vec<String> {
    ["python3", "-I", "-c", program, ALONE_S].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_idles_ends_by_itself_and_knows_no_secret() {
        let labels = Labels { cluster: "lab".into(), purpose: "probe".into(), ..Labels::default() };
        let mut spec = ContainerSpec::apart("a:b".into(), labels);
        spec.restart = Restart::Always;
        spec.environment.insert("HF_TOKEN".into(), ContainerVariable::FromHarness);
        spec.environment.insert("A".into(), ContainerVariable::Set("1".into()));
        let spec = spec.short_lived(&"n1".parse().unwrap());
        assert_eq!(spec.command, ["python3", "-I", "-c", IDLE, "900"]);
        assert_eq!(spec.labels.pairs()["sparktune.maker"], Maker::this().as_str());
        let line = spec.short_lived_line(EngineKind::Docker).to_string();
        assert!(line.starts_with("docker run --detach --name sparktune-lab-probe-n1-"), "{line}");
        assert!(line.ends_with(" --entrypoint '' a:b python3 -I -c node/idle.py 900"), "{line}");
        for part in ["--network none", "--env 'A=1'"] {
            assert!(line.contains(part), "{line}");
        }
        for part in ["HF_TOKEN", "--restart", "--gpus"] {
            assert!(!line.contains(part), "{line}");
        }
    }
}
