//! What the doctor's programs answer on a node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::asked::{AskedModel, ModelSource};
use super::hub_cache::HubCache;
use super::machine::FOLDERS;
use super::network::PORTS;
use super::ping_path::PingPath;
use super::seen::{LoadSeen, Looked, ModelSeen, Obstacle};
use crate::cluster::connect::ConnectError;
use crate::cluster::inventory::Node;
use crate::failure::Failure;
use crate::host::ask::{AskError, AskFailure, ask, beginning};
use crate::host::engine::EngineError;
use crate::host::{Host, HostPath};

const PROGRAM: &str = include_str!("../../../worker/node/doctor.py");
const MODELS: &str = include_str!("../../../worker/node/models.py");
const LOAD: &str = include_str!("../../../worker/node/load.py");

/// Time for what is asked besides, and for all pings of a node, which end by themselves before.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// How long a GPU is kept busy, seconds: some until its clock has gone up, and some to look at it.
const LOAD_S: f64 = 4.0;

/// Ask `host` for ports, folders and the token, or let it ping by `paths` where there are any.
pub(super) async fn look(host: &dyn Host, paths: &[PingPath]) -> Result<Looked, Obstacle> {
    let pinging = !paths.is_empty();
    let pings: Vec<(IpAddr, IpAddr, u32)> =
        paths.iter().map(|path| (path.source, path.target, path.mtu)).collect();
    let order = json!({
        "ports": if pinging { &[][..] } else { &PORTS },
        "folders": if pinging { &[][..] } else { &FOLDERS },
        "gpu_programs": !pinging,
        "pings": pings,
    });
    told(host, PROGRAM, &order).await
}

/// What `host`, which is `node`, has of `models`; nothing is asked where there are none.
pub(super) async fn look_for(
    host: &dyn Host,
    node: &Node,
    models: &[AskedModel],
) -> Option<Result<Vec<ModelSeen>, Obstacle>> {
    #[derive(Deserialize)]
    struct Answer {
        models: Vec<ModelSeen>,
    }
    if models.is_empty() {
        return None;
    }
    let (cache, variables) = match HubCache::of(node) {
        HubCache::Folder(path) => (Some(path), BTreeMap::new()),
        HubCache::Own(variables) => (None, variables),
        // It says so by itself; what lies in a folder is looked at all the same.
        HubCache::InContainer(path) => (Some(path.as_str().to_owned()), BTreeMap::new()),
    };
    let model = |model: &AskedModel| match &model.source {
        ModelSource::Hub(id) => json!({ "repository": id.cache_folder() }),
        ModelSource::Folder(folder) => json!({ "folder": folder }),
    };
    let models: Vec<serde_json::Value> = models.iter().map(model).collect();
    let order = json!({ "cache": cache, "variables": variables, "models": models, "paths": [] });
    let answer = told::<Answer>(host, MODELS, &order).await;
    Some(answer.map(|answer| answer.models))
}

/// How the GPU of `host` does under a load.
pub(super) async fn load(host: Option<&dyn Host>) -> Option<Result<LoadSeen, Obstacle>> {
    Some(told(host?, LOAD, &json!({ "seconds": LOAD_S })).await)
}

/// Whether each of `paths`, which may begin with `~/`, is there on `host`.
pub(super) async fn are_there(host: &dyn Host, paths: &[String]) -> Result<Vec<bool>, Obstacle> {
    #[derive(Deserialize)]
    struct Answer {
        there: Vec<bool>,
    }
    let order = json!({ "cache": null, "variables": {}, "models": [], "paths": paths });
    Ok(told::<Answer>(host, MODELS, &order).await?.there)
}

/// What `program` answers to `order`.
pub(super) async fn told<T: DeserializeOwned>(
    host: &dyn Host,
    program: &'static str,
    order: &serde_json::Value,
) -> Result<T, Obstacle> {
    let python = HostPath::new("python3");
    let answer = ask(host, &python, program, &[order.to_string().as_bytes()], LOOK_LIMIT).await?;
    serde_json::from_slice(&answer).map_err(|_| {
        let says =
            format!("`{python}` answered `{}`, where one JSON document was expected", beginning(&answer));
        Obstacle { says, fix: None }
    })
}

impl From<ConnectError> for Obstacle {
    fn from(error: ConnectError) -> Self {
        Self { fix: error.hint(), says: error.problem() }
    }
}

impl From<EngineError> for Obstacle {
    fn from(error: EngineError) -> Self {
        Self { fix: error.hint(), says: error.what.to_string() }
    }
}

impl From<AskError> for Obstacle {
    fn from(error: AskError) -> Self {
        let fix = error.hint();
        let says = match error.what {
            AskFailure::Host(error) => error.what.to_string(),
            what => what.to_string(),
        };
        Self { says, fix }
    }
}
