//! What an engine is, and how it can give containers the node's GPUs.

use bollard::models::SystemInfo;

use super::{ApiVersion, Engine, EngineError};
use crate::host::EngineKind;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Which engine it is.
    pub engine: EngineKind,
    /// Its version.
    pub version: String,
    /// The newest version of Docker's API that it speaks.
    pub api: ApiVersion,
    /// How it keeps images and containers: `overlay2`, `overlay`, `overlayfs`.
    pub storage_driver: String,
    /// The folder it keeps them in.
    pub root: String,
    /// What its machine is, in its own word: `x86_64`, `amd64`, `aarch64`.
    pub architecture: String,
    /// How it can give containers GPUs.
    pub gpus: GpuWays,
}

/// How an engine can give containers GPUs, as far as it says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuWays {
    /// Whether NVIDIA's runtime is among its own, as its toolkit installs it.
    pub nvidia_runtime: bool,
    /// The folders in which it looks for CDI's files; empty where it does not know CDI or does not say.
    pub cdi_folders: Vec<String>,
    /// The CDI devices it has found, where it says so (Docker 28 and newer).
    pub cdi_devices: Vec<String>,
    /// Whether its Docker API drops requests for GPUs without a word, as Podman's before 5.4 does; its command takes
    /// them.
    pub dropped_by_the_api: bool,
}

impl Engine {
    /// What the engine says of itself.
    pub async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let info = self.call("describe itself", self.calls.info()).await?;
        Ok(EngineFacts {
            engine: self.kind,
            version: self.version.clone(),
            api: self.api,
            gpus: ways(self.kind, &self.version, &info),
            storage_driver: info.driver.unwrap_or_default(),
            root: info.docker_root_dir.unwrap_or_default(),
            architecture: info.architecture.unwrap_or_default(),
        })
    }

    /// Whether a request for GPUs would be dropped without a word.
    pub(super) fn drops_gpus(&self) -> bool {
        drops_gpus(self.kind, &self.version)
    }
}

fn ways(kind: EngineKind, version: &str, info: &SystemInfo) -> GpuWays {
    let runtimes = info.runtimes.as_ref();
    let devices = info.discovered_devices.iter().flatten();
    let cdi = devices.filter(|device| device.source.as_deref() == Some("cdi"));
    GpuWays {
        nvidia_runtime: runtimes.is_some_and(|runtimes| runtimes.contains_key("nvidia")),
        cdi_folders: info.cdi_spec_dirs.clone().unwrap_or_default(),
        cdi_devices: cdi.filter_map(|device| device.id.clone()).collect(),
        dropped_by_the_api: drops_gpus(kind, version),
    }
}

/// Podman 5.4 is the first whose Docker API honours requests for devices (podman PR #25171), which are then CDI's.
fn drops_gpus(kind: EngineKind, version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+', '~']).map(str::parse::<u32>);
    // One that cannot be read may be older: a container without its GPU is worse than a refusal.
    let (major, minor) = (numbers.next().and_then(Result::ok), numbers.next().and_then(Result::ok));
    kind == EngineKind::Podman && major.zip(minor).is_none_or(|version| version < (5, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_before_5_4_drops_gpus_and_docker_never() {
        for (version, drops) in [
            ("4.3.1", true),
            ("4.9.3", true),
            ("5.3.9", true),
            ("5.4.0", false),
            ("5.4.0-rc1", false),
            ("5.10.0", false),
            ("6.0.0", false),
            ("5", true),
            ("", true),
            ("new", true),
        ] {
            assert_eq!(drops_gpus(EngineKind::Podman, version), drops, "{version}");
            assert!(!drops_gpus(EngineKind::Docker, version));
        }
    }

    #[test]
    fn the_ways_to_gpus_are_read() {
        let info = serde_json::from_str(
            r#"{"Runtimes":{"nvidia":{"path":"nvidia-container-runtime"},"runc":{"path":"runc"}},
                "CDISpecDirs":["/etc/cdi","/var/run/cdi"],
                "DiscoveredDevices":[{"Source":"cdi","ID":"nvidia.com/gpu=all"},{"Source":"x","ID":"y"}]}"#,
        );
        let expected = GpuWays {
            nvidia_runtime: true,
            cdi_folders: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
            cdi_devices: vec!["nvidia.com/gpu=all".into()],
            dropped_by_the_api: false,
        };
        assert_eq!(ways(EngineKind::Docker, "28.0.0", &info.unwrap()), expected);
        assert_eq!(ways(EngineKind::Docker, "20.10.24", &SystemInfo::default()), GpuWays::default());
    }
}
