//! Experts left out of quantisation by a list of module names.
//!
//! Checkpoints name what stays in 16 bits under `modules_to_not_convert`, `ignored_layers`,
//! `ignore` or `exclude_modules`: module paths, prefixes of them, globs (ModelOpt) or regular
//! expressions with `re:` before them (compressed-tensors). Servers match these against each layer's
//! path. Here only one question matters, and it is answered by the names in the entry rather than by
//! matching paths we do not have: does it name the routed experts, and of all layers or of some?
//! An entry that needs a real regular-expression engine to be understood is taken as not matching.

use serde_json::Value;

/// Which routed experts a list leaves unquantised, with the entry that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Excluded {
    Nothing,
    SomeLayers(String),
    Everything(String),
}

/// What the entries leave out.
pub(super) fn excluded<'a>(entries: impl IntoIterator<Item = &'a str>) -> Excluded {
    let mut some = None;
    for entry in entries {
        match reach(entry) {
            Some(Reach::AllLayers) => return Excluded::Everything(entry.to_owned()),
            Some(Reach::OneLayer) => {
                some.get_or_insert(entry);
            }
            None => {}
        }
    }
    some.map_or(Excluded::Nothing, |entry| Excluded::SomeLayers(entry.to_owned()))
}

/// The strings of a JSON list; anything else in it is no module name.
pub(super) fn names(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a `targets` entry of compressed-tensors names the routed experts' linear layers.
pub(super) fn targets_experts(target: &str) -> bool {
    reach(target).is_some()
}

enum Reach {
    AllLayers,
    OneLayer,
}

/// Parts of a model whose layers are not the language model's: vision towers, draft layers.
const ELSEWHERE: [&str; 6] = ["visual", "vision", "vision_tower", "vision_model", "audio_tower", "mtp"];

/// The modules that hold nothing but the MoE: naming one names the experts.
const WHOLE_MOE: [&str; 4] = ["mlp", "block_sparse_moe", "feed_forward", "moe"];

fn reach(entry: &str) -> Option<Reach> {
    let plain = entry
        .strip_prefix("re:")
        .unwrap_or(entry)
        .replace(".*", ".")
        .replace(['^', '$', '\\', '(', ')', '?', '*'], "");
    let parts: Vec<&str> = plain.split('.').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| ELSEWHERE.contains(part)) {
        return None;
    }
    let (before, named) = match parts.iter().position(|part| *part == "experts") {
        Some(at) => (&parts[..at], true),
        None => (&parts[..], parts.last().is_some_and(|last| WHOLE_MOE.contains(last))),
    };
    let numbered = before.iter().any(|part| is_number(part));
    // `model.layers.3.` leaves out a whole layer, experts and all.
    let whole_layer = matches!(before, [.., layers, n] if *layers == "layers" && is_number(n));
    match (named, numbered) {
        (true, false) => Some(Reach::AllLayers),
        (true, true) => Some(Reach::OneLayer),
        (false, _) => whole_layer.then_some(Reach::OneLayer),
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_from_published_checkpoints() {
        let nothing = [
            "lm_head",
            "gate",
            "e_score_correction_bias",
            "model.layers.0.mlp.gate",
            "model.layers.3.mlp.shared_experts.down_proj",
            "model.layers.0.self_attn.q_proj",
            "model.layers.92.eh_proj",
            "re:.*mlp.gate$",
            "re:.*self_attn.*",
            "re:.*shared_expert.*",
            "model.layers.0.mlp.gate_proj",
            "model.visual.blocks.0.mlp",
            "mtp.layers.0.",
            "re:(",
            "",
        ];
        for entry in nothing {
            assert_eq!(excluded([entry]), Excluded::Nothing, "{entry}");
        }
        let everything = ["experts", "re:.*experts.*", "*.mlp.experts", "model.layers.*.mlp.experts", "mlp"];
        for entry in everything {
            assert_eq!(excluded(["lm_head", entry]), Excluded::Everything(entry.into()), "{entry}");
        }
        let some = ["model.layers.0.", "model.layers.92", "model.layers.3.mlp.experts", "model.layers.0.mlp"];
        for entry in some {
            assert_eq!(excluded([entry, "lm_head"]), Excluded::SomeLayers(entry.into()), "{entry}");
        }
    }
}
