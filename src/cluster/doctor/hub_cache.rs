//! Where the runtime of a node keeps models, as the node itself has that folder.

use std::collections::BTreeMap;

use crate::cluster::inventory::Node;
use crate::host::HostPath;
use crate::host::container_spec::{ContainerVariable, Labels, Volume};

/// The home of whoever images run as, unless they say otherwise.
const HOME: &str = "/root";

/// Hugging Face's cache for what runs on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HubCache {
    /// This folder of the node; it may begin with `~/`.
    Folder(String),
    /// Where the node's own variables, and these over them, say.
    Own(BTreeMap<String, String>),
    /// This folder of a container, which goes with the container.
    InContainer(HostPath),
}

impl HubCache {
    /// The one of `node`. Variables of an image are not known here.
    pub(super) fn of(node: &Node) -> Self {
        let set = |(name, variable): (&String, &ContainerVariable)| match variable {
            ContainerVariable::Set(value) if !value.trim().is_empty() => {
                Some((name.clone(), value.trim().to_owned()))
            }
            ContainerVariable::Set(_) | ContainerVariable::FromHarness => None,
        };
        let variables: BTreeMap<String, String> =
            node.settings.environment().iter().filter_map(set).collect();
        let Some(spec) = node.settings.container(Labels::default()) else { return Self::Own(variables) };
        let said = said(&variables);
        let inside = said.clone().unwrap_or_else(|| format!("{HOME}/.cache/huggingface/hub"));
        // Where several lie one in another, the innermost is seen.
        let mounted = spec.volumes.iter().filter_map(|volume| Some((volume, below(volume, &inside)?)));
        if let Some((volume, rest)) = mounted.min_by_key(|(_, rest)| rest.len()) {
            return Self::Folder(format!("{}{rest}", volume.source));
        }
        // An image whose programs have another home.
        let elsewhere = spec.volumes.iter().filter(|_| said.is_none()).find_map(|volume| {
            let at_home = |end: &str| volume.target.as_str().ends_with(end);
            match volume.target.as_str() {
                _ if at_home("/.cache/huggingface") => Some(format!("{}/hub", volume.source)),
                _ if at_home("/.cache/huggingface/hub") => Some(volume.source.to_string()),
                _ => None,
            }
        });
        elsewhere.map_or_else(|| Self::InContainer(HostPath::new(&inside)), Self::Folder)
    }
}

/// What the variables say, as `huggingface_hub/constants.py` reads them.
fn said(variables: &BTreeMap<String, String>) -> Option<String> {
    let of = |name: &str| {
        let text = variables.get(name)?.trim_end_matches('/');
        Some(text.strip_prefix("~/").map_or_else(|| text.to_owned(), |rest| format!("{HOME}/{rest}")))
    };
    of("HF_HUB_CACHE")
        .or_else(|| of("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| Some(of("HF_HOME")? + "/hub"))
        .or_else(|| Some(of("XDG_CACHE_HOME")? + "/huggingface/hub"))
}

/// What of `path` lies below what is mounted there: nothing, or what begins with `/`.
fn below<'a>(volume: &Volume, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(volume.target.as_str().trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::inventory::Inventory;

    fn of(settings: &str) -> HubCache {
        let text =
            format!("name = \"lab\"\n{settings}\n[[nodes]]\nname = \"a\"\nrole = \"head\"\nssh = \"a\"\n");
        HubCache::of(&Inventory::parse(Path::new("sparks.toml"), &text).unwrap().nodes[0])
    }

    fn in_container(volumes: &str, environment: &str) -> HubCache {
        of(&format!("image = \"i\"\ncontainer = {{ volumes = {volumes} }}\nenv = {{ {environment} }}"))
    }

    fn folder(path: &str) -> HubCache {
        HubCache::Folder(path.to_owned())
    }

    #[test]
    fn a_containers_cache_is_the_folder_that_is_mounted_there() {
        let usual = "[\"~/.cache/huggingface:/root/.cache/huggingface\"]";
        assert_eq!(in_container(usual, ""), folder("~/.cache/huggingface/hub"));
        let raid = "[\"/raid/hf:/root/.cache/huggingface:ro\", \"/raid/hub:/root/.cache/huggingface/hub\"]";
        assert_eq!(in_container(raid, ""), folder("/raid/hub"));
        let models = "[\"/data:/models\"]";
        assert_eq!(in_container(models, "HF_HOME = \"/models/hf/\""), folder("/data/hf/hub"));
        assert_eq!(in_container(models, "HF_HUB_CACHE = \"/models\", HF_HOME = \"/x\""), folder("/data"));
        assert_eq!(
            in_container("[\"/c:/root/c\"]", "XDG_CACHE_HOME = \"~/c\""),
            folder("/c/huggingface/hub")
        );
        // An image with another user.
        let user = "[\"~/hf:/home/vllm/.cache/huggingface\"]";
        assert_eq!(in_container(user, ""), folder("~/hf/hub"));
    }

    #[test]
    fn what_is_mounted_nowhere_goes_with_the_container() {
        let gone = |path: &str| HubCache::InContainer(HostPath::new(path));
        assert_eq!(in_container("[]", ""), gone("/root/.cache/huggingface/hub"));
        // A name that begins alike is another folder.
        let alike = "[\"/c:/root/.cache/hugging\"]";
        assert_eq!(in_container(alike, ""), gone("/root/.cache/huggingface/hub"));
        let usual = "[\"/c:/root/.cache/huggingface\"]";
        assert_eq!(in_container(usual, "HF_HOME = \"/elsewhere\""), gone("/elsewhere/hub"));
    }

    #[test]
    fn without_a_container_the_node_says_where() {
        let variables = BTreeMap::from([("HF_HOME".to_owned(), "/hf".to_owned())]);
        assert_eq!(of("engine = \"none\"\nenv = { HF_HOME = \"/hf\", A = \" \" }"), HubCache::Own(variables));
    }
}
