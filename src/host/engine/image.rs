//! What an image is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bollard::models::{ImageConfig, ImageInspect};
use serde_json::json;

use crate::failure::{Failure, Kind};
use crate::fs::sha256_hex;

/// An image's name with its tag or digest, or its ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName(String);

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no image's name: REPOSITORY, REPOSITORY:TAG, REPOSITORY@sha256:DIGEST or sha256:ID")]
pub struct BadImageName(String);

impl Failure for BadImageName {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl FromStr for ImageName {
    type Err = BadImageName;

    fn from_str(text: &str) -> Result<Self, BadImageName> {
        // Docker's own limit is lower still. What else could not stand in a URL's path is no name either.
        const MOST_BYTES: usize = 1024;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
        let good = text.len() <= MOST_BYTES && text.chars().all(plain) && text.split('/').all(begins);
        let name = Self(text.to_owned());
        let (repository, tag) = name.parts();
        match good && begins(repository) && begins(tag) && text.matches('@').count() <= 1 {
            true => Ok(name),
            false => Err(BadImageName(text.chars().take(100).collect())),
        }
    }
}

impl ImageName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a digest's or an ID, which an image keeps only where it came from.
    pub fn is_by_digest(&self) -> bool {
        self.0.contains('@') || self.0.starts_with("sha256:")
    }

    /// Whether both are one name, however they are written.
    pub fn is_same_name(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }

    /// The same repository's name with `suffix` behind the tag; none of a digest or an ID.
    pub fn with_suffix(&self, suffix: &str) -> Option<Self> {
        let (repository, tag) = self.parts();
        (!self.is_by_digest()).then(|| Self(format!("{repository}:{tag}{suffix}")))
    }

    /// The repository, and its tag or digest; `latest` where there is neither, as the engines' commands have it.
    pub(super) fn parts(&self) -> (&str, &str) {
        if let Some(parts) = self.0.split_once('@') {
            return parts;
        }
        // A colon before a slash is a registry's port.
        match self.0.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (&self.0, "latest"),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image on a node. The same image has other IDs and digests on an engine that keeps images in another way; its
/// layers are the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The engine's ID for it, with `sha256:` before it.
    pub id: String,
    /// Its names on this node.
    pub tags: Vec<String>,
    /// Its names by digest, of the registries it came from; lost where it was loaded from a file.
    pub repo_digests: Vec<String>,
    /// The digest of its configuration, where the engine tells it.
    pub config_digest: Option<String>,
    /// The digests of its unpacked layers, lowest first.
    pub layers: Vec<String>,
    /// A digest of what its containers begin with: program, user, variables, labels. Unlike that of the configuration
    /// it is the same where an engine has written the configuration down in its own way.
    pub start_digest: String,
    /// What it was built for: `arm64`, `amd64`.
    pub architecture: String,
    /// Its bytes on this node, as the engine counts them.
    pub bytes: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Image {
    pub(super) fn of(found: ImageInspect) -> Self {
        let id = found.id.unwrap_or_default();
        let id = if id.contains(':') { id } else { format!("sha256:{id}") };
        // An engine that keeps images as containerd does calls them by their manifest, and says so by describing it.
        let config_digest = found.descriptor.is_none().then(|| id.clone());
        Self {
            config_digest,
            id,
            start_digest: start_digest(found.config.as_ref()),
            tags: found.repo_tags.unwrap_or_default(),
            repo_digests: found.repo_digests.unwrap_or_default(),
            layers: found.root_fs.and_then(|files| files.layers).unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
            bytes: found.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            labels: found.config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect(),
        }
    }
}

/// What is not there and what is empty are the same: engines differ in which of them they write.
fn start_digest(config: Option<&ImageConfig>) -> String {
    let nothing = ImageConfig::default();
    let config = config.unwrap_or(&nothing);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let sorted = |names: &Option<Vec<String>>| names.iter().flatten().cloned().collect::<BTreeSet<_>>();
    let labels: BTreeMap<_, _> = config.labels.iter().flatten().collect();
    let begin = json!([
        text(&config.user),
        words(&config.env),
        words(&config.entrypoint),
        words(&config.cmd),
        text(&config.working_dir),
        sorted(&config.volumes),
        sorted(&config.exposed_ports),
        text(&config.stop_signal),
        labels,
    ]);
    sha256_hex(begin.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_apart_as_the_engines_commands_have_it() {
        for (name, parts) in [
            ("lmsysorg/sglang:spark", ("lmsysorg/sglang", "spark")),
            ("busybox", ("busybox", "latest")),
            ("localhost:5000/a/b", ("localhost:5000/a/b", "latest")),
            ("localhost:5000/a/b:c", ("localhost:5000/a/b", "c")),
            ("a@sha256:00ff", ("a", "sha256:00ff")),
            ("a:b@sha256:00ff", ("a:b", "sha256:00ff")),
        ] {
            assert_eq!(name.parse::<ImageName>().unwrap().parts(), parts, "{name}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        let long = "a".repeat(1025);
        for bad in [
            "",
            "/",
            "a//b",
            "../images",
            "a/../b",
            "a?b",
            "a#b",
            "a b",
            "a%2f",
            "-a",
            "a:",
            ":a",
            "@a",
            "a@",
            "a@b@c",
            "ä",
            "a\0",
            &long,
        ] {
            let error = bad.parse::<ImageName>().unwrap_err();
            assert!(error.to_string().contains("is no image's name"), "{bad}: {error}");
            assert_eq!(error.kind(), Kind::Input);
        }
    }

    #[test]
    fn an_image_is_known_by_its_configuration_only_where_its_id_is_that() {
        let of = |json: &str| Image::of(serde_json::from_str(json).unwrap());
        let classic = of(r#"{"Id":"sha256:aa","RepoTags":["a:b"],"RepoDigests":null,"Architecture":"s390x",
            "Size":7,"RootFS":{"Type":"layers","Layers":["sha256:01"]},"Config":{"Labels":{"k":"v"}}}"#);
        assert_eq!(classic.config_digest.as_deref(), Some("sha256:aa"));
        assert_eq!((classic.layers, classic.bytes), (vec!["sha256:01".to_owned()], 7));
        assert_eq!(classic.labels, BTreeMap::from([("k".into(), "v".into())]));
        let containerd = of(r#"{"Id":"sha256:bb","Descriptor":{
            "mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:bb","size":9}}"#);
        assert_eq!(containerd.config_digest, None);
        assert_eq!(of(r#"{"Id":"aa"}"#).id, "sha256:aa");
    }

    #[test]
    fn what_containers_begin_with_is_the_same_however_it_is_written() {
        let of = |config: &str| {
            let json = format!(r#"{{"Id":"sha256:aa","Config":{config}}}"#);
            Image::of(serde_json::from_str(&json).unwrap()).start_digest
        };
        let plain = of(r#"{"Env":["A=1"],"Cmd":["sh"],"Labels":{"k":"v","a":"b"}}"#);
        let other = r#"{"Cmd":["sh"],"Env":["A=1"],"Entrypoint":[],"Labels":{"a":"b","k":"v"},"User":""}"#;
        assert_eq!(of(other), plain);
        for different in [
            r#"{"Env":["A=2"],"Cmd":["sh"],"Labels":{"k":"v","a":"b"}}"#,
            r#"{"Env":["A=1"],"Entrypoint":["sh"],"Labels":{"k":"v","a":"b"}}"#,
            r#"{"Env":["A=1"],"Cmd":["sh"],"User":"me","Labels":{"k":"v","a":"b"}}"#,
            r#"{"Env":["A=1"],"Cmd":["sh"],"Labels":{"k":"v"}}"#,
            "{}",
        ] {
            assert_ne!(of(different), plain, "{different}");
        }
    }

    #[test]
    fn a_suffix_stands_behind_the_tag() {
        for (name, suffixed) in [
            ("lmsysorg/sglang:spark", Some("lmsysorg/sglang:spark-tuned")),
            ("localhost:5000/a", Some("localhost:5000/a:latest-tuned")),
            ("a@sha256:00", None),
            ("sha256:00", None),
        ] {
            let found = name.parse::<ImageName>().unwrap().with_suffix("-tuned");
            assert_eq!(found.as_ref().map(ImageName::as_str), suffixed, "{name}");
        }
    }

    #[test]
    fn a_digest_and_an_id_are_no_tag() {
        for (name, by_digest) in [
            ("a:b", false),
            ("sha256", false),
            ("a@sha256:00", true),
            ("a:b@sha256:00", true),
            ("sha256:00", true),
        ] {
            assert_eq!(name.parse::<ImageName>().unwrap().is_by_digest(), by_digest, "{name}");
        }
    }
}
