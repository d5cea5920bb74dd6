//! What the cluster and each node may set alike.

use std::collections::{BTreeMap, BTreeSet};

use super::Wrong;
use crate::cluster::inventory::document::{BareKeys, ContainerKeys, EngineChoice};
use crate::cluster::inventory::secrets::looks_secret;
use crate::cluster::inventory::settings::Settings;
use crate::host::container_spec::{ContainerVariable, Ulimit};
use crate::host::is_variable_name;
use crate::spelling::nearest;
use crate::toml_text::Field;

/// The keys as they are written.
pub(super) struct Keys {
    pub engine: Option<EngineChoice>,
    pub image: Option<String>,
    pub expect_gpu: Option<String>,
    pub container: ContainerKeys,
    pub bare: BareKeys,
    pub env: BTreeMap<String, String>,
    pub env_from: Vec<String>,
}

/// What a plain name is, in words.
pub(super) const PLAIN_NAME: &str =
    "1 to 63 letters, digits, `.`, `-` and `_`, beginning with a letter or digit";

/// Whether engines take it as a name; labels and container names are made of them.
pub(super) fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins && name.len() <= 63 && name.bytes().all(plain)
}

/// What they come to; `field` is where a key of this name stands.
pub(super) fn settings(field: &dyn Fn(&str) -> Field, keys: Keys) -> Result<Settings, Wrong> {
    let Keys { engine, image, expect_gpu, container, bare, env, env_from } = keys;
    if let Some(image) = &image {
        is_image(image).map_err(|message| Wrong::new(field("image"), message))?;
    }
    if expect_gpu.as_ref().is_some_and(|name| name.trim() != name || name.is_empty()) {
        let message = "it is no name of a GPU: expected one as torch says it, as in \"NVIDIA GB10\"";
        return Err(Wrong::new(field("expect_gpu"), message));
    }
    check_container(&field("container"), &container)?;
    let environment = environment(field, env, env_from)?;
    Ok(Settings { engine, image, expect_gpu, container, bare, environment })
}

/// Nothing that an engine's command would take for an option or split.
fn is_image(image: &str) -> Result<(), String> {
    // What is longer is no name, but something pasted.
    const LONGEST: usize = 400;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let begins = image.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins && image.len() <= LONGEST && image.bytes().all(plain) {
        true => Ok(()),
        false => {
            Err(format!("`{image}` is no image: expected a name as in `lmsysorg/sglang:spark`, or an ID"))
        }
    }
}

fn check_container(field: &Field, keys: &ContainerKeys) -> Result<(), Wrong> {
    for (key, name) in [("name", &keys.name), ("network", &keys.network)] {
        if let Some(name) = name.as_ref().filter(|name| !is_plain_name(name)) {
            let what = if key == "name" { "name of a container" } else { "network" };
            return Err(Wrong::new(field.key(key), format!("`{name}` is no {what}: {PLAIN_NAME}")));
        }
    }
    for name in keys.ulimits.iter().flat_map(|limits| limits.keys()) {
        if !Ulimit::NAMES.contains(&name.as_str()) {
            let meant = nearest(name, Ulimit::NAMES).map(|near| format!(" (did you mean `{near}`?)"));
            let known = Ulimit::NAMES.join("`, `");
            let message =
                format!("no limit is called `{name}`{}, expected `{known}`", meant.unwrap_or_default());
            return Err(Wrong::new(field.key("ulimits").key(name), message));
        }
    }
    let mut targets = BTreeSet::new();
    for (at, volume) in keys.volumes.iter().flatten().enumerate() {
        if !targets.insert(&volume.target) {
            let message = format!("another volume has the target `{}` already", volume.target.as_str());
            return Err(Wrong::new(field.key("volumes").at(at), message));
        }
    }
    for (key, words) in [("entrypoint", &keys.entrypoint), ("command", &keys.command)] {
        if let Some(at) = words.iter().flatten().position(|word| word.contains('\0')) {
            return Err(Wrong::new(field.key(key).at(at), "it holds a zero byte, which no argument can"));
        }
    }
    Ok(())
}

fn environment(
    field: &dyn Fn(&str) -> Field,
    env: BTreeMap<String, String>,
    env_from: Vec<String>,
) -> Result<BTreeMap<String, ContainerVariable>, Wrong> {
    let check_name = |field: &Field, name: &str| match is_variable_name(name) {
        true => Ok(()),
        false => {
            let accepted = "letters, digits and `_`, not beginning with a digit";
            Err(Wrong::new(field.clone(), format!("`{name}` is no name of a variable: {accepted}")))
        }
    };
    let mut variables = BTreeMap::new();
    for (name, value) in env {
        let field = field("env").key(&name);
        check_name(&field, &name)?;
        if value.contains('\0') {
            return Err(Wrong::new(field, "it holds a zero byte, which no variable can"));
        }
        if looks_secret(&name, &value) {
            let message = format!(
                "it looks like a secret, which is not kept in a file; set {name} where this program runs and say \
                 env_from = [\"{name}\"]"
            );
            return Err(Wrong::new(field, message));
        }
        variables.insert(name, ContainerVariable::Set(value));
    }
    for (at, name) in env_from.into_iter().enumerate() {
        let field = field("env_from").at(at);
        check_name(&field, &name)?;
        let message = match variables.insert(name.clone(), ContainerVariable::FromHarness) {
            None => continue,
            Some(ContainerVariable::Set(_)) => format!("`env` has {name} too; expected it in one of the two"),
            Some(ContainerVariable::FromHarness) => format!("{name} is named twice"),
        };
        return Err(Wrong::new(field, message));
    }
    Ok(variables)
}
