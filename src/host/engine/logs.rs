//! What a container has written since it was started.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use super::{CALL_LIMIT, Engine, EngineError, EngineFailure, LogPiece};
use crate::host::HostPath;

/// A container's log, from its last start up to now.
pub struct ContainerLog {
    /// When it was started, by its node's clock. Its first lines may be older by a moment: the engine notes it later.
    pub started: Timestamp,
    /// When it ended before that; none where it was never started before.
    pub ended: Option<Timestamp>,
    /// Folders and files of its node that it sees: where they lie there, and where in it.
    pub mounts: Vec<(HostPath, HostPath)>,
    /// What it wrote. Every line has the time before it at which the engine got it (RFC 3339, and a space; Podman's are
    /// whole seconds). It may begin with what it wrote in the second in which it ended before.
    pub pieces: BoxStream<'static, Result<LogPiece, EngineError>>,
}

impl Engine {
    /// What the container that goes by `name` wrote. It need not be ours: nothing is done to it.
    ///
    /// # Errors
    /// No such container, one that does not run, and an engine that keeps no log of it.
    pub async fn log_since_start(&self, name: &str) -> Result<ContainerLog, EngineError> {
        const DOING: &str = "read the container's log";
        self.check_name(name)?;
        let found = self.within(DOING, CALL_LIMIT, self.calls.inspect_container(name, None)).await?;
        let found = found.map_err(|error| self.of_container(DOING, name, error))?;
        let state = found.state.unwrap_or_default();
        // What never happened has a time long before engines.
        let time = |text: Option<String>| text?.parse().ok().filter(|time: &Timestamp| time.as_second() > 0);
        // Of one that does not run it is not told when it ended before its last start.
        let started = time(state.started_at).filter(|_| state.running == Some(true));
        let started = started.ok_or_else(|| self.fail(EngineFailure::NotUp(name.to_owned())))?;
        let ended = time(state.finished_at);
        let mount = |mount: bollard::models::MountPoint| {
            Some((HostPath::new(mount.source?), HostPath::new(mount.destination?)))
        };
        let options = LogsOptions {
            follow: false,
            stdout: true,
            stderr: true,
            since: ended.and_then(|ended| i32::try_from(ended.as_second()).ok()).unwrap_or(0),
            until: 0,
            timestamps: true,
            tail: "all".into(),
        };
        let (engine, name) = (self.clone(), name.to_owned());
        let pieces = self.streams.logs(&found.id.unwrap_or_else(|| name.clone()), Some(options));
        let pieces = pieces.map(move |piece| match piece {
            Ok(LogOutput::StdErr { message }) => Ok(LogPiece::Error(message)),
            Ok(piece) => Ok(LogPiece::Output(piece.into_bytes())),
            Err(error) => Err(engine.of_container(DOING, &name, error)),
        });
        Ok(ContainerLog {
            started,
            ended,
            mounts: found.mounts.unwrap_or_default().into_iter().filter_map(mount).collect(),
            pieces: pieces.boxed(),
        })
    }
}
