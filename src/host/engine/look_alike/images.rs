//! Images: a configuration and layers of no use, saved and loaded as Docker's archives are.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Asked, bytes_of, no, whole, with_status, yes};
use super::state::{Image, Shared};
use crate::fs::sha256_hex;
use crate::host::engine::ImageName;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// A name as engines keep it.
fn whole_name(name: &str) -> String {
    let name: ImageName = name.parse().unwrap_or_else(|_| "nothing:x".parse().expect("a name"));
    let (repository, tag) = name.parts();
    let registry = repository.split_once('/').map_or("", |(first, _)| first);
    match registry {
        "" => format!("docker.io/library/{repository}:{tag}"),
        it if it == "localhost" || it.contains(['.', ':']) => format!("{repository}:{tag}"),
        _ => format!("docker.io/{repository}:{tag}"),
    }
}

impl Image {
    /// One of that name, whose programs see what lies in `path`, or all that this machine has.
    pub(super) fn made_up(name: &str, path: Option<&Path>) -> Self {
        let layer = Bytes::from(vec![u8::from(path.is_some()); 3 << 19]);
        let config = json!({
            "architecture": "any", "os": "linux",
            "config": {"Env": [], "Labels": {}},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = Bytes::from(config.to_string());
        Self { config, layers: vec![layer], tags: vec![name.to_owned()], path: path.map(Path::to_owned) }
    }

    fn id(&self) -> String {
        digest(&self.config)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.id() == name || self.tags.contains(&whole_name(name))
    }

    fn inspected(&self) -> Value {
        let config: Value = serde_json::from_slice(&self.config).expect("it was read when it came");
        json!({
            "Id": self.id(), "RepoTags": self.tags, "RepoDigests": [], "Architecture": config["architecture"],
            "Size": self.layers.iter().map(Bytes::len).sum::<usize>(), "Config": config["config"],
            "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
        })
    }

    fn saved(&self, name: &str) -> io::Result<Vec<u8>> {
        let config = format!("{}.json", sha256_hex(&self.config));
        let layers: Vec<_> =
            self.layers.iter().map(|layer| format!("{}/layer.tar", sha256_hex(layer))).collect();
        let manifest =
            [Manifest { config: config.clone(), repo_tags: vec![whole_name(name)], layers: layers.clone() }];
        let manifest = Bytes::from(serde_json::to_vec(&manifest)?);
        let mut tar = tar::Builder::new(Vec::new());
        let files = layers.into_iter().zip(self.layers.iter().cloned());
        for (path, bytes) in files.chain([(config, self.config.clone()), ("manifest.json".into(), manifest)])
        {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, &*bytes)?;
        }
        tar.into_inner()
    }

    fn loaded(tar: &[u8]) -> io::Result<Vec<Self>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if bytes.len() as u64 != entry.size() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            files.insert(path, Bytes::from(bytes));
        }
        let missing = |path: &str| io::Error::other(format!("{path} is not in the archive"));
        let file = |path: &str| files.get(path).cloned().ok_or_else(|| missing(path));
        let manifests: Vec<Manifest> = serde_json::from_slice(&file("manifest.json")?)?;
        let image = |manifest: Manifest| {
            let config = file(&manifest.config)?;
            serde_json::from_slice::<Value>(&config)?;
            let layers = manifest.layers.iter().map(|layer| file(layer)).collect::<io::Result<_>>()?;
            Ok(Self { config, layers, tags: manifest.repo_tags, path: None })
        };
        manifests.into_iter().map(image).collect()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

pub(super) async fn work(asked: &Asked, request: Request<Incoming>, state: &Shared) -> Answer {
    let path = asked.path.strip_prefix("/images/").unwrap_or_default();
    match (asked.method.as_str(), path) {
        ("POST", "create") => pull(asked.value("fromImage")).await,
        ("GET", "get") => save(state, asked.value("names")),
        ("POST", "load") => match whole(request).await {
            Some(tar) => load(state, &tar),
            None => no(400, "unexpected EOF"),
        },
        ("GET", _) if path.ends_with("/json") => {
            let name = path.trim_end_matches("/json");
            let state = state.lock().unwrap();
            state
                .images
                .iter()
                .find(|image| image.is(name))
                .map_or_else(|| missing(name), |image| yes(image.inspected()))
        }
        ("POST", _) if path.ends_with("/tag") => {
            let name = path.trim_end_matches("/tag");
            tag(state, name, &format!("{}:{}", asked.value("repo"), asked.value("tag")))
        }
        ("DELETE", name) => remove(state, name),
        _ => no(404, "the look-alike of an engine does not know this"),
    }
}

fn missing(name: &str) -> Answer {
    no(404, &format!("No such image: {name}"))
}

/// A registry is asked no more than whether it is there.
async fn pull(repository: &str) -> Answer {
    let registry = repository.split('/').next().unwrap_or_default();
    match tokio::net::TcpStream::connect(registry).await {
        Ok(_) => no(500, "the look-alike of an engine speaks to no registry"),
        Err(error) => no(500, &format!("dial tcp {registry}: connect: {}", error.to_string().to_lowercase())),
    }
}

fn save(state: &Shared, name: &str) -> Answer {
    let state = state.lock().unwrap();
    let Some(image) = state.images.iter().find(|image| image.is(name)) else { return missing(name) };
    let tar = image.saved(name).expect("memory is always written");
    Response::new(bytes_of(tar.into()))
}

fn load(state: &Shared, tar: &[u8]) -> Answer {
    let images = match Image::loaded(tar) {
        Ok(images) => images,
        Err(error) => return no(500, &error.to_string()),
    };
    let mut said = String::new();
    let mut state = state.lock().unwrap();
    for image in images {
        for tag in &image.tags {
            said += &format!("{}\n", json!({"stream": format!("Loaded image: {tag}\n")}));
        }
        match state.images.iter_mut().find(|it| it.id() == image.id()) {
            Some(known) => known.tags.extend(image.tags),
            None => state.images.push(image),
        }
    }
    Response::new(bytes_of(said.into()))
}

fn tag(state: &Shared, name: &str, tag: &str) -> Answer {
    let mut state = state.lock().unwrap();
    let Some(image) = state.images.iter_mut().find(|image| image.is(name)) else { return missing(name) };
    image.tags.push(whole_name(tag));
    with_status(201, json!({}))
}

/// The name alone where there are others.
fn remove(state: &Shared, name: &str) -> Answer {
    let mut state = state.lock().unwrap();
    let Some(at) = state.images.iter().position(|image| image.is(name)) else { return missing(name) };
    let tags = &mut state.images[at].tags;
    tags.retain(|tag| *tag != whole_name(name));
    if tags.is_empty() {
        state.images.remove(at);
    }
    yes(json!([{"Untagged": name}]))
}
