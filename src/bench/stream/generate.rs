//! One event of SGLang's `/generate`: its text is all of the answer so far, unless the server was started
//! with `--incremental-streaming-output`; its count is always of all so far.

use super::json::{BadJson, Cursor};
use super::wire::{
    BadEvent, Speculation, Update, UsageFigures, count, error_words, holds, number, read_event, skip,
};

/// What the server says beside the text.
#[derive(Default)]
struct MetaInfo<'a> {
    finish_reason: Option<&'a str>,
    figures: UsageFigures,
}

impl<'a> MetaInfo<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, BadJson> {
        let mut meta = Self::default();
        let (mut steps, mut length) = (None, None);
        cursor.object(|name, cursor| {
            let figures = &mut meta.figures;
            match name {
                "finish_reason" => meta.finish_reason = cursor.present()?,
                "prompt_tokens" => figures.input_tokens = count(cursor)?,
                "completion_tokens" => figures.output_tokens = count(cursor)?,
                "cached_tokens" => figures.cached_tokens = count(cursor)?,
                "reasoning_tokens" => figures.reasoning_tokens = count(cursor)?,
                "spec_verify_ct" => steps = count(cursor)?,
                "spec_accept_length" => length = number(cursor)?,
                _ => skip(cursor)?,
            }
            Ok(())
        })?;
        meta.figures.speculation = Speculation::from_sglang(steps, length);
        Ok(meta)
    }
}

pub(super) fn read(data: &[u8]) -> Result<Update<'_>, BadEvent> {
    let (mut index, mut text, mut meta, mut error, mut words) = (None, None, None, false, false);
    read_event(data, |name, cursor| {
        match name {
            // Which answer, where several were asked for.
            "index" => index = count(cursor)?,
            "text" => text = cursor.present()?,
            "meta_info" if !cursor.null() => meta = Some(MetaInfo::read(cursor)?),
            "meta_info" => {}
            "error" => error = cursor.present()?.is_some(),
            "message" | "detail" => words |= cursor.present()?.is_some(),
            _ => skip(cursor)?,
        }
        Ok(())
    })?;
    if error || (meta.is_none() && words) {
        return Err(BadEvent::Error(error_words(data)));
    }
    if index.unwrap_or(0) != 0 {
        return Ok(Update::default());
    }
    let spoken = text.is_some() || meta.is_some();
    let MetaInfo { finish_reason, figures } = meta.unwrap_or_default();
    // A text that is all so far says nothing of what is new: where there is a count, it alone decides.
    let output = figures.output_tokens.unwrap_or(0) == 0 && holds(text);
    Ok(Update { spoken, output, text, finish: finish_reason, figures })
}
