//! compressed-tensors checkpoints: the group of the experts -> how they are stored.
//!
//! Sources: `CompressedTensorsConfig.get_moe_scheme` in SGLang 0.5.23
//! (`compressed_tensors/compressed_tensors.py`) and `get_moe_method` in 0.5.4.post2
//! (`compressed_tensors/compressed_tensors_moe.py`): which combinations have a MoE method, and which
//! kernel it runs.

use serde_json::{Map, Value};

use super::config_json::count_of;
use super::config_section::ConfigSection;
use super::excluded::targets_experts;
use super::scheme::{MXFP4, NVFP4, QuantizationError, QuantizationMethod, Scheme, W4AFP8, plain_dtype};
use super::warning::GeometryWarning;
use crate::runtime::Runtime;
use crate::shape::{BlockShape, Dtype, Quantization};

/// The part of a group that decides.
struct Weights<'a> {
    bits: u64,
    float: bool,
    strategy: &'a str,
    group: Option<&'a Value>,
    block: Option<&'a Value>,
    /// `group_0.weights`, for messages.
    field: String,
}

pub(super) fn scheme(section: &ConfigSection<'_>, runtime: Runtime) -> Result<Scheme, QuantizationError> {
    let groups = match section.get("config_groups") {
        Some(Value::Object(groups)) if !groups.is_empty() => groups,
        found => {
            return Err(section.wrong("config_groups", "an object with one group or more", found).into());
        }
    };
    let Some((name, group)) = experts_group(groups) else {
        // Every group names other layers: the experts stay as they were.
        return Ok(Scheme::new(QuantizationMethod::None, Quantization::none(plain_dtype(section.config)?)));
    };
    let field = format!("config_groups.{name}");
    if !group.is_object() {
        return Err(section.bad(&field, "an object", group).into());
    }
    let weights = weights(section, &field, group)?;
    let activations = activation_bits(section, &field, group)?;
    let per_channel = match weights.strategy {
        "channel" => true,
        "tensor" | "block" | "group" | "tensor_group" => false,
        _ => {
            let expected = "channel, tensor, block, group or tensor_group";
            let found = group["weights"]["strategy"].clone();
            return Err(section.bad(&format!("{}.strategy", weights.field), expected, &found).into());
        }
    };
    let found = |dtype, block_shape| {
        Scheme::new(QuantizationMethod::CompressedTensors, Quantization { dtype, block_shape, per_channel })
    };
    match (weights.float, weights.bits, activations) {
        (true, 8, Some(8)) => match weights.strategy {
            "channel" | "tensor" => Ok(found(Dtype::Fp8W8a8, None)),
            "block" => {
                let block = block(section, &weights)?;
                let scheme = found(Dtype::Fp8W8a8, Some(block));
                Ok(not_served(scheme, runtime, "block-quantised compressed-tensors", &[Runtime::Sglang054]))
            }
            _ => Err(section.refuse(
                "compressed-tensors fp8 in groups",
                "the fused-MoE kernel takes fp8 scales per tensor, per channel or per block",
            )),
        },
        (true, 8, None) => Err(section.refuse(
            "compressed-tensors fp8 weights with 16-bit activations",
            "the fused-MoE kernel has no such path",
        )),
        (true, 4, _) if weights.group.and_then(count_of) == Some(32) => {
            Err(section.refuse("compressed-tensors mxfp4", MXFP4))
        }
        (true, 4, _) => Err(section.refuse("compressed-tensors NVFP4", NVFP4)),
        (false, 8, Some(8)) => Ok(not_served(
            found(Dtype::Int8W8a8, None),
            runtime,
            "compressed-tensors int8 with int8 activations",
            &[Runtime::Sglang054, Runtime::Sglang0523],
        )),
        (false, 4 | 8, None) => weight_only(section, &weights, runtime, found),
        (false, 4, Some(_)) => Err(section.refuse("compressed-tensors int4 with 8-bit activations", W4AFP8)),
        _ => Err(section.refuse(
            "compressed-tensors",
            "this combination of weight and activation types has no fused-MoE path",
        )),
    }
}

fn weight_only(
    section: &ConfigSection<'_>,
    weights: &Weights<'_>,
    runtime: Runtime,
    found: impl Fn(Dtype, Option<BlockShape>) -> Scheme,
) -> Result<Scheme, QuantizationError> {
    let group = match (weights.strategy, weights.group.and_then(count_of)) {
        ("group", Some(group)) => group,
        ("group", None) => {
            let field = format!("{}.group_size", weights.field);
            return Err(section.wrong(&field, "a group size of 32 or more", weights.group).into());
        }
        _ => {
            return Err(section.refuse(
                "compressed-tensors integer weights without groups",
                "they run through Marlin only, which reads no fused-MoE config files",
            ));
        }
    };
    let dtype = if weights.bits == 4 { Dtype::Int4W4a16 } else { Dtype::Int8W8a16 };
    // 0.5.23 has a Triton method for int4 in groups of 32 or 128, taken with the flag;
    // 0.5.4.post2 always takes Marlin.
    let triton = runtime == Runtime::Sglang0523 && weights.bits == 4 && matches!(group, 32 | 128);
    Ok(found(dtype, Some(BlockShape { n: 0, k: group })).warn(GeometryWarning::Marlin {
        method: "compressed-tensors".to_owned(),
        remedy: triton.then_some("starting it with `--moe-runner-backend triton`"),
    }))
}

fn not_served(scheme: Scheme, runtime: Runtime, what: &'static str, by: &[Runtime]) -> Scheme {
    if by.contains(&runtime) {
        scheme.warn(GeometryWarning::SchemeNotServed { runtime, scheme: what })
    } else {
        scheme
    }
}

/// The group for the experts' linear layers: one that names them, else the one for all of them.
fn experts_group(groups: &Map<String, Value>) -> Option<(&String, &Value)> {
    let by = |matches: fn(&str) -> bool| {
        groups.iter().find(|(_, group)| {
            let targets = group.get("targets").and_then(Value::as_array);
            targets.is_some_and(|list| list.iter().filter_map(Value::as_str).any(matches))
        })
    };
    let untargeted = || groups.iter().find(|(_, group)| group.get("targets").is_none_or(Value::is_null));
    by(targets_experts).or_else(|| by(|target| target == "Linear")).or_else(untargeted)
}

fn weights<'a>(
    section: &ConfigSection<'_>,
    field: &str,
    group: &'a Value,
) -> Result<Weights<'a>, QuantizationError> {
    let field = format!("{field}.weights");
    let weights = match group.get("weights") {
        Some(weights @ Value::Object(_)) => weights,
        found => return Err(section.wrong(&field, "an object", found.filter(|v| !v.is_null())).into()),
    };
    let get = |name: &str| weights.get(name).filter(|value| !value.is_null());
    let bits = get("num_bits");
    let Some(bits) = bits.and_then(Value::as_u64).filter(|bits| (1..=16).contains(bits)) else {
        return Err(section.wrong(&format!("{field}.num_bits"), "4 or 8", bits).into());
    };
    let float = match get("type").map(Value::as_str) {
        Some(Some("float")) => true,
        // The library's default.
        None | Some(Some("int")) => false,
        _ => return Err(section.wrong(&format!("{field}.type"), "float or int", get("type")).into()),
    };
    let group_size = get("group_size");
    // The library's default: grouped where a group size is given, else one scale a tensor.
    let implied = if group_size.is_some() { "group" } else { "tensor" };
    let strategy = match get("strategy") {
        None => implied,
        Some(value) => value.as_str().unwrap_or(""),
    };
    Ok(Weights { bits, float, strategy, group: group_size, block: get("block_structure"), field })
}

fn activation_bits(
    section: &ConfigSection<'_>,
    field: &str,
    group: &Value,
) -> Result<Option<u64>, QuantizationError> {
    let field = format!("{field}.input_activations");
    match group.get("input_activations") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(input)) => match input.get("num_bits").and_then(Value::as_u64) {
            Some(bits) => Ok(Some(bits)),
            None => Err(section.wrong(&format!("{field}.num_bits"), "4 or 8", input.get("num_bits")).into()),
        },
        Some(other) => Err(section.bad(&field, "an object or null", other).into()),
    }
}

/// `block_structure`: `[128, 128]`, or `"128x128"` in older files.
fn block(section: &ConfigSection<'_>, weights: &Weights<'_>) -> Result<BlockShape, QuantizationError> {
    let field = format!("{}.block_structure", weights.field);
    let Some(value) = weights.block else {
        return Err(section.missing(&field, "two block sizes, such as [128, 128]").into());
    };
    let listed = match value.as_str() {
        Some(text) => {
            text.split('x').map(|part| part.parse::<u64>().map_or(Value::Null, Value::from)).collect()
        }
        None => value.clone(),
    };
    Ok(section
        .block(&field, &listed)
        .map_err(|_| section.bad(&field, "two block sizes, such as [128, 128]", value))?)
}
