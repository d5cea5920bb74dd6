//! A Ray cluster of the model's own.
//!
//! Ray's workers take their variables from the environment of `ray start`, not from the shell that serves: so they are
//! set on every node before. The dashboard, whose API runs whatever it is sent, listens on the node itself alone.

use super::super::member::Member;

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
