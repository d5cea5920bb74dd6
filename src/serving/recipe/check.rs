//! What `[serve]` may say beyond the types of its values.

use super::ServeKeys;
use crate::host::is_variable_name;
use crate::serving::arguments::key_of;
use crate::serving::kind::ServingEngine;

/// The first field that makes no sense, and why.
pub(super) fn check(keys: &ServeKeys) -> Result<(), (&'static str, String)> {
    let ServeKeys { tp, pp, ep, .. } = *keys;
    for (field, value) in [("tp", tp), ("pp", pp), ("ep", ep)] {
        if value == 0 {
            return Err((field, "0 is no number of GPUs; accepted: 1 and more".to_owned()));
        }
    }
    if ep > 1 && !tp.is_multiple_of(ep) {
        return Err(("ep", format!("{ep} does not divide tp = {tp}, over whose GPUs the experts are laid")));
    }
    for (field, value) in [("memory_fraction", keys.memory_fraction), ("weights_gb", keys.weights_gb)] {
        let most = if field == "memory_fraction" { 1.0 } else { f64::MAX };
        // NaN is in no range.
        if value.is_some_and(|value| !(value > 0.0 && value <= most)) {
            let accepted = if most == 1.0 { "above 0, at most 1" } else { "above 0" };
            return Err((
                field,
                format!("{} is not accepted; accepted: {accepted}", value.unwrap_or_default()),
            ));
        }
    }
    if keys.context_length == Some(0) {
        return Err(("context_length", "0 is no length; accepted: 1 and more tokens".to_owned()));
    }
    if let Some(attention) = keys.attention {
        let numbers = [attention.layers, attention.heads, attention.kv_heads, attention.head_dim];
        if numbers.contains(&0) || attention.latent == Some(0) {
            return Err(("attention", "0 is no number of layers, heads or values".to_owned()));
        }
    }
    for (field, port) in [
        ("port", keys.port),
        ("rendezvous_port", keys.rendezvous_port),
        ("ray.port", keys.ray.map(|ray| ray.port)),
    ] {
        if port == Some(0) {
            return Err((field, "0 is no port; accepted: 1 to 65535".to_owned()));
        }
    }
    let only_vllm = keys.kv_cache_memory.is_some() && keys.engine != ServingEngine::Vllm;
    if only_vllm {
        return Err(("kv_cache_memory", "SGLang has no such option: it goes by memory_fraction".to_owned()));
    }
    if keys.ray.is_some() && keys.rendezvous_port.is_some() {
        return Err(("rendezvous_port", "with `ray` the ranks meet by Ray: give one of the two".to_owned()));
    }
    if let Some(name) = keys.environment.keys().find(|name| !is_variable_name(name)) {
        return Err((
            "environment",
            format!("`{name}` is no name of a variable: letters, digits and `_`, not beginning with a digit"),
        ));
    }
    if let Some((word, key)) = keys.arguments.iter().find_map(|word| Some((word, key_of(keys.engine, word)?)))
    {
        return Err(("arguments", format!("`{word}` is what the key `{key}` is for")));
    }
    Ok(())
}
