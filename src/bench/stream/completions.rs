//! One event of `/v1/completions`.

use super::openai::read_chunk;
use super::wire::{BadEvent, Update, count, holds, skip};

#[derive(Default)]
struct TextChoice<'a> {
    text: Option<&'a str>,
    finish_reason: Option<&'a str>,
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let (choice, figures) = read_chunk(data, |cursor, index| {
        let mut choice = TextChoice::default();
        cursor.object(|name, cursor| {
            match name {
                "index" => *index = count(cursor)?,
                "text" => choice.text = cursor.present()?,
                "finish_reason" => choice.finish_reason = cursor.present()?,
                _ => skip(cursor)?,
            }
            Ok(())
        })?;
        Ok(choice)
    })?;
    let Some(TextChoice { text, finish_reason }) = choice else {
        return Ok(Update { figures, ..Update::default() });
    };
    Ok(Update { spoken: true, output: holds(text), text, finish: finish_reason, figures })
}
