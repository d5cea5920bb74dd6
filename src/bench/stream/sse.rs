//! Bytes to events: the parser of the [HTML standard's event streams][standard], incremental.
//!
//! Bytes may be split anywhere, also inside a character or a line end. They stay bytes: what is no UTF-8 is
//! for whoever reads the data. `id` and `retry` serve a reconnecting browser and are ignored, as are fields
//! the standard does not know.
//!
//! [standard]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use memchr::memchr2;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One event that has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event` field; empty where there is none.
    pub name: &'a [u8],
    /// The `data` fields, joined by LF.
    pub data: &'a [u8],
}

/// A line or an event with more bytes than any has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct EventTooLarge {
    /// What would have been accepted.
    pub limit: usize,
}

/// The parser: memory for at most one event, whatever is fed.
#[derive(Debug, Clone)]
pub struct SseParser {
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// Data of an event that did not lie whole in one feed, or has several data lines.
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    /// Bytes of a byte order mark seen at the start; 3 once the start is over.
    bom: usize,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    recognised: bool,
    limit: usize,
}

enum Line<'a> {
    Blank,
    Data(&'a [u8]),
    Name(&'a [u8]),
    Comment,
    /// `id` or `retry`.
    Unused,
    Unknown,
}

impl SseParser {
    /// A parser for one stream. A line, and an event's data, may have `limit` bytes each.
    pub fn new(limit: usize) -> Self {
        Self {
            partial: Vec::new(),
            data: Vec::new(),
            has_data: false,
            name: Vec::new(),
            bom: 0,
            after_cr: false,
            recognised: false,
            limit,
        }
    }

    /// Reads on, and calls `on_event` for every event that ended. The first error, the callback's or one
    /// about size, ends the feed; the parser is of no use after it.
    pub fn feed<E: From<EventTooLarge>>(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(SseEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = self.skip_bom(bytes);
        // The event's data while it is a single line within `bytes`: the usual case, and nothing is copied.
        let mut in_place: Option<&[u8]> = None;
        loop {
            if self.after_cr && !rest.is_empty() {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
                self.after_cr = false;
            }
            let Some(at) = memchr2(b'\n', b'\r', rest) else { break };
            let (line, ending) = rest.split_at(at);
            self.after_cr = ending.first() == Some(&b'\r');
            rest = ending.get(1..).unwrap_or_default();
            if !self.partial.is_empty() {
                // Only the first line of a feed began in an earlier one, so nothing lies in place yet.
                self.hold(line)?;
                self.end_partial()?;
                continue;
            }
            self.fits(line.len())?;
            let read = Line::read(line);
            self.recognised |= read.is_known();
            match read {
                Line::Data(value) if !self.has_data && in_place.is_none() => in_place = Some(value),
                Line::Data(value) => {
                    if let Some(first) = in_place.take() {
                        self.add_data(first)?;
                    }
                    self.add_data(value)?;
                }
                Line::Name(value) => self.set_name(value),
                Line::Blank => {
                    let data = in_place.take().or(self.has_data.then_some(self.data.as_slice()));
                    let outcome = data.map_or(Ok(()), |data| on_event(SseEvent { name: &self.name, data }));
                    self.data.clear();
                    self.has_data = false;
                    self.name.clear();
                    outcome?;
                }
                Line::Comment | Line::Unused | Line::Unknown => {}
            }
        }
        if let Some(first) = in_place {
            self.add_data(first)?;
        }
        Ok(self.hold(rest)?)
    }

    /// Whether there was a line an event stream has: a comment or a field the standard knows. An HTML page
    /// or a JSON object has none.
    pub fn looks_like_a_stream(&self) -> bool {
        self.recognised
    }

    /// At the end of the stream: the event that no blank line ended, if there is one. The standard discards
    /// it; what it is worth, the caller decides.
    pub fn finish(&mut self) -> Option<SseEvent<'_>> {
        if !self.partial.is_empty() && self.end_partial().is_err() {
            return None;
        }
        self.has_data.then_some(SseEvent { name: &self.name, data: &self.data })
    }

    fn skip_bom<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while self.bom < BOM.len() {
            match bytes.split_first() {
                None => return bytes,
                Some((first, rest)) if BOM.get(self.bom) == Some(first) => {
                    self.bom += 1;
                    bytes = rest;
                }
                Some(_) => {
                    self.partial.extend(BOM.iter().take(self.bom));
                    self.bom = BOM.len();
                }
            }
        }
        bytes
    }

    fn fits(&self, bytes: usize) -> Result<(), EventTooLarge> {
        match bytes <= self.limit {
            true => Ok(()),
            false => Err(EventTooLarge { limit: self.limit }),
        }
    }

    fn hold(&mut self, piece: &[u8]) -> Result<(), EventTooLarge> {
        self.fits(self.partial.len().saturating_add(piece.len()))?;
        self.partial.extend_from_slice(piece);
        Ok(())
    }

    fn end_partial(&mut self) -> Result<(), EventTooLarge> {
        let mut line = std::mem::take(&mut self.partial);
        let read = Line::read(&line);
        self.recognised |= read.is_known();
        let added = match read {
            Line::Data(value) => self.add_data(value),
            Line::Name(value) => {
                self.set_name(value);
                Ok(())
            }
            Line::Blank | Line::Comment | Line::Unused | Line::Unknown => Ok(()),
        };
        line.clear();
        self.partial = line;
        added
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), EventTooLarge> {
        let joint = usize::from(self.has_data);
        self.fits(self.data.len().saturating_add(joint).saturating_add(value.len()))?;
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    fn set_name(&mut self, value: &[u8]) {
        self.name.clear();
        self.name.extend_from_slice(value);
    }
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Self {
        if let Some(rest) = line.strip_prefix(b"data") {
            if let Some(value) = rest.strip_prefix(b":") {
                return Line::Data(value.strip_prefix(b" ").unwrap_or(value));
            }
            if rest.is_empty() {
                return Line::Data(rest);
            }
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = match colon {
            Some(0) => return Line::Comment,
            Some(at) => {
                let (field, value) = line.split_at(at);
                let value = value.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &line[line.len()..]),
        };
        match field {
            b"" => Line::Blank,
            b"event" => Line::Name(value),
            b"id" | b"retry" => Line::Unused,
            _ => Line::Unknown,
        }
    }

    fn is_known(&self) -> bool {
        !matches!(self, Line::Blank | Line::Unknown)
    }
}

#[cfg(test)]
mod tests;
