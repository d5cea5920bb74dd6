//! A container that the user named.

use std::sync::Arc;

use super::{Engine, EngineError, EngineFailure, OwnContainer};
use crate::host::Host;

impl Engine {
    /// The running container that goes by `name`, as a host. It need not be ours, because the user named it: programs may
    /// run in it, and nothing else can be done to it by this.
    ///
    /// # Errors
    /// No such container, and one that does not run.
    pub async fn named(&self, name: &str) -> Result<Arc<dyn Host>, EngineError> {
        const DOING: &str = "look at a container";
        let found = self.within(DOING, super::CALL_LIMIT, self.calls.inspect_container(name, None)).await?;
        let found = found.map_err(|error| self.of_container(DOING, name, error))?;
        if found.state.and_then(|state| state.running) != Some(true) {
            return Err(self.fail(EngineFailure::NotUp(name.to_owned())));
        }
        Ok(self.within_container(&OwnContainer::created(found.id.unwrap_or_default(), name)))
    }
}
