//! Programs that run beside a container's own.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::answer::{Answer, bytes_of, no, with_status, yes};
use super::state::{Exec, Life, MARK, Shared, State};

/// The command that runs `argv` in the image and with the variables of a container.
pub(super) fn command(state: &State, container: &str, argv: &[String]) -> Command {
    let container = &state.containers[container];
    let (program, arguments) = argv.split_first().expect("an engine is given a program");
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let image =
        state.images.iter().find(|image| image.is(container.body.image.as_deref().unwrap_or_default()));
    if let Some(path) = image.and_then(|image| image.path.as_ref()) {
        command.env("PATH", path);
    }
    let variables = container.body.env.iter().flatten().filter_map(|pair| pair.split_once('='));
    command.envs(variables).env(MARK, &container.id);
    command
}

/// A program ended: by itself, or as shells say it of a signal.
pub(super) fn status(ended: io::Result<std::process::ExitStatus>) -> i64 {
    use std::os::unix::process::ExitStatusExt;
    let ended = ended.expect("a child of this process can be waited for");
    i64::from(ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or_default()))
}

/// A frame of the API: whose bytes, and how many.
pub(super) fn frame(stream: u8, text: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + text.len());
    frame.put_slice(&[stream, 0, 0, 0]);
    frame.put_u32(u32::try_from(text.len()).expect("pieces are short"));
    frame.put_slice(text);
    frame.freeze()
}

pub(super) fn create(state: &Shared, container: &str, argv: Vec<String>) -> Answer {
    let mut state = state.lock().unwrap();
    let Some(found) = state.container(container) else { return no(404, "No such container") };
    let (container, life) = (found.id.clone(), found.life);
    if !matches!(life, Life::Running(_)) {
        return no(409, "Container is not running");
    }
    let id = state.id();
    state.execs.insert(id.clone(), Exec { container, argv, status: None });
    with_status(201, json!({"Id": id}))
}

pub(super) fn inspect(state: &Shared, id: &str) -> Answer {
    match state.lock().unwrap().execs.get(id) {
        Some(exec) => yes(json!({"ID": id, "Running": exec.status.is_none(), "ExitCode": exec.status})),
        None => no(404, "No such exec instance"),
    }
}

/// Start it, its streams on the connection that is asked on; `cuts` has that end within the program's first words.
pub(super) fn start(request: Request<Incoming>, state: &Shared, id: &str, cuts: bool) -> Answer {
    let locked = state.lock().unwrap();
    let Some(exec) = locked.execs.get(id) else { return no(404, "No such exec instance") };
    let (container, argv) = (exec.container.clone(), exec.argv.clone());
    if !locked.containers.contains_key(&container) {
        return no(404, "No such container");
    }
    let spawned = command(&locked, &container, &argv).spawn();
    let (state, id) = (Arc::clone(state), id.to_owned());
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let ended = match spawned {
            Ok(child) => attached(child, upgrade, cuts).await,
            Err(_) => not_found(&argv[0], upgrade).await,
        };
        let Some((status, mut connection)) = ended else { return };
        if let Some(exec) = state.lock().unwrap().execs.get_mut(&id) {
            exec.status = Some(status);
        }
        // Whoever sees the streams end may ask how.
        let _ = connection.shutdown().await;
    });
    let head = Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "tcp");
    head.body(bytes_of(Bytes::new())).unwrap()
}

type Connection = Box<dyn AsyncWrite + Send + Unpin>;

async fn not_found(program: &str, upgrade: OnUpgrade) -> Option<(i64, Connection)> {
    let (typed, mut shown) = split(TokioIo::new(upgrade.await.ok()?));
    tokio::spawn(pass_input(typed, None));
    let words = format!(
        "OCI runtime exec failed: exec failed: exec: \"{program}\": executable file not found in $PATH: unknown\r\n"
    );
    let _ = shown.write_all(&frame(1, words.as_bytes())).await;
    Some((127, Box::new(shown)))
}

async fn attached(mut child: Child, upgrade: OnUpgrade, cuts: bool) -> Option<(i64, Connection)> {
    let (typed, mut shown) = split(TokioIo::new(upgrade.await.ok()?));
    let (output, errors) = (child.stdout.take()?, child.stderr.take()?);
    let typed = tokio::spawn(pass_input(typed, child.stdin.take()));
    // One at a time: a reader that is slow holds the program up.
    let (tell, mut told) = mpsc::channel(1);
    tokio::spawn(frames(1, output, tell.clone()));
    tokio::spawn(frames(2, errors, tell));
    let mut listens = true;
    while let Some(frame) = told.recv().await {
        if cuts {
            let _ = shown.write_all(&frame[..frame.len() / 2]).await;
            typed.abort();
            return None;
        }
        // An engine goes on reading what nobody hears.
        listens = listens && shown.write_all(&frame).await.is_ok();
    }
    Some((status(child.wait().await), Box::new(shown)))
}

/// To its end: a socket that is closed with something unread in it is a failure to its other end.
async fn pass_input(mut typed: impl AsyncRead + Unpin, program: Option<ChildStdin>) {
    if let Some(mut program) = program {
        let _ = copy(&mut typed, &mut program).await;
    }
    let _ = copy(&mut typed, &mut tokio::io::sink()).await;
}

async fn frames(stream: u8, mut bytes: impl AsyncRead + Unpin, tell: mpsc::Sender<Bytes>) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(count @ 1..) = bytes.read(&mut piece).await {
        if tell.send(frame(stream, &piece[..count])).await.is_err() {
            return;
        }
    }
}
