//! One event of `/v1/chat/completions`.

use super::json::{BadJson, Cursor};
use super::openai::read_chunk;
use super::wire::{BadEvent, Update, count, holds, skip};

#[derive(Default)]
struct ChatChoice<'a> {
    delta: Delta<'a>,
    finish_reason: Option<&'a str>,
}

/// What is new. Everything but the role is output.
#[derive(Default)]
struct Delta<'a> {
    content: Option<&'a str>,
    /// Output that is no content: reasoning, tool calls, a refusal.
    other: bool,
}

impl<'a> Delta<'a> {
    fn read(&mut self, cursor: &mut Cursor<'a>) -> Result<(), BadJson> {
        cursor.object_or_null(|name, cursor| {
            match name {
                "content" => self.content = cursor.present()?,
                // SGLang's name and older vLLM's, vLLM's, and the older name of tool calls.
                "reasoning_content" | "reasoning" | "refusal" | "function_call" => {
                    self.other |= holds(cursor.present()?);
                }
                "tool_calls" => {
                    let mut calls = 0;
                    cursor.list_or_null(|cursor| {
                        calls += 1;
                        cursor.object(|_, cursor| skip(cursor))
                    })?;
                    self.other |= calls > 0;
                }
                _ => skip(cursor)?,
            }
            Ok(())
        })
    }
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let (choice, figures) = read_chunk(data, |cursor, index| {
        let mut choice = ChatChoice::default();
        cursor.object(|name, cursor| {
            match name {
                "index" => *index = count(cursor)?,
                "delta" => choice.delta.read(cursor)?,
                "finish_reason" => choice.finish_reason = cursor.present()?,
                _ => skip(cursor)?,
            }
            Ok(())
        })?;
        Ok(choice)
    })?;
    let Some(ChatChoice { delta: Delta { content, other }, finish_reason }) = choice else {
        return Ok(Update { figures, ..Update::default() });
    };
    Ok(Update {
        spoken: true,
        output: holds(content) || other,
        text: content,
        finish: finish_reason,
        figures,
    })
}
