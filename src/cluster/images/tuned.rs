//! A tuned image: config files on top of a base, and the labels that say which, from where and on what. Pure.
//!
//! `sparktune.project` is not among them: containers have the labels of their image, and one with that label is taken
//! for a container of ours.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::artifact::Evidence;
use crate::fs::sha256_hex;
use crate::host::HostPath;
use crate::host::engine::{Image, ImageName};

/// What the labels' keys begin with.
const PREFIX: &str = "sparktune.image.";
/// The folder of the build's context that files lie in.
pub const CONTEXT_FOLDER: &str = "files";
/// A name that a Dockerfile has in a build's context.
const DOCKERFILE: &str = "Dockerfile";

/// What a tuned image holds besides its base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tuned {
    /// The version of the program that made it.
    pub version: String,
    /// The name of its base at that time.
    pub base: String,
    /// The content of its base, as [`content`] names it.
    pub base_digest: String,
    /// Where its files are from: the names of runs or folders.
    pub from: String,
    /// The folder of its files.
    pub folder: HostPath,
    /// Its files by name.
    pub files: BTreeMap<String, TunedFile>,
}

/// A config file of a tuned image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunedFile {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The device that it is named after.
    pub device: String,
    /// The weakest rung among its entries, where a manifest says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl TunedFile {
    /// A file of these bytes.
    pub fn new(bytes: &[u8], device: String, evidence: Option<Evidence>) -> Self {
        Self { sha256: sha256_hex(bytes), device, evidence }
    }
}

/// What names the content of `image` best: the digest of its configuration, or the ID where its engine keeps that to
/// itself.
pub fn content(image: &Image) -> &str {
    image.config_digest.as_deref().unwrap_or(&image.id)
}

impl Tuned {
    /// What `image` says that it holds; none where it is no tuned image.
    pub fn of(image: &Image) -> Option<Self> {
        let label = |key: &str| image.labels.get(&format!("{PREFIX}{key}")).cloned();
        Some(Self {
            version: label("version")?,
            base: label("base")?,
            base_digest: label("base_digest")?,
            from: label("from")?,
            folder: HostPath::new(label("folder")?),
            files: serde_json::from_str(&label("files")?).ok()?,
        })
    }

    /// Whether `image` is this one already, from whichever run: these files in this folder, one layer on top of
    /// `base`. What somebody built on top of a tuned image has its labels too, and more layers.
    pub fn is_in(&self, image: &Image, base: &Image) -> bool {
        let same = Self::of(image).is_some_and(|other| {
            (&other.base_digest, &other.folder, &other.files)
                == (&self.base_digest, &self.folder, &self.files)
        });
        same && image.layers.strip_prefix(&base.layers[..]).is_some_and(|own| own.len() == 1)
    }

    /// The labels, by key.
    fn labels(&self) -> [(&'static str, String); 6] {
        let files = serde_json::to_string(&self.files).expect("plain data always serialises");
        [
            ("version", self.version.clone()),
            ("base", self.base.clone()),
            ("base_digest", self.base_digest.clone()),
            ("from", self.from.clone()),
            ("folder", self.folder.to_string()),
            ("files", files),
        ]
    }

    /// The Dockerfile that makes the image on top of `base`, a name or an ID, from a context whose folder
    /// [`CONTEXT_FOLDER`] has the files.
    pub fn dockerfile(&self, base: &str) -> String {
        let labels = self.labels().map(|(key, value)| format!("{PREFIX}{key}={}", quoted(&value)));
        // As a list, because a folder may have a space in its name; a name of a file never has to stand here.
        let copied = serde_json::to_string(&[
            format!("{CONTEXT_FOLDER}/"),
            format!("{}/", escaped_variable(self.folder.as_str())),
        ])
        .expect("texts always serialise");
        format!("FROM {base}\nCOPY {copied}\nLABEL {}\n", labels.join(" \\\n      "))
    }

    /// The context of the build on top of the image with the ID `base`: a tar with the Dockerfile and these files.
    ///
    /// # Errors
    /// A file's name that no tar can have.
    pub fn context(&self, base: &ImageName, files: &BTreeMap<String, Vec<u8>>) -> io::Result<Bytes> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, bytes: &[u8]| {
            // Readable by whoever the image's programs run as; without a time, so that equal files are equal layers.
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes)
        };
        add(DOCKERFILE, self.dockerfile(base.as_str()).as_bytes())?;
        for (name, bytes) in files {
            add(&format!("{CONTEXT_FOLDER}/{name}"), bytes)?;
        }
        Ok(tar.into_inner()?.into())
    }
}

/// A word of a Dockerfile. What would end its line is shown as the character for what is unknown.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    }
    quoted.push('"');
    quoted
}

/// `text` where a Dockerfile would put variables in.
fn escaped_variable(text: &str) -> String {
    text.replace('\\', "\\\\").replace('$', "\\$")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::fixture::image;
    use super::*;

    const NAME: &str = "E=8,N=64,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128, 128].json";

    fn tuned() -> Tuned {
        let file = TunedFile::new(b"{}", "NVIDIA_GB10".into(), Some(Evidence::Compiled));
        Tuned {
            version: "0.1.0".into(),
            base: "lmsysorg/sglang:spark".into(),
            base_digest: "sha256:config-base".into(),
            from: "a \"run\" for $5".into(),
            folder: HostPath::new("/opt/a b/configs/triton_3_5_0"),
            files: BTreeMap::from([(NAME.into(), file)]),
        }
    }

    /// `image` as an engine shows one that was built of `tuned`.
    fn built(tuned: &Tuned, base: &Image) -> Image {
        let labels = tuned.labels().map(|(key, value)| (format!("{PREFIX}{key}"), value));
        let mut built = Image { labels: BTreeMap::from(labels), ..image("built") };
        built.layers = base.layers.clone();
        built.layers.push("sha256:files".into());
        built
    }

    #[test]
    fn the_dockerfile_says_everything_in_words_that_mean_themselves() {
        let sha256 = sha256_hex(b"{}");
        let expected = format!(
            r#"FROM a:b
COPY ["files/","/opt/a b/configs/triton_3_5_0/"]
LABEL sparktune.image.version="0.1.0" \
      sparktune.image.base="lmsysorg/sglang:spark" \
      sparktune.image.base_digest="sha256:config-base" \
      sparktune.image.from="a \"run\" for \$5" \
      sparktune.image.folder="/opt/a b/configs/triton_3_5_0" \
      sparktune.image.files="{{\"{NAME}\":{{\"sha256\":\"{sha256}\",\"device\":\"NVIDIA_GB10\",\"evidence\":\"compiled\"}}}}"
"#
        );
        assert_eq!(tuned().dockerfile("a:b"), expected);
        let odd = Tuned { from: "a\nRUN rm -r /\\".into(), folder: HostPath::new("/a$b\\\"c"), ..tuned() };
        let odd = odd.dockerfile("a:b");
        assert!(odd.contains("from=\"a\u{fffd}RUN rm -r /\\\\\""), "{odd}");
        assert!(odd.contains(r#"COPY ["files/","/a\\$b\\\\\"c/"]"#), "{odd}");
        assert_eq!(odd.lines().count(), expected.lines().count());
    }

    #[test]
    fn the_context_has_the_dockerfile_and_the_files_whatever_their_names() {
        let long = "E=1".repeat(60);
        let files = BTreeMap::from([(NAME.to_owned(), b"{}".to_vec()), (long.clone(), b"x".to_vec())]);
        let context = tuned().context(&"sha256:00".parse().unwrap(), &files).unwrap();
        let mut tar = tar::Archive::new(&context[..]);
        let mut found = BTreeMap::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!((entry.header().mode().unwrap(), entry.header().mtime().unwrap()), (0o644, 0));
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.insert(entry.path().unwrap().to_string_lossy().into_owned(), text);
        }
        let dockerfile = tuned().dockerfile("sha256:00");
        let expected = [
            ("Dockerfile".to_owned(), dockerfile),
            (format!("files/{NAME}"), "{}".to_owned()),
            (format!("files/{long}"), "x".to_owned()),
        ];
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn an_image_says_what_it_was_built_of() {
        let base = image("base");
        assert_eq!(Tuned::of(&built(&tuned(), &base)), Some(tuned()));
        assert_eq!(Tuned::of(&base), None);
        let mut garbled = built(&tuned(), &base);
        garbled.labels.insert(format!("{PREFIX}files"), "{".into());
        assert_eq!(Tuned::of(&garbled), None);
    }

    #[test]
    fn it_is_the_same_from_another_run_and_not_with_other_files_or_more_on_top() {
        let base = image("base");
        let there = built(&tuned(), &base);
        let again = Tuned { from: "another run".into(), version: "9.9.9".into(), ..tuned() };
        assert!(again.is_in(&there, &base));
        let other_base = Tuned { base_digest: "sha256:other".into(), ..tuned() };
        let other_folder = Tuned { folder: HostPath::new("/other"), ..tuned() };
        let file = TunedFile::new(b"{ }", "NVIDIA_GB10".into(), None);
        let other_file = Tuned { files: BTreeMap::from([(NAME.into(), file)]), ..tuned() };
        for other in [other_base, other_folder, other_file] {
            assert!(!other.is_in(&there, &base), "{other:?}");
        }
        let mut more = there.clone();
        more.layers.push("sha256:somebodys".into());
        assert!(!tuned().is_in(&more, &base), "built on top of it");
        assert!(!tuned().is_in(&base, &base));
    }

    #[test]
    fn content_is_the_configurations_digest_where_it_is_known() {
        let known = image("x");
        assert_eq!(content(&known), "sha256:config-x");
        assert_eq!(content(&Image { config_digest: None, ..known }), "sha256:id-x");
    }
}
