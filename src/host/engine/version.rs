//! Which engine answers, by what it says of its components.

use std::fmt;

use bollard::errors::Error;
use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, ClientVersion};

use super::error::EngineFailure;
use super::{EngineAddress, HELLO};
use crate::host::EngineKind;

/// A version of Docker's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The number before the dot.
    pub major: usize,
    /// The number behind it.
    pub minor: usize,
}

impl ApiVersion {
    /// The newest that is spoken here.
    pub(super) fn newest() -> Self {
        Self { major: API_DEFAULT_VERSION.major_version, minor: API_DEFAULT_VERSION.minor_version }
    }

    pub(super) fn for_bollard(self) -> ClientVersion {
        ClientVersion { major_version: self.major, minor_version: self.minor }
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An engine by its own account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) engine: EngineKind,
    pub(super) version: String,
    pub(super) api: ApiVersion,
}

/// Which engine gave `answer`; else why it is none.
///
/// Podman gives its own version where Docker gives Docker's, so numbers tell nothing; the names of the components do.
pub(super) fn found(answer: &SystemVersion) -> Result<Found, String> {
    let components = answer.components.as_deref().unwrap_or_default();
    let component = |name: &str| components.iter().find(|component| component.name == name);
    let (engine, component) = match (component("Podman Engine"), component("Engine")) {
        (Some(podman), _) => (EngineKind::Podman, podman),
        (None, Some(docker)) => (EngineKind::Docker, docker),
        (None, None) => {
            let names: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
            return Err(format!("its version names neither Docker nor Podman, but [{}]", names.join(", ")));
        }
    };
    let api = answer.api_version.as_deref().unwrap_or_default();
    let version = component.version.clone();
    let api = ApiVersion::parse(api).ok_or_else(|| format!("`{api}` is no version of an API"))?;
    Ok(Found { engine, version, api })
}

/// What `error` means where the engine was only asked who it is: whoever says no to that is no engine.
pub(super) fn failure(error: Error, at: &EngineAddress) -> EngineFailure {
    match EngineFailure::of(error, HELLO, at) {
        EngineFailure::Refused { message, .. } => EngineFailure::garbled(at, message),
        what => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> SystemVersion {
        serde_json::from_str(json).unwrap()
    }

    /// As Debian 12's two engines answer, shortened.
    const DOCKER: &str = r#"{"Platform":{"Name":""},"Components":[{"Name":"Engine","Version":"20.10.24+dfsg1",
        "Details":{"ApiVersion":"1.41"}},{"Name":"containerd","Version":"1.6.20~ds1"}],
        "Version":"20.10.24+dfsg1","ApiVersion":"1.41"}"#;
    const PODMAN: &str = r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1",
        "Details":{"APIVersion":"4.3.1"}},{"Name":"Conmon","Version":"conmon version 2.1.6, commit: unknown"}],
        "Version":"4.3.1","ApiVersion":"1.41"}"#;

    #[test]
    fn an_engine_is_told_by_its_components() {
        let api = ApiVersion { major: 1, minor: 41 };
        let docker = Found { engine: EngineKind::Docker, version: "20.10.24+dfsg1".into(), api };
        assert_eq!(found(&answer(DOCKER)), Ok(docker));
        assert_eq!(
            found(&answer(PODMAN)),
            Ok(Found { engine: EngineKind::Podman, version: "4.3.1".into(), api })
        );
        // A Podman that calls itself like a newer Docker.
        let high = PODMAN.replace("4.3.1", "29.0.0");
        assert_eq!(found(&answer(&high)).unwrap().engine, EngineKind::Podman);
    }

    #[test]
    fn what_names_no_engine_is_none() {
        for (json, words) in [
            ("{}", "neither Docker nor Podman, but []"),
            (r#"{"Components":[{"Name":"nginx","Version":"1"}],"ApiVersion":"1.41"}"#, "[nginx]"),
            (r#"{"Components":[{"Name":"Engine","Version":"1"}]}"#, "`` is no version"),
            (r#"{"Components":[{"Name":"Engine","Version":"1"}],"ApiVersion":"new"}"#, "`new` is no version"),
        ] {
            let why = found(&answer(json)).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let parse = |text| ApiVersion::parse(text).unwrap();
        assert!(parse("1.9") < parse("1.41") && parse("1.41") < parse("2.0"));
        assert_eq!(ApiVersion::parse("1"), None);
        assert_eq!(parse("1.41").to_string(), "1.41");
    }
}
