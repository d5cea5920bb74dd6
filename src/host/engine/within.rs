//! A container as a host.

use std::io;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use super::{Engine, EngineError, EngineFailure, OwnContainer};
use crate::failure::Failure;
use crate::host::remote::{Interpreter, Remote};
use crate::host::{Host, HostError, HostFailure, Process, Program, ShellLine, Variable};
use crate::host_name::HostName;

impl Engine {
    /// `container` as a host, which goes by its node's name. All it needs inside is Python 3 as `python3`.
    ///
    /// A program there ends when its [`Process`] is dropped. Where the link is lost, or this program is killed, it
    /// only hears that its input has ended: the engine keeps reading what it writes.
    pub fn within_container(&self, container: &OwnContainer) -> Arc<dyn Host> {
        Arc::new(Remote::new(Within { engine: self.clone(), container: container.clone(), starts_it: false }))
    }

    /// The same of a container that is there for programs alone: one that does not run any more, because it was killed
    /// or its engine went, is started again for the next.
    pub(super) fn within_short_lived(&self, container: &OwnContainer) -> Arc<dyn Host> {
        Arc::new(Remote::new(Within { engine: self.clone(), container: container.clone(), starts_it: true }))
    }
}

#[derive(Debug)]
struct Within {
    engine: Engine,
    container: OwnContainer,
    /// Whether a program may have it started.
    starts_it: bool,
}

impl Within {
    async fn attach(&self, argv: Vec<String>) -> Result<Process, EngineError> {
        match self.engine.attach(&self.container, argv.clone()).await {
            Err(EngineError { what: EngineFailure::NotUp(_), .. }) if self.starts_it => {
                self.engine.start(&self.container).await?;
                self.engine.attach(&self.container, argv).await
            }
            attached => attached,
        }
    }
}

impl Interpreter for Within {
    fn name(&self) -> &HostName {
        &self.engine.node
    }

    fn python<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        async move {
            let argv = ["python3", "-c", code].map(str::to_owned).to_vec();
            self.attach(argv).await.map_err(|error| {
                let what = match error.what {
                    // The engine has found no way to start it.
                    EngineFailure::Refused { message, .. } => {
                        HostFailure::Start { program: "python3".into(), source: io::Error::other(message) }
                    }
                    _ => {
                        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                        HostFailure::Unreachable { why: format!("{}{hint}", error.what) }
                    }
                };
                HostError { on: error.on, what }
            })
        }
        .boxed()
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        as_shell(self.engine.kind.program(), self.container.name(), program)
    }
}

/// `engine exec` for `program`. Secrets are in the environment of the engine's command, which passes them on by name.
fn as_shell(engine: &str, container: &str, program: &Program) -> ShellLine {
    let mut line = Program::new(engine, ["exec", "--interactive"]);
    let mut inside = Vec::new();
    if let Some(directory) = &program.directory {
        line.argv.extend(["--workdir".to_owned(), directory.as_str().to_owned()]);
    }
    for (name, variable) in &program.environment {
        match variable {
            Variable::Set(value) => line.argv.extend(["--env".to_owned(), format!("{name}={value}")]),
            Variable::Secret(_) => {
                line.argv.extend(["--env".to_owned(), name.clone()]);
                line.environment.insert(name.clone(), variable.clone());
            }
            Variable::Unset => inside.extend(["-u".to_owned(), name.clone()]),
        }
    }
    line.argv.push(container.to_owned());
    if !inside.is_empty() {
        line.argv.push("env".to_owned());
        line.argv.append(&mut inside);
    }
    if let Some(limit) = program.limit {
        let limit = limit.as_secs_f64().to_string();
        line.argv.extend(["timeout", "-s", "KILL", &limit].map(str::to_owned));
    }
    line.argv.extend(program.argv.iter().cloned());
    ShellLine::of(&line)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::HostPath;
    use crate::secret::Secret;

    #[test]
    fn a_program_inside_is_an_exec_of_the_engine() {
        let program = Program::new("python3", ["-m", "spark_worker"]);
        let line = as_shell("podman", "spark-tune", &program).to_string();
        assert_eq!(line, "podman exec --interactive spark-tune python3 -m spark_worker");
        let whole = Program {
            directory: Some(HostPath::new("/srv/it's here")),
            limit: Some(Duration::from_millis(1500)),
            ..program
        };
        let whole = whole
            .with("A", Variable::Set("b c".into()))
            .with("PYTHONHOME", Variable::Unset)
            .with("HF_TOKEN", Variable::Secret(Secret::new("hush")));
        assert_eq!(
            as_shell("docker", "spark-tune", &whole).to_string(),
            "HF_TOKEN=\"$HF_TOKEN\" docker exec --interactive --workdir \"/srv/it's here\" --env 'A=b c' \
             --env HF_TOKEN spark-tune env -u PYTHONHOME timeout -s KILL 1.5 python3 -m spark_worker"
        );
    }
}
