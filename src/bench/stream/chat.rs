//! One event of `/v1/chat/completions`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::openai::Chunk;
use super::wire::{BadEvent, Choice, Update, count, holds};

#[derive(Deserialize)]
struct ChatChoice<'a> {
    #[serde(default, deserialize_with = "count")]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

/// What is new. Everything but the role is output.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    /// SGLang's name; vLLM's before 0.12.
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    /// vLLM's name.
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    /// The older name of tool calls.
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
}

impl Choice for ChatChoice<'_> {
    fn index(&self) -> Option<u32> {
        self.index
    }
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let (choice, figures) = serde_json::from_slice::<Chunk<'_, ChatChoice<'_>>>(data)?.open(data)?;
    let Some(choice) = choice else { return Ok(Update { figures, ..Update::default() }) };
    let output = choice.delta.as_ref().is_some_and(|delta| {
        [delta.content, delta.reasoning_content, delta.reasoning, delta.tool_calls]
            .into_iter()
            .chain([delta.function_call, delta.refusal])
            .any(holds)
    });
    let text = choice.delta.and_then(|delta| delta.content);
    Ok(Update { spoken: true, output, text, finish: choice.finish_reason, figures })
}
