//! Which nodes have the device that a run is for, as they say themselves. A batch size takes hours, and only the name of
//! its file says what was timed.

use futures_util::future::join_all;

use crate::cluster::facts::gpu_names;
use crate::device::Device;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;
use crate::worker::environment::Environment;

/// A node with GPUs that are not the run's device.
#[derive(Debug, thiserror::Error)]
#[error("{node} has the GPU {}, and the run is for the {wanted}", found.join(", "))]
pub(super) struct OtherGpu {
    node: HostName,
    found: Vec<String>,
    wanted: String,
}

impl Failure for OtherGpu {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        Some(
            "start a run for the device that is there with --device; `sparktune devices` lists what is known"
                .into(),
        )
    }
}

/// Whether `node` can time for `device`. One that names no GPU at all is let try: it may not say what it has.
pub(super) fn has_device(node: &HostName, gpus: &[String], device: &Device) -> Result<(), OtherGpu> {
    if gpus.is_empty() || gpus.contains(&device.name) {
        return Ok(());
    }
    Err(OtherGpu { node: node.clone(), found: gpus.to_vec(), wanted: device.name.clone() })
}

/// Those of `environments` whose nodes can time for `device`, each asked once. The others are told.
///
/// # Errors
/// The first of them, where no other is left.
pub(super) async fn having_device(
    environments: Vec<Environment>,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Vec<Environment>, OtherGpu> {
    let asking = environments.iter().map(|environment| gpu_names(&environment.starter.host));
    let gpus = join_all(asking).await;
    let judged = environments.into_iter().zip(gpus).map(|(environment, gpus)| {
        let node = environment.starter.host.name();
        has_device(node, &gpus.unwrap_or_default(), device).map(|()| environment)
    });
    taking_part(judged.collect(), observer)
}

fn taking_part<T>(judged: Vec<Result<T, OtherGpu>>, observer: &mut dyn Observer) -> Result<Vec<T>, OtherGpu> {
    let mut working = Vec::new();
    let mut others = Vec::new();
    for judged in judged {
        match judged {
            Ok(node) => working.push(node),
            Err(other) => others.push(other),
        }
    }
    let last = (working.is_empty() && !others.is_empty()).then(|| others.remove(0));
    for other in others {
        observer.note(format!("{other}: it takes no part"));
    }
    last.map_or(Ok(working), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, What};

    fn judged(node: &str, gpus: &[&str]) -> Result<String, OtherGpu> {
        let gpus: Vec<String> = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
        has_device(&node.parse().unwrap(), &gpus, &Device::find("gb10").unwrap()).map(|()| node.to_owned())
    }

    #[test]
    fn a_node_with_other_gpus_alone_is_left_out_and_told() {
        let mut heard: Vec<Event> = Vec::new();
        let nodes = vec![
            judged("n1", &["NVIDIA GB10"]),
            judged("n2", &["NVIDIA H100", "NVIDIA H200"]),
            judged("n3", &["NVIDIA H100", "NVIDIA GB10"]),
            judged("n4", &[]),
        ];
        assert_eq!(taking_part(nodes, &mut heard).unwrap(), ["n1", "n3", "n4"]);
        let [Event { what: What::Note { text }, .. }] = &heard[..] else { panic!("{heard:?}") };
        let says =
            "n2 has the GPU NVIDIA H100, NVIDIA H200, and the run is for the NVIDIA GB10: it takes no part";
        assert_eq!(text, says);
    }

    #[test]
    fn where_no_other_is_left_it_is_an_error() {
        let mut heard: Vec<Event> = Vec::new();
        let nodes = vec![judged("n1", &["NVIDIA H100"]), judged("n2", &["NVIDIA GB10 "])];
        let error = taking_part(nodes, &mut heard).unwrap_err();
        assert_eq!(error.kind(), Kind::Environment);
        assert!(error.to_string().starts_with("n1 has the GPU NVIDIA H100, and"), "{error}");
        assert!(error.hint().unwrap().contains("--device"));
        assert_eq!(heard.len(), 1);
    }
}
