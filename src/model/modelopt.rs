//! ModelOpt's separate quantisation file.
//!
//! Some ModelOpt checkpoints say nothing in `config.json` and everything in `hf_quant_config.json`
//! beside it: `{"quantization": {"quant_algo": "NVFP4", ...}}`. Without it they would pass for plain
//! bf16. Source: `_parse_quant_hf_config` in SGLang's `configs/model_config.py`.

use serde_json::{Map, Value};

use super::config_json::{ConfigError, ModelConfig};

/// The name of the file.
pub(super) const FILE: &str = "hf_quant_config.json";

/// Take what the file says into `config`, as if `config.json` had said it.
pub(super) fn adopt(config: &mut ModelConfig, bytes: &[u8], origin: &str) -> Result<(), ConfigError> {
    let file = ModelConfig::parse(bytes, origin)?;
    let quantization = match file.root_field("quantization") {
        Some(Value::Object(quantization)) => quantization,
        Some(other) => return Err(file.bad("quantization", "an object", other)),
        None => return Ok(()),
    };
    // `{"quant_algo": null}` is ModelOpt's way to say "not quantised".
    if quantization.get("quant_algo").is_none_or(Value::is_null) {
        return Ok(());
    }
    let mut section = Map::new();
    section.insert("quant_method".to_owned(), Value::from("modelopt"));
    for name in ["quant_algo", "exclude_modules"] {
        if let Some(value) = quantization.get(name) {
            section.insert(name.to_owned(), value.clone());
        }
    }
    config.insert_quantization(section);
    Ok(())
}
