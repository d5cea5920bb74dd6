//! A node as an interpreter.

use std::fmt::Write;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Queue;
use super::{SshConnection, over_ssh};
use crate::host::remote::{Interpreter, Remote};
use crate::host::{End, Ending, Host, HostError, Process, Program, ShellLine};
use crate::host_name::HostName;

/// Runs `python3` on a node, each in a session of the one connection.
#[derive(Debug)]
pub(super) struct SshNode {
    connection: Arc<SshConnection>,
}

impl SshNode {
    pub(super) fn new(connection: Arc<SshConnection>) -> Self {
        Self { connection }
    }

    fn run<'a>(&'a self, code: &'static str, queue: Queue) -> BoxFuture<'a, Result<Process, HostError>> {
        async move {
            let turn = self.connection.turn(queue).await.map_err(|what| self.connection.fail(what))?;
            let session = self.connection.session(&line(code)).await;
            let Process { input, output, log, end } = session.map_err(|what| self.connection.fail(what))?;
            let connection = Arc::clone(&self.connection);
            let end = SessionEnd { end, connection, ending: None, turn: Some(turn) };
            Ok(Process { input, output, log, end: Box::new(end) })
        }
        .boxed()
    }
}

impl SshConnection {
    /// The node as a host. It keeps the connection open.
    pub fn host(self: &Arc<Self>) -> Arc<dyn Host> {
        Arc::new(self.remote())
    }

    pub(super) fn remote(self: &Arc<Self>) -> Remote<SshNode> {
        Remote::new(SshNode::new(Arc::clone(self)))
    }
}

impl Interpreter for SshNode {
    fn name(&self) -> &HostName {
        self.connection.name()
    }

    fn python<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        self.run(code, Queue::Programs)
    }

    fn python_at_once<'a>(&'a self, code: &'static str) -> BoxFuture<'a, Result<Process, HostError>> {
        self.run(code, Queue::Endings)
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        over_ssh(&self.connection.route(), self.connection.settings(), &ShellLine::of(program))
    }
}

/// What makes any login shell run `code`. In hexadecimal, because shells agree on no way to quote: within single quotes a
/// new line is an error to csh and a backslash something to fish.
fn line(code: &str) -> String {
    let mut line = "exec python3 -c 'import sys;exec(bytes.fromhex(sys.argv[1]))' ".to_owned();
    for byte in code.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    line
}

/// The end of a session's ssh. Dropping it ends that ssh, and with it the session.
struct SessionEnd {
    end: Box<dyn End>,
    connection: Arc<SshConnection>,
    ending: Option<Ending>,
    turn: Option<OwnedSemaphorePermit>,
}

impl End for SessionEnd {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async {
            if let Some(ending) = &self.ending {
                return ending.clone();
            }
            let ending = self.end.ended().await;
            self.turn = None;
            let ending = self.connection.ending(ending).await;
            self.ending.insert(ending).clone()
        }
        .boxed()
    }

    fn kill(&mut self) {
        self.end.kill();
    }
}
