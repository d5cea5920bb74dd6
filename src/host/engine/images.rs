//! Images pulled, saved, loaded, named and removed.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::query_parameters::{RemoveImageOptions, TagImageOptions};
use bollard::{BollardRequest, body_full, body_try_stream};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::{Method, Request};
use tokio::time::timeout;

use super::image::{Image, ImageName};
use super::progress::Progress;
use super::{CALL_LIMIT, Engine, EngineError, EngineFailure, status};

/// How long a pull may be without a word; unpacking a large layer is one.
const PULL_IDLE: Duration = Duration::from_secs(300);
/// How long an engine may unpack or pack without a word: Podman loads and Docker saves a whole image before they
/// answer.
pub(super) const PACK_IDLE: Duration = Duration::from_secs(1800);
/// How long the bytes of an image may pause once they flow.
const FLOW_IDLE: Duration = Duration::from_secs(60);
const SAVE: &str = "save the image";
const LOAD: &str = "load the image";

impl Engine {
    /// The image that goes by `name` here.
    ///
    /// # Errors
    /// [`EngineFailure::NoImage`] where there is none.
    pub async fn image(&self, name: &ImageName) -> Result<Image, EngineError> {
        const DOING: &str = "look at an image";
        let found = self.within(DOING, CALL_LIMIT, self.calls.inspect_image(name.as_str())).await?;
        found.map(Image::of).map_err(|error| self.of_image(DOING, name, error))
    }

    /// Fetch `name` from its registry, telling of what is done, and return what is here then.
    pub async fn pull(
        &self,
        name: &ImageName,
        tell: impl FnMut(Progress) + Send,
    ) -> Result<Image, EngineError> {
        const DOING: &str = "pull the image";
        let (repository, tag) = name.parts();
        let path = format!("/images/create?fromImage={repository}&tag={tag}");
        let request = self.request(DOING, Method::POST, &path)?;
        let answer = self.ask(DOING, request, PULL_IDLE, &AtomicU64::new(0)).await?;
        let answer = answer.map_err(|(_, message)| self.fail(EngineFailure::refused(DOING, &message)))?;
        self.read_progress(DOING, answer, PULL_IDLE, tell).await?;
        self.image(name).await
    }

    /// The bytes of the image `name` as a tar, as the engines' `load` takes it. The engine packs it first, so that the
    /// first may be long in coming. The stream ends with an error where it breaks off.
    pub async fn save(
        &self,
        name: &ImageName,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let request = self.request(SAVE, Method::GET, &format!("/images/get?names={name}"))?;
        // Podman has no status of its own for an image that is not there.
        self.image(name).await?;
        let answer = self.ask(SAVE, request, PACK_IDLE, &AtomicU64::new(0)).await?;
        let answer = answer.map_err(|(_, message)| self.fail(EngineFailure::refused(SAVE, &message)))?;
        let pieces = stream::unfold(Some((answer.into_body(), self.clone())), |rest| async {
            let (mut body, engine) = rest?;
            let slow = || engine.fail(EngineFailure::TimedOut { doing: SAVE, seconds: FLOW_IDLE.as_secs() });
            let frame = match timeout(FLOW_IDLE, body.frame()).await {
                Err(_) => Err(slow()),
                Ok(frame) => frame?.map_err(|error| engine.failure(SAVE, error.into())),
            };
            match frame {
                Ok(frame) => Some((Ok(frame.into_data().unwrap_or_default()), Some((body, engine)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(pieces.boxed())
    }

    /// Take in an image from `tar`, as [`Engine::save`] gives it, and return the names it has got.
    ///
    /// # Errors
    /// [`EngineFailure::Source`] where `tar` breaks off; nothing is kept then.
    pub async fn load(
        &self,
        tar: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        mut tell: impl FnMut(Progress) + Send,
    ) -> Result<Vec<String>, EngineError> {
        let sent = Arc::new(AtomicU64::new(0));
        let broken = Arc::new(Mutex::new(None));
        let (count, note) = (Arc::clone(&sent), Arc::clone(&broken));
        let tar = tar.map(move |piece| {
            count.fetch_add(1, Ordering::Relaxed);
            piece.inspect_err(|error| {
                // Where nobody can note it any more, the engine's word for it has to do.
                if let Ok(mut note) = note.lock() {
                    *note = Some(error.to_string());
                }
            })
        });
        let request = Request::post("/images/load").header("content-type", "application/x-tar");
        let request = request.body(body_try_stream(tar));
        let request = request.map_err(|error| self.failure(LOAD, error.into()))?;
        let answer = self.ask(LOAD, request, PACK_IDLE, &sent).await;
        if let Some(why) = broken.lock().ok().and_then(|mut note| note.take()) {
            return Err(self.fail(EngineFailure::Source { why }));
        }
        let answer = answer?.map_err(|(_, message)| self.fail(EngineFailure::refused(LOAD, &message)))?;
        let mut names = Vec::new();
        self.read_progress(LOAD, answer, PACK_IDLE, |progress| {
            names.extend(loaded(&progress.status));
            tell(progress);
        })
        .await?;
        Ok(names)
    }

    /// The error for what this engine has said where it was told elsewhere to take in an image.
    pub fn cannot_load(&self, message: &str) -> EngineError {
        self.fail(EngineFailure::refused(LOAD, message))
    }

    /// Give the image `name` the name `tag` too, which is taken from another one where it has it.
    pub async fn tag(&self, name: &ImageName, tag: &ImageName) -> Result<(), EngineError> {
        const DOING: &str = "name the image";
        let (repository, version) = tag.parts();
        let options = TagImageOptions { repo: Some(repository.into()), tag: Some(version.into()) };
        let done = self.within(DOING, CALL_LIMIT, self.calls.tag_image(name.as_str(), Some(options))).await?;
        done.map_err(|error| self.of_image(DOING, name, error))
    }

    /// Take the name `name` away, and the image with it where that was its last one. An image that a container needs
    /// stays, and so does one that is called by its ID and has several names.
    pub async fn remove_image(&self, name: &ImageName) -> Result<(), EngineError> {
        const DOING: &str = "remove the image";
        const LIMIT: Duration = Duration::from_secs(300);
        let options = RemoveImageOptions { force: false, noprune: false, platforms: None };
        let work = self.calls.remove_image(name.as_str(), Some(options), None);
        let done = self.within(DOING, LIMIT, work).await?;
        done.map(drop).map_err(|error| self.of_image(DOING, name, error))
    }

    pub(super) fn request(
        &self,
        doing: &'static str,
        method: Method,
        path: &str,
    ) -> Result<BollardRequest, EngineError> {
        let request = Request::builder().method(method).uri(path).body(body_full(Bytes::new()));
        request.map_err(|error| self.failure(doing, error.into()))
    }

    fn of_image(&self, doing: &'static str, name: &ImageName, error: bollard::errors::Error) -> EngineError {
        match status(&error) {
            Some(404) => self.fail(EngineFailure::NoImage(name.to_string())),
            _ => self.failure(doing, error),
        }
    }
}

/// The name that an image has got, if `status` says that it was loaded.
fn loaded(status: &str) -> Option<String> {
    ["Loaded image: ", "Loaded image ID: "]
        .into_iter()
        .find_map(|begin| status.strip_prefix(begin))
        .map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_loaded_images_are_heard() {
        assert_eq!(loaded("Loaded image: localhost/a:b"), Some("localhost/a:b".into()));
        assert_eq!(loaded("Loaded image ID: sha256:00"), Some("sha256:00".into()));
        assert_eq!(loaded("Loading layer"), None);
    }
}
