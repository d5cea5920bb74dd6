//! JSON read where it lies: a cursor that gives what is asked for and steps over everything else.
//!
//! An event of a stream has some twenty members, of which three or four matter, and there are tens of thousands
//! a second. A deserialiser asks of each what type it is to become; this one only finds where it ends. What it
//! accepts is JSON all the same (RFC 8259): the tests hold it against serde_json.

use std::fmt;

/// Lists and objects within one another, at most: as deep as serde_json reads values. Which of the two each level
/// is stands in a mask of as many bits.
const DEPTH: u32 = 127;

/// Somewhere in one JSON text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A place where the text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadJson {
    expected: &'static str,
    at: usize,
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

type Read<T> = Result<T, BadJson>;

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Read an object: `member` is called with each name, as it is written, and must read the value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&'a str, &mut Self) -> Read<()>) -> Read<()> {
        self.expect(b'{', "an object")?;
        if self.next_is(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':', "a colon")?;
            member(name, self)?;
            if !self.next_is(b',') {
                return self.expect(b'}', "a comma or the object's end");
            }
        }
    }

    /// As [`object`](Self::object); nothing where there is `null`.
    pub(super) fn object_or_null(&mut self, member: impl FnMut(&'a str, &mut Self) -> Read<()>) -> Read<()> {
        if self.null() { Ok(()) } else { self.object(member) }
    }

    /// Read a list: `item` must read each value. False where there is `null` instead.
    pub(super) fn list_or_null(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<bool> {
        if self.null() {
            return Ok(false);
        }
        self.expect(b'[', "a list")?;
        if self.next_is(b']') {
            return Ok(true);
        }
        loop {
            item(self)?;
            if !self.next_is(b',') {
                return self.expect(b']', "a comma or the list's end").map(|()| true);
            }
        }
    }

    /// Step over a value of any kind, and give it as it is written.
    pub(super) fn value(&mut self) -> Read<&'a str> {
        self.space();
        let start = self.at;
        // One bit a level: whether it is an object.
        let (mut depth, mut objects) = (0_u32, 0_u128);
        loop {
            self.space();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == DEPTH {
                        return self.bad("fewer levels");
                    }
                    (depth, objects) = (depth + 1, objects << 1 | u128::from(open == b'{'));
                    self.at += 1;
                    // An empty one ends at once; a name comes first in an object.
                    if !self.next_is(if open == b'{' { b'}' } else { b']' }) {
                        if open == b'{' {
                            self.name()?;
                        }
                        continue;
                    }
                    (depth, objects) = (depth - 1, objects >> 1);
                }
                Some(b'"') => self.string().map(|_| ())?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => self.word()?,
            }
            // A value is over: so may be what holds it.
            loop {
                if depth == 0 {
                    return Ok(&self.text[start..self.at]);
                }
                let in_object = objects & 1 == 1;
                if self.next_is(b',') {
                    if in_object {
                        self.name()?;
                    }
                    break;
                }
                match in_object {
                    true => self.expect(b'}', "a comma or the object's end")?,
                    false => self.expect(b']', "a comma or the list's end")?,
                }
                (depth, objects) = (depth - 1, objects >> 1);
            }
        }
    }

    /// As [`value`](Self::value); None where it is `null`.
    pub(super) fn present(&mut self) -> Read<Option<&'a str>> {
        if self.null() { Ok(None) } else { self.value().map(Some) }
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.bad("nothing more") }
    }

    /// Whether `null` comes next; then it is read.
    pub(super) fn null(&mut self) -> bool {
        self.space();
        let found = self.text.as_bytes()[self.at..].starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// Whether an object comes next.
    pub(super) fn is_object(&mut self) -> bool {
        self.space();
        self.peek() == Some(b'{')
    }

    /// A member's name with its colon.
    fn name(&mut self) -> Read<()> {
        self.string()?;
        self.expect(b':', "a colon")
    }

    /// A text, without its quotes and as it is written.
    fn string(&mut self) -> Read<&'a str> {
        self.expect(b'"', "a text")?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        loop {
            self.at += plain(&bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                Some(b'\\') => {
                    let escape = bytes.get(self.at + 1).copied();
                    let size = match escape {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') if self.is_hexadecimal(self.at + 2..self.at + 6) => 6,
                        _ => return self.bad("an escape"),
                    };
                    self.at += size;
                }
                _ => return self.bad("the text's end"),
            }
        }
    }

    fn is_hexadecimal(&self, range: std::ops::Range<usize>) -> bool {
        self.text.as_bytes().get(range).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    }

    fn number(&mut self) -> Read<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Read<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count > 0 { Ok(()) } else { self.bad("a digit") }
    }

    fn word(&mut self) -> Read<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
        match word {
            Some(word) => {
                self.at += word.len();
                Ok(())
            }
            None => self.bad("a value"),
        }
    }

    /// The byte here, where it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// As [`take`](Self::take), behind any space.
    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        self.take(byte)
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Read<()> {
        if self.next_is(byte) { Ok(()) } else { self.bad(expected) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn bad<T>(&self, expected: &'static str) -> Read<T> {
        Err(BadJson { expected, at: self.at })
    }
}

/// Bytes of a text until its end, an escape or a control character, eight at a time.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
    // The high bit of each byte that is zero, by Mycroft's formula; bytes above one may be marked in error, so
    // the lowest marked is right, and whoever finds a mark looks at single bytes.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let word = u64::from_ne_bytes(*word);
        let control = word.wrapping_sub(SPACES) & !word & HIGH;
        if zero(word ^ QUOTES) | zero(word ^ BACKSLASHES) | control != 0 {
            break;
        }
        at += 8;
    }
    let rest = if at == bytes.len() - rest.len() { rest } else { &bytes[at..] };
    at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

#[cfg(test)]
mod tests;
