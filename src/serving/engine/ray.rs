//! A Ray cluster of the model's own, as 2.60.0 behaves.
//!
//! `ray start` stays (`--block`): what it started is ended with it, where `ray stop` ends everybody's. When one of its
//! processes dies, it ends the others and itself. Not so where the raylet ends by itself, as it does without its agent:
//! that only the count of GPUs says.
//!
//! Ray's workers take their variables from the environment of `ray start`, not from the shell that serves: so they are
//! set on every node before. The dashboard, whose API runs whatever it is sent, listens on the node itself alone.

use super::super::member::Member;

/// What `ray start` says once the node belongs to the cluster.
pub(in crate::serving) const UP: &str = "Ray runtime started.";

/// What starts the head.
pub(in crate::serving) fn head(on: &Member<'_>, port: u16) -> Vec<String> {
    let mut words = start(on);
    words.extend(["--head".to_owned(), format!("--port={port}"), "--dashboard-host=127.0.0.1".to_owned()]);
    words
}

/// What lets a node join.
pub(in crate::serving) fn worker(on: &Member<'_>, head: &Member<'_>, port: u16) -> Vec<String> {
    let mut words = start(on);
    words.push(format!("--address={}", head.socket(port)));
    words
}

fn start(on: &Member<'_>) -> Vec<String> {
    vec![
        on.script("ray"),
        "start".to_owned(),
        // Else it takes the address of the route to the internet.
        format!("--node-ip-address={}", on.address),
        "--num-gpus=1".to_owned(),
        "--block".to_owned(),
    ]
}

/// What says how many GPUs have joined: a number, or it fails.
pub(in crate::serving) fn gpus(on: &Member<'_>, port: u16) -> Vec<String> {
    let program = format!(
        "import ray; ray.init(address='{}', logging_level='error'); print(int(ray.cluster_resources().get('GPU', 0)))",
        on.socket(port)
    );
    vec![on.python(), "-c".to_owned(), program]
}
