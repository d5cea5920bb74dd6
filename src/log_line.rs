//! A line of a foreign log, fit to be shown.

/// `line` without control sequences (ECMA-48) and other control characters, and without white space around it.
pub(crate) fn plain(line: &str) -> String {
    without_controls(line).trim().to_owned()
}

/// The same of a line that stands among others: it keeps its indentation. Of a bar that was drawn over and over, the last
/// state; tokens of the hub are hidden.
pub(crate) fn among_others(line: &str) -> String {
    let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
    without_tokens(&without_controls(&last.replace('\t', "    ")))
}

fn without_controls(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                if rest.next() == Some('[') {
                    // Parameters, then one final byte.
                    let _ = rest.find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
            }
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

/// `text` with every token of the hub's (`hf_` and some 30 letters and digits) replaced.
pub(crate) fn without_tokens(text: &str) -> String {
    const MARK: &str = "hf_";
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, token) = rest.split_at(at);
        let end = token[MARK.len()..]
            .find(|c: char| !c.is_ascii_alphanumeric())
            .map_or(token.len(), |end| end + MARK.len());
        shown.push_str(before);
        // Names of variables and functions go on with `_`, and are short.
        shown.push_str(if end > 20 { "hf_(hidden)" } else { &token[..end] });
        rest = &token[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_is_told_is_left_out() {
        assert_eq!(plain("\u{1b}[2m\u{1b}[36m(pid=7)\u{1b}[0m 3/40\r"), "(pid=7) 3/40");
        assert_eq!(plain("\u{1b}"), "");
        assert_eq!(plain("\u{1b}[31"), "");
        assert_eq!(plain(" a\u{7}b \n"), "ab");
    }

    #[test]
    fn a_line_among_others_keeps_its_indentation_and_shows_no_token() {
        assert_eq!(among_others("\u{1b}[36m(pid=7)\u{1b}[0m\n"), "(pid=7)");
        assert_eq!(among_others("  File \"a.py\", line 7\n"), "  File \"a.py\", line 7");
        assert_eq!(among_others("\tat b\u{7}"), "    at b");
        assert_eq!(among_others("  0%|\r 50%|#\r100%|##| 2/2\r\n"), "100%|##| 2/2");
        let token = format!("HF_TOKEN=hf_{} hf_hub_download", "a1".repeat(17));
        assert_eq!(among_others(&token), "HF_TOKEN=hf_(hidden) hf_hub_download");
    }
}
