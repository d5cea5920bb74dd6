//! The engines that serve models.

use serde::{Deserialize, Serialize};

/// What serves a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServingEngine {
    /// SGLang.
    Sglang,
    /// vLLM.
    Vllm,
}

impl ServingEngine {
    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ServingEngine::Sglang => "SGLang",
            ServingEngine::Vllm => "vLLM",
        }
    }

    /// The port that it listens on unless told.
    pub(super) fn port(self) -> u16 {
        match self {
            ServingEngine::Sglang => 30000,
            ServingEngine::Vllm => 8000,
        }
    }
}
