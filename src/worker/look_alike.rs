//! A worker that is not there: it speaks the protocol as the Python one does, leash included, on a look-alike host.
//! What it makes of a unit or of an arm is up to the test.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::{Instant, sleep_until};

use super::protocol::{self, CompileOutcome, Compiled, LEASH_STATUS, LEASH_VARIABLE, PackedBinary};
use super::start::OnHost;
use crate::fs::sha256_hex;
use crate::host::look_alike::{LookAlike, Streams};
use crate::host::{Ending, HostPath, Variable};
use crate::host_name::HostName;

/// What becomes of a unit, of a run of an arm, or of a binary: `give` or `take` and the unit's name.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// It ends after so long.
    Ends(Duration),
    /// It never ends, and the worker still answers.
    Hangs,
    /// The worker ends with it.
    Kills(Ending),
    /// The worker says this of it, at once.
    Says(Value),
}

/// What every run takes, microseconds, and what is told of it: the worker rounds.
const TIME_US: f64 = 10.000_4;
const TOLD_US: f64 = 10.0;

/// How a worker behaves: the fate of the unit or arm of this name.
pub(crate) type Behaviour = Arc<dyn Fn(&str) -> Reaction + Send + Sync>;

/// A host called `name` whose every Python is a worker that behaves like this, and what starts one there.
pub(crate) fn host(name: &str, behaviour: Behaviour) -> (Arc<LookAlike>, OnHost) {
    let name: HostName = name.parse().expect("tests name hosts well");
    let host = Arc::new(LookAlike::new(name, move |program, streams| {
        let behaviour = behaviour.clone();
        let leash = match program.environment.get(LEASH_VARIABLE) {
            Some(Variable::Set(seconds)) => seconds.parse().ok().map(Duration::from_secs_f64),
            _ => None,
        };
        program.name().ends_with("python").then(|| Worker::new(streams, behaviour, leash).serve().boxed())
    }));
    let starter = OnHost::embedded(host.clone(), HostPath::new("/opt/python"), &HostPath::new("/cache"));
    (host, starter)
}

/// What every unit compiles to.
pub(crate) fn compiled() -> CompileOutcome {
    CompileOutcome::Compiled(Compiled {
        shared_bytes: 1024,
        registers: None,
        spill_bytes: None,
        seconds: 1.0,
        binary_sha256: "0".repeat(64),
    })
}

/// The binary of the unit of this name, packed.
pub(crate) fn binary(unit: &str) -> PackedBinary {
    let content = format!("the binary of {unit}");
    let [kernel, triton, arch, key] = ["d", "3.5.0", "sm_121a", "KEY"].map(str::to_owned);
    PackedBinary { kernel, triton, arch, key, sha256: sha256_hex(content.as_bytes()), content }
}

/// A request under way.
struct Underway {
    id: u64,
    /// What is still to come, first things first.
    steps: VecDeque<Reply>,
    /// When the first of them ends; for ever where not given.
    due: Option<Instant>,
}

/// A line to send once the thing of this name has ended.
struct Reply {
    /// None where the line waits for nothing.
    name: Option<String>,
    line: Option<Value>,
}

impl Reply {
    fn at_once(line: Value) -> Self {
        Self { name: None, line: Some(line) }
    }

    fn once(name: String, line: Value) -> Self {
        Self { name: Some(name), line: Some(line) }
    }

    /// An arm is made ready, which kills or hangs as a run of it would, and otherwise takes no time.
    fn makes_ready(arm: &Value) -> Self {
        Self { name: Some(format!("arm {arm}")), line: None }
    }
}

struct Worker {
    input: BufReader<DuplexStream>,
    output: DuplexStream,
    behaviour: Behaviour,
    leash: Option<Duration>,
    tasks: VecDeque<Underway>,
    // Held open, as a worker's log is.
    _log: DuplexStream,
}

/// As `measurement.py` goes about it: every arm is made ready before the first run, and one that was too slow is not run
/// again.
fn measures(id: u64, request: &Value) -> VecDeque<Reply> {
    let order = request["order"].as_array().expect("an order");
    let mut steps = VecDeque::new();
    for (at, arm) in order.iter().enumerate() {
        if !order[..at].contains(arm) {
            steps.push_back(Reply::at_once(json!({"event": "starting", "id": id, "arm": arm})));
            steps.push_back(Reply::makes_ready(arm));
        }
    }
    steps.push_back(Reply::at_once(json!({"event": "ready", "id": id})));
    let too_slow = request["abort_above_us"].as_f64().is_some_and(|limit| TIME_US > limit);
    for (at, arm) in order.iter().enumerate() {
        if too_slow && order[..at].contains(arm) {
            continue;
        }
        let line = json!({"event": "timed", "id": id, "arm": arm, "time_us": TOLD_US});
        steps.push_back(Reply::once(format!("arm {arm}"), line));
        if too_slow {
            steps.push_back(Reply::at_once(json!({"event": "aborted", "id": id, "arm": arm})));
        }
    }
    steps
}

impl Worker {
    fn new(streams: Streams, behaviour: Behaviour, leash: Option<Duration>) -> Self {
        let Streams { input, output, log } = streams;
        let input = BufReader::new(input);
        Self { input, output, behaviour, leash, tasks: VecDeque::new(), _log: log }
    }

    async fn serve(mut self) -> Ending {
        let hello = json!({"event": "hello", "protocol": protocol::VERSION, "python": "3.12.3", "triton": "3.5.0",
                           "torch": null, "sglang": null, "device": null});
        if self.say(hello).await.is_err() {
            return Ending::Exit(0);
        }
        let mut heard = Instant::now();
        let mut line = Vec::new();
        loop {
            if let Some(ending) = self.begin_next() {
                return ending;
            }
            let due = self.tasks.front().and_then(|task| task.due);
            let ends = self.leash.map(|leash| heard + leash);
            tokio::select! {
                biased;
                read = self.input.read_until(b'\n', &mut line) => {
                    heard = Instant::now();
                    if !read.is_ok_and(|bytes| bytes > 0) {
                        return Ending::Exit(0);
                    }
                    let request = serde_json::from_slice(&std::mem::take(&mut line)).expect("our own words");
                    match self.take(&request).await {
                        Ok(true) => {}
                        Ok(false) | Err(_) => return Ending::Exit(0),
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if self.end_step().await.is_err() {
                        return Ending::Exit(0);
                    }
                }
                () = sleep_until(ends.unwrap_or_else(Instant::now)), if ends.is_some() => {
                    return Ending::Exit(LEASH_STATUS);
                }
            }
        }
    }

    /// Whether the worker goes on after this request.
    async fn take(&mut self, request: &Value) -> std::io::Result<bool> {
        let id = request["id"].as_u64().expect("requests have ids");
        match request["op"].as_str().expect("requests have an op") {
            "begin" => {
                self.leash = Some(Duration::from_secs_f64(request["leash_s"].as_f64().expect("a time")))
            }
            "ping" => {}
            "probe" => {
                let kernel = json!({"path": "k.py", "sglang_version": "0.5.4.post2", "digest": "d"});
                let ptxas = json!({"path": "ptxas", "version": "13.0"});
                self.say(json!({"event": "probed", "id": id, "kernel": kernel, "ptxas": ptxas, "cpus": 2}))
                    .await?;
            }
            "compile" => {
                let outcome = serde_json::to_value(compiled()).expect("plain data");
                let units = request["units"].as_array().expect("units");
                let steps = units.iter().map(|unit| {
                    let mut line = json!({"event": "compiled", "id": id, "unit": unit["unit"]});
                    let fields = outcome.as_object().expect("an object").clone();
                    line.as_object_mut().expect("an object").extend(fields);
                    Reply::once(unit["unit"].as_str().expect("a name").to_owned(), line)
                });
                self.tasks.push_back(Underway { id, steps: steps.collect(), due: None });
                return Ok(true);
            }
            op @ ("give" | "take") => {
                let units = request["units"].as_array().expect("units");
                let done = if op == "give" { "given" } else { "taken" };
                let steps = units.iter().map(|unit| {
                    let name = unit["unit"].as_str().expect("a name");
                    let mut line = json!({"event": done, "id": id, "unit": name, "outcome": done});
                    match op {
                        "give" => line["binary"] = json!(binary(name)),
                        _ => assert_eq!(unit["binary"], json!(binary(name)), "it is another one's"),
                    }
                    Reply::once(format!("{op} {name}"), line)
                });
                self.tasks.push_back(Underway { id, steps: steps.collect(), due: None });
                return Ok(true);
            }
            "measure" => {
                let steps = measures(id, request);
                self.tasks.push_back(Underway { id, steps, due: None });
                return Ok(true);
            }
            "device" => {
                let line = json!({"event": "device", "id": id, "name": "NVIDIA GB10", "capability": 121,
                                  "shared_memory_per_block": 101_376});
                let steps = [Reply::once("device".to_owned(), line)].into();
                self.tasks.push_back(Underway { id, steps, due: None });
                return Ok(true);
            }
            "prepare" => {}
            "cancel" => {
                let cancels = request["cancels"].as_u64().expect("an id");
                if self.tasks.iter().any(|task| task.id == cancels) {
                    self.tasks.retain(|task| task.id != cancels);
                    self.say(json!({"event": "done", "id": cancels, "ok": false, "cancelled": true})).await?;
                }
            }
            "quit" => {
                self.say(json!({"event": "done", "id": id, "ok": true})).await?;
                return Ok(false);
            }
            other => panic!("the look-alike does not know {other}"),
        }
        self.say(json!({"event": "done", "id": id, "ok": true})).await?;
        Ok(true)
    }

    /// Begin what is next, if nothing is under way; the worker's end, where that ends it.
    fn begin_next(&mut self) -> Option<Ending> {
        let task = self.tasks.front_mut()?;
        if task.due.is_some() {
            return None;
        }
        let at_once = Some(Instant::now());
        let Some(step) = task.steps.front_mut() else {
            task.due = at_once;
            return None;
        };
        match step.name.as_deref().map(|name| (self.behaviour)(name)) {
            None => task.due = at_once,
            Some(Reaction::Ends(_) | Reaction::Says(_)) if step.line.is_none() => task.due = at_once,
            Some(Reaction::Ends(after)) => task.due = Some(Instant::now() + after),
            Some(Reaction::Hangs) => {}
            Some(Reaction::Kills(ending)) => return Some(ending),
            Some(Reaction::Says(mut line)) => {
                line["id"] = task.id.into();
                step.line = Some(line);
                task.due = at_once;
            }
        }
        None
    }

    async fn end_step(&mut self) -> std::io::Result<()> {
        let Some(task) = self.tasks.front_mut() else { return Ok(()) };
        task.due = None;
        let line = match task.steps.pop_front() {
            Some(step) => step.line,
            None => {
                let id = task.id;
                self.tasks.pop_front();
                Some(json!({"event": "done", "id": id, "ok": true}))
            }
        };
        match line {
            Some(line) => self.say(line).await,
            None => Ok(()),
        }
    }

    async fn say(&mut self, line: Value) -> std::io::Result<()> {
        self.output.write_all(format!("{line}\n").as_bytes()).await
    }
}
