//! The envelope of OpenAI's two protocols, as SGLang, vLLM and llama.cpp fill it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{BadEvent, Choice, Figures, FirstChoice, Speculation, count, error_words, number};

/// One event. Fields that say nothing here are stepped over.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a, C: Choice + Deserialize<'de>"))]
pub(super) struct Chunk<'a, C> {
    #[serde(default = "FirstChoice::default")]
    choices: FirstChoice<C>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    /// With `code`, an error without an envelope (vLLM's `{"object":"error","message":...}`).
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    /// FastAPI's own errors.
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(default)]
    timings: Option<Timings>,
    #[serde(borrow, default)]
    sglext: Option<SglExt<'a>>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u32>,
    /// SGLang's place for it.
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u32>,
}

/// llama.cpp's own figures, in its last event.
#[derive(Deserialize)]
struct Timings {
    #[serde(default, deserialize_with = "count")]
    cache_n: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    predicted_n: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    draft_n: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    draft_n_accepted: Option<u32>,
}

/// SGLang's extension, where `return_spec_tokens_details` asked for it (0.5.23).
#[derive(Deserialize)]
struct SglExt<'a> {
    /// An object, or a list of them where several answers were asked for.
    #[serde(borrow, default)]
    spec_tokens_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SpecDetails {
    #[serde(default, deserialize_with = "count")]
    spec_verify_ct: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    spec_accept_length: Option<f64>,
}

impl<'a, C: Choice> Chunk<'a, C> {
    /// The first answer's choice and the figures, unless the event is an error.
    pub(super) fn open(self, data: &[u8]) -> Result<(Option<C>, Figures), BadEvent> {
        let bare = !self.choices.listed && (self.message.is_some() || self.detail.is_some());
        if self.error.is_some() || bare {
            return Err(BadEvent::Error(error_words(data)));
        }
        let mut figures = self.usage.map(Figures::from).unwrap_or_default();
        if let Some(timings) = self.timings {
            figures.cached_tokens = figures.cached_tokens.or(timings.cache_n);
            figures.speculation = timings.speculation();
        }
        if let Some(details) = self.sglext.and_then(|extension| extension.spec_tokens_details) {
            figures.speculation = serde_json::from_str::<SpecDetails>(details.get())
                .ok()
                .and_then(|spec| Speculation::from_sglang(spec.spec_verify_ct, spec.spec_accept_length));
        }
        Ok((self.choices.choice, figures))
    }
}

impl Timings {
    /// A step of llama.cpp's verification gives the drafts it accepts and one token more, so steps are what
    /// was generated less what was accepted.
    fn speculation(&self) -> Option<Speculation> {
        let accepted = self.draft_n.filter(|&drafts| drafts > 0).and(self.draft_n_accepted)?;
        let generated = self.predicted_n?;
        let steps = generated.checked_sub(accepted).filter(|&steps| steps > 0)?;
        Some(Speculation::Length(f64::from(generated) / f64::from(steps)))
    }
}

impl From<Usage> for Figures {
    fn from(usage: Usage) -> Self {
        let details = usage.completion_tokens_details.and_then(|details| details.reasoning_tokens);
        Figures {
            input_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
            cached_tokens: usage.prompt_tokens_details.and_then(|details| details.cached_tokens),
            reasoning_tokens: details.or(usage.reasoning_tokens),
            speculation: None,
        }
    }
}
