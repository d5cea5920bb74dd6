//! Containers: notes, and a process of this machine each while they run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bytes::Bytes;
use futures_util::stream;
use hyper::Request;
use hyper::body::Incoming;
use jiff::Timestamp;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

use super::answer::{Answer, Asked, done, no, pieces, whole, with_status, yes};
use super::exec;
use super::state::{Container, Group, Life, Line, Shared};

pub(super) async fn work(
    asked: &Asked,
    request: Request<Incoming>,
    state: &Shared,
    words: &[&str],
) -> Answer {
    match (asked.method.as_str(), words) {
        ("GET", ["json"]) => list(state, asked.value("filters")),
        ("POST", ["create"]) => match parsed(request).await {
            Some(body) => create(state, asked.value("name"), body),
            None => no(400, "no body that can be read"),
        },
        ("POST", [name, "exec"]) => {
            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            struct Exec {
                cmd: Vec<String>,
            }
            match parsed::<Exec>(request).await {
                Some(Exec { cmd }) => exec::create(state, name, cmd),
                None => no(400, "no body that can be read"),
            }
        }
        ("GET", [name, "json"]) => of(state, name, inspected),
        ("POST", [name, "start"]) => start(state, name),
        ("POST", [name, "stop"]) => stop(state, name, asked.value("t")).await,
        ("GET", [name, "logs"]) => logs(state, name, asked),
        ("DELETE", [name]) => remove(state, name).await,
        _ => no(404, "the look-alike of an engine does not know this"),
    }
}

async fn parsed<T: for<'a> Deserialize<'a>>(request: Request<Incoming>) -> Option<T> {
    serde_json::from_slice(&whole(request).await?).ok()
}

fn of(state: &Shared, name: &str, look: impl FnOnce(&Container) -> Value) -> Answer {
    match state.lock().unwrap().container(name) {
        Some(container) => yes(look(container)),
        None => no(404, &format!("No such container: {name}")),
    }
}

fn create(state: &Shared, name: &str, body: ContainerCreateBody) -> Answer {
    let mut state = state.lock().unwrap();
    let image = body.image.clone().unwrap_or_default();
    if !state.images.iter().any(|it| it.is(&image)) {
        return no(404, &format!("No such image: {image}"));
    }
    if state.container(name).is_some() {
        return no(409, &format!("Conflict. The container name \"/{name}\" is already in use"));
    }
    let id = state.id();
    let container = Container {
        id: id.clone(),
        name: name.to_owned(),
        body,
        life: Life::Created,
        started: None,
        finished: None,
        log: Vec::new(),
        changed: watch::Sender::new(0),
    };
    state.containers.insert(id.clone(), container);
    with_status(201, json!({"Id": id, "Warnings": []}))
}

/// The program and its arguments. One empty word is no entrypoint.
fn argv(body: &ContainerCreateBody) -> Vec<String> {
    let entrypoint = body.entrypoint.iter().flatten().filter(|word| !word.is_empty());
    entrypoint.chain(body.cmd.iter().flatten()).cloned().collect()
}

fn start(state: &Shared, name: &str) -> Answer {
    let mut locked = state.lock().unwrap();
    let Some(container) = locked.container(name) else {
        return no(404, &format!("No such container: {name}"));
    };
    if matches!(container.life, Life::Running(_)) {
        return with_status(304, json!({}));
    }
    let (id, argv) = (container.id.clone(), argv(&container.body));
    if argv.is_empty() {
        return no(400, "no command specified");
    }
    let spawned = exec::command(&locked, &id, &argv).spawn();
    let container = locked.container(&id).expect("it was there");
    match spawned {
        Ok(mut child) => {
            container.life = Life::Running(Group::of(&child).expect("it has not been waited for"));
            container.started = Some(Timestamp::now());
            let state = Arc::clone(state);
            drop(child.stdin.take());
            let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            tokio::spawn(async move {
                let notes = (note(&state, &id, 1, output), note(&state, &id, 2, errors));
                let ((), (), status) = tokio::join!(notes.0, notes.1, child.wait());
                ended(&state, &id, exec::status(status));
            });
            done()
        }
        Err(error) => {
            let why = error.to_string().to_lowercase();
            no(400, &format!("failed to create task for container: exec: \"{}\": {why}", argv[0]))
        }
    }
}

async fn note(state: &Shared, id: &str, stream: u8, bytes: impl AsyncRead + Unpin) {
    let mut bytes = BufReader::new(bytes);
    let mut line = Vec::new();
    while let Ok(1..) = bytes.read_until(b'\n', &mut line).await {
        let text = Bytes::from(std::mem::take(&mut line));
        if let Some(container) = state.lock().unwrap().containers.get_mut(id) {
            container.log.push(Line { at: Timestamp::now(), stream, text });
            container.change();
        }
    }
}

fn ended(state: &Shared, id: &str, status: i64) {
    let mut state = state.lock().unwrap();
    if let Some(container) = state.containers.get_mut(id) {
        container.kill();
        container.life = Life::Exited(status);
        container.finished = Some(Timestamp::now());
        container.change();
    }
}

/// Bring the container to its end: by SIGTERM, and after so many seconds by force.
async fn end(state: &Shared, name: &str, seconds: u64) -> Option<String> {
    let (id, group, mut changed) = {
        let mut state = state.lock().unwrap();
        let container = state.container(name)?;
        let Life::Running(group) = container.life else { return Some(container.id.clone()) };
        (container.id.clone(), group, container.changed.subscribe())
    };
    let runs =
        || matches!(state.lock().unwrap().containers.get(&id).map(|it| it.life), Some(Life::Running(_)));
    group.signal(Signal::TERM);
    let mut grace = std::pin::pin!(tokio::time::sleep(Duration::from_secs(seconds)));
    while runs() {
        tokio::select! {
            _ = changed.changed() => {}
            () = &mut grace => {
                state.lock().unwrap().containers.get(&id).iter().for_each(|it| it.kill());
                while runs() && changed.changed().await.is_ok() {}
            }
        }
    }
    Some(id.clone())
}

async fn stop(state: &Shared, name: &str, seconds: &str) -> Answer {
    match end(state, name, seconds.parse().unwrap_or(10)).await {
        Some(_) => done(),
        None => no(404, &format!("No such container: {name}")),
    }
}

async fn remove(state: &Shared, name: &str) -> Answer {
    let Some(id) = end(state, name, 0).await else { return no(404, &format!("No such container: {name}")) };
    if let Some(container) = state.lock().unwrap().containers.remove(&id) {
        container.change();
    }
    done()
}

fn list(state: &Shared, filters: &str) -> Answer {
    let filters: BTreeMap<String, Vec<String>> = serde_json::from_str(filters).unwrap_or_default();
    let wanted: Vec<_> =
        filters.get("label").into_iter().flatten().filter_map(|it| it.split_once('=')).collect();
    let state = state.lock().unwrap();
    let has_all = |container: &&Container| {
        let labels = container.body.labels.clone().unwrap_or_default();
        wanted.iter().all(|(key, value)| labels.get(*key).is_some_and(|found| found == value))
    };
    let found = state.containers.values().filter(has_all).map(|container| {
        json!({
            "Id": container.id, "Names": [format!("/{}", container.name)], "Image": container.body.image,
            "Labels": container.body.labels, "State": status(container.life),
        })
    });
    yes(found.collect())
}

fn status(life: Life) -> &'static str {
    match life {
        Life::Created => "created",
        Life::Running(_) => "running",
        Life::Exited(_) => "exited",
    }
}

fn inspected(container: &Container) -> Value {
    // What never happened has a time long before engines.
    let time =
        |time: Option<Timestamp>| time.map_or("0001-01-01T00:00:00Z".to_owned(), |time| time.to_string());
    let argv = argv(&container.body);
    let binds = container.body.host_config.iter().flat_map(|config| config.binds.iter().flatten());
    let mounts = binds.map(|bind| {
        let parts: Vec<&str> = bind.split(':').collect();
        json!({"Type": "bind", "Source": parts[0], "Destination": parts[1], "RW": parts.get(2) != Some(&"ro")})
    });
    json!({
        "Id": container.id,
        "Name": format!("/{}", container.name),
        "Path": argv.first(),
        "Args": argv.get(1..),
        "State": {
            "Status": status(container.life),
            "Running": matches!(container.life, Life::Running(_)),
            "ExitCode": if let Life::Exited(status) = container.life { status } else { 0 },
            "StartedAt": time(container.started),
            "FinishedAt": time(container.finished),
        },
        "Config": {
            "Image": container.body.image, "Env": container.body.env, "Cmd": container.body.cmd,
            "Entrypoint": container.body.entrypoint, "Labels": container.body.labels,
        },
        "HostConfig": container.body.host_config,
        "Mounts": mounts.collect::<Value>(),
    })
}

fn logs(state: &Shared, name: &str, asked: &Asked) -> Answer {
    let (follow, timestamps) = (asked.value("follow") == "true", asked.value("timestamps") == "true");
    let since = asked.value("since").parse().unwrap_or(0);
    let (id, changed) = match state.lock().unwrap().container(name) {
        Some(container) => (container.id.clone(), container.changed.subscribe()),
        None => return no(404, &format!("No such container: {name}")),
    };
    let next = move |(state, mut changed, at): (Shared, watch::Receiver<u64>, usize)| {
        let id = id.clone();
        async move {
            loop {
                let (line, over) = match state.lock().unwrap().containers.get(&id) {
                    Some(it) => (it.log.get(at).cloned(), !matches!(it.life, Life::Running(_))),
                    None => (None, true),
                };
                match line {
                    Some(line) => {
                        let shown = line.at.as_second() >= since;
                        let frame = if shown { framed(&line, timestamps) } else { Bytes::new() };
                        return Some((frame, (state, changed, at + 1)));
                    }
                    None if over || !follow => return None,
                    None => _ = changed.changed().await,
                }
            }
        }
    };
    pieces(stream::unfold((Arc::clone(state), changed, 0), next))
}

fn framed(line: &Line, timestamps: bool) -> Bytes {
    match timestamps {
        true => exec::frame(line.stream, &[format!("{} ", line.at).as_bytes(), &line.text].concat()),
        false => exec::frame(line.stream, &line.text),
    }
}
