//! Images that are nowhere.

use std::collections::BTreeMap;

use crate::host::engine::Image;

/// One whose content is `content`: the same for the same text.
pub(super) fn image(content: &str) -> Image {
    Image {
        id: format!("sha256:id-{content}"),
        tags: vec!["a:b".into()],
        repo_digests: Vec::new(),
        config_digest: Some(format!("sha256:config-{content}")),
        layers: vec!["sha256:base".into(), format!("sha256:layer-{content}")],
        start_digest: "start".into(),
        architecture: "arm64".into(),
        bytes: 1000,
        labels: BTreeMap::new(),
    }
}
