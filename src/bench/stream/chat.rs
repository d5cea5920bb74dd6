//! One event of `/v1/chat/completions`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::openai::Chunk;
use super::wire::{BadEvent, Choice, Update, count, holds, parse};

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
    /// SGLang's name, and older vLLM's.
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    /// vLLM's name.
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(default)]
    tool_calls: ToolCalls,
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

/// Whether there are any. Typed as far down as they go: serde_json allocates to step over nested values of
/// unknown type, and an answer may be nothing but tool calls.
#[derive(Default)]
struct ToolCalls {
    any: bool,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default, rename = "function")]
    _function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {}

impl<'de> Deserialize<'de> for ToolCalls {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Calls)
    }
}

struct Calls;

impl<'de> Visitor<'de> for Calls {
    type Value = ToolCalls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tool calls")
    }
    fn visit_unit<E>(self) -> Result<ToolCalls, E> {
        Ok(ToolCalls::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ToolCalls, A::Error> {
        let mut any = false;
        while seq.next_element::<ToolCall>()?.is_some() {
            any = true;
        }
        Ok(ToolCalls { any })
    }
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let (choice, figures) = parse::<Chunk<'_, ChatChoice<'_>>>(data)?.open(data)?;
    let Some(choice) = choice else { return Ok(Update { figures, ..Update::default() }) };
    let output = choice.delta.as_ref().is_some_and(|delta| {
        let texts = [delta.content, delta.reasoning_content, delta.reasoning, delta.refusal];
        texts.into_iter().any(holds) || delta.tool_calls.any || holds(delta.function_call)
    });
    let text = choice.delta.and_then(|delta| delta.content);
    Ok(Update { spoken: true, output, text, finish: choice.finish_reason, figures })
}
