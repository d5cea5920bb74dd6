//! Images built by an engine's own builder.

use std::sync::atomic::AtomicU64;

use bollard::body_full;
use bytes::Bytes;
use hyper::Request;

use super::images::PACK_IDLE;
use super::progress::Progress;
use super::{Engine, EngineError, EngineFailure, Image, ImageName};

impl Engine {
    /// Build an image from `context`, a tar with a `Dockerfile` in it, and return it: it has no name yet. What the
    /// Dockerfile begins with has to be there. Where a step fails, what the steps before it made has no name either.
    pub async fn build(
        &self,
        context: Bytes,
        mut tell: impl FnMut(Progress) + Send,
    ) -> Result<Image, EngineError> {
        const DOING: &str = "build the image";
        // Docker has one layer a step that writes, Podman only where it is told to keep none between steps.
        let request =
            Request::post("/build?rm=1&forcerm=1&layers=0").header("content-type", "application/x-tar");
        let request = request.body(body_full(context));
        let request = request.map_err(|error| self.failure(DOING, error.into()))?;
        let answer = self.ask(DOING, request, PACK_IDLE, &AtomicU64::new(0)).await?;
        let answer = answer.map_err(|(_, message)| self.fail(EngineFailure::refused(DOING, &message)))?;
        let mut made = None;
        self.read_progress(DOING, answer, PACK_IDLE, |progress| {
            made = built(&progress.status).or(made.take());
            tell(progress);
        })
        .await?;
        let silent = || self.fail(EngineFailure::refused(DOING, "it does not say what it has built"));
        self.image(&made.ok_or_else(silent)?).await
    }
}

/// The ID of an image, if `status` says that it was built. Docker and Podman say it in the same words.
fn built(status: &str) -> Option<ImageName> {
    status.strip_prefix("Successfully built ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_what_was_built_is_heard() {
        let id = built("Successfully built e1e620f5ae18\n").unwrap();
        assert_eq!(id.as_str(), "e1e620f5ae18");
        for other in
            ["Successfully built ", "Successfully tagged a:b", "Step 1/3 : FROM a", "Successfully built ../x"]
        {
            assert_eq!(built(other), None, "{other}");
        }
    }
}
