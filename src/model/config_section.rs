//! The `quantization_config` object, field by field.

use serde_json::Value;

use super::config_json::{ConfigError, ModelConfig, count_of, shorten};
use super::scheme::QuantizationError;
use crate::shape::BlockShape;

/// The `quantization_config` object with what is needed to complain about it.
pub(super) struct ConfigSection<'a> {
    pub config: &'a ModelConfig,
    pub name: String,
    pub value: &'a Value,
}

impl ConfigSection<'_> {
    /// A list of two block sizes.
    pub(super) fn block(&self, field: &str, value: &Value) -> Result<BlockShape, ConfigError> {
        let sizes: Option<Vec<u32>> =
            value.as_array().map(|list| list.iter().map(count_of).collect::<Option<_>>()).unwrap_or_default();
        match sizes.as_deref() {
            Some(&[n, k]) => Ok(BlockShape { n, k }),
            _ => Err(self.bad(field, "two block sizes, such as [128, 128]", value)),
        }
    }

    /// A field of the section; null counts as absent.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.value.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn first<'n>(&self, fields: &[&'n str]) -> (&'n str, Option<&Value>) {
        let present = fields.iter().find(|field| self.get(field).is_some()).unwrap_or(&fields[0]);
        (present, self.get(present))
    }

    pub(super) fn field(&self, field: &str) -> String {
        format!("{}.{field}", self.name)
    }

    pub(super) fn bad(&self, field: &str, expected: &str, found: &Value) -> ConfigError {
        self.config.bad(&self.field(field), expected, found)
    }

    pub(super) fn missing(&self, field: &str, expected: &str) -> ConfigError {
        self.config.missing(&self.field(field), expected)
    }

    pub(super) fn wrong(&self, field: &str, expected: &str, found: Option<&Value>) -> ConfigError {
        match found {
            Some(found) => self.bad(field, expected, found),
            None => self.missing(field, expected),
        }
    }

    pub(super) fn refuse(&self, method: &str, reason: &'static str) -> QuantizationError {
        QuantizationError::NoConfigFiles {
            origin: self.config.origin().to_owned(),
            method: shorten(method),
            reason,
        }
    }
}
