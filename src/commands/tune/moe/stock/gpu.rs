//! Which nodes can time for the device of a run, as they say themselves: a batch size takes hours, and only the name of its
//! file says what was timed, and nothing who was at it besides.

use futures_util::future::join_all;

use crate::cluster::facts::gpu_names;
use crate::device::Device;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::host_name::HostName;
use crate::tuner::stock::gpu_use::{GpuUse, GpuUsers};
use crate::worker::environment::Environment;

/// Why a node cannot tune for a run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// It has GPUs that are not the run's device.
    #[error("{node} has the GPU {}, and the run is for the {wanted}", found.join(", "))]
    OtherGpu { node: HostName, found: Vec<String>, wanted: String },
    /// Others use its GPU, and it is not waited for.
    #[error("{node}: {users}")]
    InUse { node: HostName, users: GpuUsers },
}

impl Failure for Unfit {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherGpu { .. } => {
                "start a run for the device that is there with --device; `sparktune devices` lists what is known"
                    .into()
            }
            Self::InUse { .. } => "--wait waits until it is free".into(),
        })
    }
}

/// Whether `node`, which has these `gpus` and `users` of them, can time for `device`; who is to be waited for, if anybody
/// is. A node that names no GPU at all is let try: it may not say what it has.
pub(super) fn is_fit(
    node: &HostName,
    gpus: &[String],
    users: Option<GpuUsers>,
    device: &Device,
    may_wait: bool,
) -> Result<Option<GpuUsers>, Unfit> {
    let node = || node.clone();
    if !gpus.is_empty() && !gpus.contains(&device.name) {
        return Err(Unfit::OtherGpu { node: node(), found: gpus.to_vec(), wanted: device.name.clone() });
    }
    match users {
        Some(users) if !may_wait => Err(Unfit::InUse { node: node(), users }),
        users => Ok(users),
    }
}

/// Those of `environments` whose nodes can time for `device`, each asked once, and who is to be waited for there. The others
/// are told.
///
/// # Errors
/// The first of them, where no other is left.
pub(super) async fn fit_to_tune_on(
    environments: Vec<Environment>,
    device: &Device,
    may_wait: bool,
    observer: &mut dyn Observer,
) -> Result<Vec<(Environment, Option<GpuUsers>)>, Unfit> {
    let asking = environments.into_iter().map(|environment| async {
        let (host, python) = (&environment.starter.host, &environment.starter.python);
        let (gpus, used) = tokio::join!(gpu_names(host), GpuUse::on(&**host, python));
        let in_use = is_fit(host.name(), &gpus.unwrap_or_default(), used.users(), device, may_wait)?;
        Ok((environment, in_use))
    });
    taking_part(join_all(asking).await, observer)
}

fn taking_part<T>(judged: Vec<Result<T, Unfit>>, observer: &mut dyn Observer) -> Result<Vec<T>, Unfit> {
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

    fn judged(node: &str, gpus: &[&str]) -> Result<String, Unfit> {
        let gpus: Vec<String> = gpus.iter().map(|gpu| (*gpu).to_owned()).collect();
        let judged = is_fit(&node.parse().unwrap(), &gpus, None, &Device::find("gb10").unwrap(), false);
        judged.map(|_| node.to_owned())
    }

    #[test]
    fn a_gpu_that_others_use_is_refused_or_waited_for_and_another_device_never() {
        let (node, device) = ("n1".parse().unwrap(), Device::find("gb10").unwrap());
        let users: GpuUsers = serde_json::from_str(r#"{"pids": [7, 4711]}"#).unwrap();
        let fit =
            |gpu: &str, may_wait| is_fit(&node, &[gpu.to_owned()], Some(users.clone()), &device, may_wait);
        let error = fit("NVIDIA GB10", false).unwrap_err();
        let says = "n1: other processes compute on its GPU (process ids [7, 4711])";
        assert_eq!((error.to_string().as_str(), error.kind()), (says, Kind::Environment));
        assert!(error.hint().unwrap().contains("--wait"));
        assert_eq!(fit("NVIDIA GB10", true).unwrap(), Some(users.clone()));
        for may_wait in [false, true] {
            assert!(matches!(fit("NVIDIA H100", may_wait), Err(Unfit::OtherGpu { .. })));
        }
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
