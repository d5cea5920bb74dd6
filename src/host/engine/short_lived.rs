//! Containers that live as long as somebody works in them, and what killed programs have left of that kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Engine, EngineError, EngineFailure, Listed, OwnContainer};
use crate::host::container_spec::{Labels, Maker, MakerState};
use crate::host::{ContainerSpec, Host, HostPath};

/// A container that is up until it is [closed](ShortLived::close).
#[derive(Debug)]
pub struct ShortLived {
    engine: Engine,
    container: OwnContainer,
}

impl Engine {
    /// Bring up `spec`, which is [short-lived](ContainerSpec::short_lived), as [`Engine::run`] does. What killed programs
    /// have left on this engine goes first. Not to be given up half-way, but by [`Engine::remove_named`]: what is being
    /// created cannot be removed yet.
    ///
    /// # Errors
    /// As [`Engine::run`], and an image without Python.
    pub async fn run_short_lived(
        &self,
        spec: &ContainerSpec,
        home: &HostPath,
        node: Option<&dyn Host>,
    ) -> Result<ShortLived, EngineError> {
        self.remove_left().await;
        // It knows no secrets.
        let variables = spec.variables(|_| None).unwrap_or_default();
        let container = self.run(spec, &variables, home, node).await.map_err(|error| match error.what {
            // The engine's own words for it, Docker's and Podman's.
            EngineFailure::Refused { message, .. }
                if message.contains("python3") && message.contains("not found") =>
            {
                self.fail(EngineFailure::NoPython(spec.image.clone()))
            }
            what => self.fail(what),
        })?;
        Ok(ShortLived { engine: self.clone(), container })
    }

    /// Remove our container of this name, whatever it does; one that is not there is fine.
    pub async fn remove_named(&self, name: &str) -> Result<(), EngineError> {
        match self.own(name).await {
            Ok(container) => self.remove(&container).await,
            Err(EngineError { what: EngineFailure::NoContainer(_), .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Remove what killed programs have left. It is in nobody's way for the moment: what cannot be removed is no error.
    async fn remove_left(&self) {
        let found = self.list(&BTreeMap::new()).await;
        let left = found.map(|found| found.into_iter().filter(is_left).map(|it| it.container).collect());
        let left: Vec<OwnContainer> = left.unwrap_or_else(|error| {
            tracing::warn!(node = %self.node, "cannot look for containers that were left: {error}");
            Vec::new()
        });
        for container in left {
            if let Err(error) = self.remove(&container).await {
                // Somebody may be at it, too.
                tracing::warn!(node = %self.node, container = container.name(), "cannot remove it: {error}");
            }
        }
    }
}

/// Whether nobody comes back for a container: one that does not say who made it is not of this kind. One of another
/// machine ends by itself; until then somebody may be at work there.
fn is_left(listed: &Listed) -> bool {
    let maker = listed.labels.get(&format!("{}maker", Labels::PREFIX));
    maker.is_some_and(|maker| match Maker::state_of(maker) {
        MakerState::Lives => false,
        MakerState::Ended => true,
        MakerState::Elsewhere => listed.ended,
    })
}

impl ShortLived {
    /// Its name on the node.
    pub fn name(&self) -> &str {
        self.container.name()
    }

    /// It as a host. Where it does not run any more, the next program there has it started again.
    pub fn host(&self) -> Arc<dyn Host> {
        self.engine.within_short_lived(&self.container)
    }

    /// Remove it, with all that runs in it.
    pub async fn close(self) -> Result<(), EngineError> {
        self.engine.remove(&self.container).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_comes_back_for_is_left() {
        let of = |maker: Option<&str>, ended: bool| {
            let labels = maker.map(|maker| ("sparktune.maker".to_owned(), maker.to_owned()));
            is_left(&Listed {
                container: OwnContainer::created("00".into(), "a"),
                image: "a:b".into(),
                running: !ended,
                ended,
                labels: labels.into_iter().collect(),
            })
        };
        let spec = ContainerSpec::apart("a:b".into(), Labels::default()).short_lived(&"n1".parse().unwrap());
        let this = &spec.labels.pairs()["sparktune.maker"];
        let ended = format!("{this}0");
        for (maker, running, exited) in [
            // Not for a moment: a server of ours.
            (None, false, false),
            (Some(this.as_str()), false, false),
            (Some(ended.as_str()), true, true),
            (Some("elsewhere"), false, true),
        ] {
            assert_eq!((of(maker, false), of(maker, true)), (running, exited), "{maker:?}");
        }
    }
}
