//! One event of `/v1/completions`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::openai::Chunk;
use super::wire::{BadEvent, Choice, Update, count, holds, parse};

#[derive(Deserialize)]
struct TextChoice<'a> {
    #[serde(default, deserialize_with = "count")]
    index: Option<u32>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

impl Choice for TextChoice<'_> {
    fn index(&self) -> Option<u32> {
        self.index
    }
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let (choice, figures) = parse::<Chunk<'_, TextChoice<'_>>>(data)?.open(data)?;
    let Some(choice) = choice else { return Ok(Update { figures, ..Update::default() }) };
    let (text, finish) = (choice.text, choice.finish_reason);
    Ok(Update { spoken: true, output: holds(text), text, finish, figures })
}
