//! When two images are the same.

use serde::Serialize;

use crate::host::engine::Image;

/// By what two images are known to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SameBy {
    /// The digest of their configuration, which names every layer.
    Configuration,
    /// A registry's digest.
    Digest,
    /// All their layers, and what their containers begin with: an engine may write a configuration down anew when it
    /// takes an image in.
    Layers,
}

/// Whether `a` and `b` are the same image, and by what. Their IDs say nothing: those differ between the ways in which
/// engines keep images.
pub fn same(a: &Image, b: &Image) -> Option<SameBy> {
    if a.config_digest.is_some() && a.config_digest == b.config_digest {
        return Some(SameBy::Configuration);
    }
    // A registry's digest may be that of one image for each architecture.
    if a.architecture != b.architecture {
        return None;
    }
    let digest = |name: &String| name.split_once('@').map(|(_, digest)| digest.to_owned());
    let shared = a.repo_digests.iter().filter_map(digest).any(|of_a| {
        let mut of_b = b.repo_digests.iter().filter_map(digest);
        of_b.any(|of_b| of_b == of_a)
    });
    if shared {
        return Some(SameBy::Digest);
    }
    let layers = !a.layers.is_empty() && a.layers == b.layers && a.start_digest == b.start_digest;
    layers.then_some(SameBy::Layers)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::image;
    use super::*;

    #[test]
    fn the_configuration_counts_before_all_else() {
        let (a, mut b) = (image("1"), image("1"));
        b.id = "sha256:other".into();
        b.layers.clear();
        assert_eq!(same(&a, &b), Some(SameBy::Configuration));
        assert_eq!(same(&a, &image("2")), None);
    }

    #[test]
    fn unknown_configurations_are_not_alike() {
        let (mut a, mut b) = (image("1"), image("2"));
        (a.config_digest, b.config_digest) = (None, None);
        assert_eq!(same(&a, &b), None);
    }

    #[test]
    fn a_registrys_digest_counts_whatever_the_repository_and_only_for_one_architecture() {
        let (mut a, mut b) = (image("1"), image("2"));
        a.repo_digests = vec!["x/a@sha256:0".into(), "mirror/a@sha256:f".into()];
        b.repo_digests = vec!["a@sha256:f".into()];
        assert_eq!(same(&a, &b), Some(SameBy::Digest));
        b.architecture = "amd64".into();
        assert_eq!(same(&a, &b), None);
        b.architecture = a.architecture.clone();
        b.repo_digests = vec!["a@sha256:e".into(), "no-digest".into()];
        a.repo_digests.push("no-digest".into());
        assert_eq!(same(&a, &b), None);
    }

    #[test]
    fn layers_count_with_what_containers_begin_with() {
        let (a, mut b) = (image("1"), image("1"));
        b.config_digest = Some("sha256:written-anew".into());
        assert_eq!(same(&a, &b), Some(SameBy::Layers));
        b.config_digest = None;
        assert_eq!(same(&a, &b), Some(SameBy::Layers));
        let began_otherwise = Image { start_digest: "other".into(), ..b.clone() };
        assert_eq!(same(&a, &began_otherwise), None);
        let one_more = Image { layers: [&b.layers[..], &["sha256:9".to_owned()]].concat(), ..b.clone() };
        assert_eq!(same(&a, &one_more), None);
        let (none, no) = (Image { layers: Vec::new(), ..a }, Image { layers: Vec::new(), ..b });
        assert_eq!(same(&none, &no), None, "no layers say nothing");
    }
}
