//! No input makes the code panic, and what it accepts adds up.

use proptest::prelude::*;

use super::*;
use crate::model::architecture::Architecture;

/// Any JSON at all.
fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        (0u32..300).prop_map(Value::from),
        any::<f64>().prop_map(Value::from)
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        "[a-z0-9_ -]{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_0-9]{1,8}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Names the code looks at, so that random values land where they matter.
const FIELDS: &[&str] = &[
    "architectures",
    "text_config",
    "num_experts",
    "n_routed_experts",
    "num_local_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "intermediate_size",
    "hidden_size",
    "n_shared_experts",
    "num_shared_experts",
    "shared_expert_intermediate_size",
    "quantization_config",
    "quant_method",
    "weight_block_size",
    "config_groups",
    "weights",
    "input_activations",
    "num_bits",
    "type",
    "strategy",
    "group_size",
    "block_structure",
    "targets",
    "ignore",
    "bits",
    "quant_algo",
    "ffn_config",
    "dtype",
    "torch_dtype",
    "modules_to_not_convert",
    "group_0",
];

fn plausible_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "fp8",
        "compressed-tensors",
        "gptq",
        "awq",
        "auto-round",
        "modelopt",
        "mxfp4",
        "FP8",
        "NVFP4",
        "channel",
        "tensor",
        "block",
        "group",
        "float",
        "int",
        "Linear",
        "bfloat16",
        "128x128",
        "re:.*experts.*",
    ]);
    let arch = (0..Architecture::all().len()).prop_map(|i| json!([Architecture::all()[i].name]));
    let leaf = prop_oneof![4 => (0u32..2050).prop_map(Value::from), 3 => words.prop_map(Value::from),
                           2 => arch, 1 => any_json(), 1 => Just(json!([128, 128]))];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            4 => prop::collection::hash_map(prop::sample::select(FIELDS), inner.clone(), 0..10)
                .prop_map(|map| Value::from_iter(map.into_iter().map(|(k, v)| (k.to_owned(), v)))),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

proptest! {
    #[test]
    fn no_config_makes_the_geometry_panic(json in prop_oneof![any_json(), plausible_json()],
                                          arch in 0..Architecture::all().len(), named in any::<bool>(),
                                          tp in 1u32..9, ep in 1u32..5, on in any::<bool>()) {
        let mut json = json;
        if let (true, Some(object)) = (named, json.as_object_mut()) {
            object.insert("architectures".into(), json!([Architecture::all()[arch].name]));
        }
        let fusion = if on { FusionChoice::On } else { FusionChoice::Auto };
        if let (Ok(config), Ok(split)) = (ModelConfig::parse(json.to_string().as_bytes(), "p"), Parallelism::new(tp, ep)) {
            for runtime in Runtime::ALL {
                match moe_shape(&config, split, runtime, fusion) {
                    Ok(geometry) => {
                        let s = geometry.shape;
                        prop_assert_eq!((s.experts - s.fused_shared_experts) * ep, geometry.model_experts);
                        prop_assert_eq!(s.intermediate * split.split(), geometry.model_intermediate);
                        let _ = geometry.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
                    }
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = ModelConfig::parse(&bytes, "p");
    }
}
