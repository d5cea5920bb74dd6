//! The envelope of OpenAI's two protocols, as SGLang, vLLM and llama.cpp fill it.

use super::json::{BadJson, Cursor};
use super::wire::{BadEvent, Speculation, UsageFigures, count, error_words, number, read_event, skip};

/// Read one event. Of its choices the first answer's is given, as `choice` reads it (and sets its index);
/// others (`n` above 1) are read and forgotten.
pub(super) fn read_chunk<'a, C>(
    data: &'a [u8],
    mut choice: impl FnMut(&mut Cursor<'a>, &mut Option<u32>) -> Result<C, BadJson>,
) -> Result<(Option<C>, UsageFigures), BadEvent> {
    let (mut first, mut listed, mut error, mut words) = (None, false, false, false);
    let (mut usage, mut timings, mut speculation) = (UsageFigures::default(), Timings::default(), None);
    read_event(data, |name, cursor| {
        match name {
            "choices" => {
                listed = cursor.list_or_null(|cursor| {
                    let mut index = None;
                    let read = choice(cursor, &mut index)?;
                    if first.is_none() && index.unwrap_or(0) == 0 {
                        first = Some(read);
                    }
                    Ok(())
                })?;
            }
            "usage" => usage = read_usage(cursor)?,
            "error" => error = cursor.present()?.is_some(),
            // With `code`, an error without an envelope (vLLM's `{"object":"error","message":...}`), and
            // FastAPI's own.
            "message" | "detail" => words |= cursor.present()?.is_some(),
            "timings" => timings.read(cursor)?,
            "sglext" => speculation = read_extension(cursor)?,
            _ => skip(cursor)?,
        }
        Ok(())
    })?;
    if error || (!listed && words) {
        return Err(BadEvent::Error(error_words(data)));
    }
    usage.cached_tokens = usage.cached_tokens.or(timings.cached);
    usage.speculation = speculation.or(timings.speculation());
    Ok((first, usage))
}

fn read_usage(cursor: &mut Cursor<'_>) -> Result<UsageFigures, BadJson> {
    let mut figures = UsageFigures::default();
    let mut in_details = None;
    cursor.object_or_null(|name, cursor| {
        match name {
            "prompt_tokens" => figures.input_tokens = count(cursor)?,
            "completion_tokens" => figures.output_tokens = count(cursor)?,
            // SGLang's place for it.
            "reasoning_tokens" => figures.reasoning_tokens = count(cursor)?,
            "prompt_tokens_details" => figures.cached_tokens = counted(cursor, "cached_tokens")?,
            "completion_tokens_details" => in_details = counted(cursor, "reasoning_tokens")?,
            _ => skip(cursor)?,
        }
        Ok(())
    })?;
    figures.reasoning_tokens = in_details.or(figures.reasoning_tokens);
    Ok(figures)
}

/// One count among an object's members.
fn counted(cursor: &mut Cursor<'_>, wanted: &str) -> Result<Option<u32>, BadJson> {
    let mut found = None;
    cursor.object_or_null(|name, cursor| match name == wanted {
        true => count(cursor).map(|counted| found = counted),
        false => skip(cursor),
    })?;
    Ok(found)
}

/// llama.cpp's own figures, in its last event.
#[derive(Default)]
struct Timings {
    cached: Option<u32>,
    generated: Option<u32>,
    drafted: Option<u32>,
    accepted: Option<u32>,
}

impl Timings {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BadJson> {
        cursor.object_or_null(|name, cursor| {
            match name {
                "cache_n" => self.cached = count(cursor)?,
                "predicted_n" => self.generated = count(cursor)?,
                "draft_n" => self.drafted = count(cursor)?,
                "draft_n_accepted" => self.accepted = count(cursor)?,
                _ => skip(cursor)?,
            }
            Ok(())
        })
    }

    /// A step of llama.cpp's verification gives the drafts it accepts and one token more, so steps are what
    /// was generated less what was accepted.
    fn speculation(&self) -> Option<Speculation> {
        let accepted = self.drafted.filter(|&drafts| drafts > 0).and(self.accepted)?;
        let generated = self.generated?;
        let steps = generated.checked_sub(accepted).filter(|&steps| steps > 0)?;
        Some(Speculation::Length(f64::from(generated) / f64::from(steps)))
    }
}

/// SGLang's extension, where `return_spec_tokens_details` asked for it (0.5.23). Its details are an object, or a
/// list of them where several answers were asked for, which says nothing of the first.
fn read_extension(cursor: &mut Cursor<'_>) -> Result<Option<Speculation>, BadJson> {
    let mut found = None;
    cursor.object_or_null(|name, cursor| {
        if name != "spec_tokens_details" || !cursor.is_object() {
            return skip(cursor);
        }
        let (mut steps, mut length) = (None, None);
        cursor.object(|name, cursor| {
            match name {
                "spec_verify_ct" => steps = count(cursor)?,
                "spec_accept_length" => length = number(cursor)?,
                _ => skip(cursor)?,
            }
            Ok(())
        })?;
        found = Speculation::from_sglang(steps, length);
        Ok(())
    })?;
    Ok(found)
}
