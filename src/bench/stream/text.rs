//! The answer's text, where it is kept.

use crate::bench::plan::Protocol;

/// Times a `/generate` text must have strictly extended the one before until it is taken for all so far.
/// New pieces do so by chance only where each repeats the one before and adds to it.
const EXTENSIONS: u32 = 4;

#[derive(Debug)]
pub(super) struct KeptText {
    text: String,
    growth: Growth,
}

/// What an event's text is.
#[derive(Debug)]
enum Growth {
    /// What is new. Every protocol but `/generate`.
    Piece,
    /// All so far.
    Whole,
    /// `/generate`, where it depends on how the server was started. Both readings are kept until one is
    /// ruled out; `text` is the whole. At the end in doubt it is the whole, SGLang's default.
    Unknown { pieces: String, extensions: u32 },
}

impl KeptText {
    pub(super) fn new(protocol: Protocol) -> Self {
        let growth = match protocol {
            Protocol::Chat | Protocol::Completions => Growth::Piece,
            Protocol::Generate => Growth::Unknown { pieces: String::new(), extensions: 0 },
        };
        Self { text: String::new(), growth }
    }

    /// Takes in an event's text. What is no text (null, a list) adds nothing.
    pub(super) fn add(&mut self, json: &str) {
        let Some(within) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return };
        match within.contains('\\') {
            false => self.add_text(within),
            // A half of a surrogate pair is valid JSON and no text.
            true => {
                self.add_text(&serde_json::from_str::<String>(json).unwrap_or_else(|_| '\u{fffd}'.into()))
            }
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn add_text(&mut self, new: &str) {
        match &mut self.growth {
            Growth::Piece => self.text.push_str(new),
            Growth::Whole => new.clone_into(&mut self.text),
            Growth::Unknown { pieces, extensions } => {
                pieces.push_str(new);
                if new.starts_with(&self.text) {
                    *extensions += u32::from(new.len() > self.text.len());
                    new.clone_into(&mut self.text);
                    if *extensions > EXTENSIONS {
                        self.growth = Growth::Whole;
                    }
                } else if self.text.starts_with(new) && !new.is_empty() {
                    // A stop string was taken off the end.
                    new.clone_into(&mut self.text);
                } else {
                    self.text = std::mem::take(pieces);
                    self.growth = Growth::Piece;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(protocol: Protocol, texts: &[&str]) -> String {
        let mut text = KeptText::new(protocol);
        for json in texts {
            text.add(json);
        }
        text.finish()
    }

    #[test]
    fn pieces_are_joined_and_unescaped() {
        let pieces = [r#""a\n""#, "null", r#""""#, r#""\u00e4""#, r#""\ud83d""#, r#""ü""#, "[1]"];
        assert_eq!(kept(Protocol::Chat, &pieces), "a\nä\u{fffd}ü");
    }

    #[test]
    fn a_generated_text_is_told_apart_as_whole_or_pieces() {
        let whole = [r#""The""#, r#""The cat""#, r#""The cat""#, r#""The cat sat.""#];
        assert_eq!(kept(Protocol::Generate, &whole), "The cat sat.");
        let pieces = [r#""The""#, r#"" cat""#, r#""""#, r#"" cat sat""#];
        assert_eq!(kept(Protocol::Generate, &pieces), "The cat cat sat");
        // A piece that happens to begin with the one before, until the next shows what it is.
        assert_eq!(kept(Protocol::Generate, &[r#""a""#, r#""ab""#, r#""c""#]), "aabc");
        let stopped = [r#""x""#, r#""xy""#, r#""xyz""#, r#""xyz1""#, r#""xyz12""#, r#""xyz12#""#, r#""xyz""#];
        assert_eq!(kept(Protocol::Generate, &stopped), "xyz");
        assert_eq!(kept(Protocol::Generate, &[r#""ab STOP""#, r#""ab""#]), "ab");
    }
}
