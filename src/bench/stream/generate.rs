//! One event of SGLang's `/generate`: its text is all of the answer so far, unless the server was started
//! with `--incremental-streaming-output`; its count is always of all so far.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{BadEvent, Figures, Speculation, Update, count, error_words, holds, number, parse};

#[derive(Deserialize)]
struct Generated<'a> {
    /// Which answer, where several were asked for.
    #[serde(default, deserialize_with = "count")]
    index: Option<u32>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meta_info: Option<MetaInfo<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MetaInfo<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u32>,
    #[serde(default, deserialize_with = "count")]
    spec_verify_ct: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    spec_accept_length: Option<f64>,
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let event: Generated<'_> = parse(data)?;
    let bare = event.meta_info.is_none() && (event.message.is_some() || event.detail.is_some());
    if event.error.is_some() || bare {
        return Err(BadEvent::Error(error_words(data)));
    }
    if event.index.unwrap_or(0) != 0 {
        return Ok(Update::default());
    }
    let spoken = event.text.is_some() || event.meta_info.is_some();
    let finish = event.meta_info.as_ref().and_then(|meta| meta.finish_reason);
    let figures = event.meta_info.map(Figures::from).unwrap_or_default();
    // A text that is all so far says nothing of what is new: where there is a count, it alone decides.
    let output = figures.output_tokens.unwrap_or(0) == 0 && holds(event.text);
    Ok(Update { spoken, output, text: event.text, finish, figures })
}

impl From<MetaInfo<'_>> for Figures {
    fn from(meta: MetaInfo<'_>) -> Self {
        Figures {
            input_tokens: meta.prompt_tokens,
            output_tokens: meta.completion_tokens,
            cached_tokens: meta.cached_tokens,
            reasoning_tokens: meta.reasoning_tokens,
            speculation: Speculation::from_sglang(meta.spec_verify_ct, meta.spec_accept_length),
        }
    }
}
