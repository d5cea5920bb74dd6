//! The machine the load comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::secrets;
use crate::bench::target::ApiKey;

/// The machine the load comes from, and the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Environment")]
pub(crate) struct RunEnvironment {
    /// Its name, where it is known.
    pub host: Option<String>,
    /// Its processor, where it is known.
    pub cpu: Option<String>,
    /// Cores this program may use.
    pub cores: Option<u32>,
    /// Operating system and release.
    pub kernel: String,
    /// This program's version.
    pub version: String,
    /// The command line, without secrets.
    pub command: Vec<String>,
}

impl RunEnvironment {
    /// Of this machine. Linux tells through `/proc`; elsewhere less is known. `key` is hidden wherever it stands
    /// in the command line.
    pub(crate) fn here(command: impl IntoIterator<Item = String>, key: Option<&ApiKey>) -> Self {
        let said = |path: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let release = said("/proc/sys/kernel/osrelease");
        Self {
            host: said("/proc/sys/kernel/hostname"),
            cpu: said("/proc/cpuinfo").and_then(|text| cpu(&text)),
            cores: std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()),
            kernel: format!("{} {}", std::env::consts::OS, release.unwrap_or_default()).trim().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: secrets::hide_in_arguments(command, key),
        }
    }
}

/// The first core's model. Arm kernels give numbers for it (implementer and part) and no name.
fn cpu(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    field("model name").or_else(|| {
        Some(format!("Arm implementer {} part {}", field("CPU implementer")?, field("CPU part")?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_named() {
        assert_eq!(
            cpu("processor\t: 0\nmodel name\t: Xeon 8\n\nmodel name\t: other\n"),
            Some("Xeon 8".into())
        );
        let arm = "processor : 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd85\n";
        assert_eq!(cpu(arm), Some("Arm implementer 0x41 part 0xd85".into()));
        assert_eq!(cpu("nothing of the kind"), None);
    }

    #[test]
    fn this_machine_is_described() {
        let here = RunEnvironment::here(["sparkbench".to_owned()], None);
        assert_eq!(
            (here.version.as_str(), &here.command[..]),
            (env!("CARGO_PKG_VERSION"), &["sparkbench".to_owned()][..])
        );
        assert!(here.kernel.starts_with(std::env::consts::OS) && here.cores > Some(0));
    }
}
