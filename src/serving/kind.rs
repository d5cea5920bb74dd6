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

    /// As labels have it.
    pub(super) fn label(self) -> &'static str {
        match self {
            ServingEngine::Sglang => "sglang",
            ServingEngine::Vllm => "vllm",
        }
    }

    /// The engine that a label names.
    pub(super) fn of_label(label: &str) -> Option<Self> {
        [ServingEngine::Sglang, ServingEngine::Vllm].into_iter().find(|engine| engine.label() == label)
    }

    /// The port that it listens on unless told.
    pub(super) fn port(self) -> u16 {
        match self {
            ServingEngine::Sglang => 30000,
            ServingEngine::Vllm => 8000,
        }
    }
}
