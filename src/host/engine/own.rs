//! Containers that are ours.

use std::collections::HashMap;

use bollard::errors::Error;

use super::{CALL_LIMIT, Engine, EngineError, EngineFailure, status};
use crate::host::container_spec::Labels;

/// A container that this program created, on the engine that showed its labels: the only kind that can be started,
/// stopped, removed or entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnContainer {
    id: String,
    name: String,
}

impl OwnContainer {
    /// The container `id`, if its `labels` say that it is ours.
    pub(super) fn by_labels(id: &str, name: &str, labels: &HashMap<String, String>) -> Option<Self> {
        let project = labels.get(&format!("{}project", Labels::PREFIX));
        let ours = project.is_some_and(|project| project == Labels::PROJECT);
        // The API's names begin with a slash.
        ours.then(|| Self { id: id.to_owned(), name: name.trim_start_matches('/').to_owned() })
    }

    /// The container that an engine has just created for us, with our labels.
    pub(super) fn created(id: String, name: &str) -> Self {
        Self { id, name: name.to_owned() }
    }

    /// The engine's own name for it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Engine {
    /// The container that goes by `name` on this node.
    ///
    /// # Errors
    /// No such container, and one that is not ours.
    pub async fn own(&self, name: &str) -> Result<OwnContainer, EngineError> {
        const DOING: &str = "look at a container";
        self.check_name(name)?;
        let found = self.within(DOING, CALL_LIMIT, self.calls.inspect_container(name, None)).await?;
        let found = found.map_err(|error| self.of_container(DOING, name, error))?;
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let (id, called) = (found.id.unwrap_or_default(), found.name.unwrap_or_default());
        let own = OwnContainer::by_labels(&id, &called, &labels);
        own.ok_or_else(|| self.fail(EngineFailure::NotOurs(name.to_owned())))
    }

    /// Whether `container` runs.
    pub async fn is_running(&self, container: &OwnContainer) -> Result<bool, EngineError> {
        const DOING: &str = "look at a container";
        let found =
            self.within(DOING, CALL_LIMIT, self.calls.inspect_container(container.id(), None)).await?;
        let found = found.map_err(|error| self.of_container(DOING, container.name(), error))?;
        Ok(found.state.and_then(|state| state.running) == Some(true))
    }

    /// Refuse what is no container's name with either engine: in a URL it could lead elsewhere.
    pub(super) fn check_name(&self, name: &str) -> Result<(), EngineError> {
        match is_name(name) {
            true => Ok(()),
            false => Err(self.fail(EngineFailure::BadName(name.chars().take(100).collect()))),
        }
    }

    /// What `error` means where the container `name` was to be there.
    pub(super) fn of_container(&self, doing: &'static str, name: &str, error: Error) -> EngineError {
        match status(&error) {
            Some(404) => self.fail(EngineFailure::NoContainer(name.to_owned())),
            _ => self.failure(doing, error),
        }
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.bytes().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for good in ["spark-tune_1.a", "0"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".", "..", "a/b", "a?b", "a#b", "a b", "ä", "a\n", "_a"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_container_is_ours_by_the_projects_label_alone() {
        let of = |key: &str, value: &str| {
            let labels = HashMap::from([(key.to_owned(), value.to_owned())]);
            OwnContainer::by_labels("00", "/spark-tune", &labels)
        };
        let ours = of("sparktune.project", Labels::PROJECT).unwrap();
        assert_eq!((ours.id(), ours.name()), ("00", "spark-tune"));
        assert_eq!(of("sparktune.project", "other"), None);
        assert_eq!(of("project", Labels::PROJECT), None);
        assert_eq!(of("sparktune.cluster", Labels::PROJECT), None);
    }
}
