//! A line of a foreign log, fit to be shown.

/// `line` without control sequences (ECMA-48) and other control characters, and without white space around it.
pub(crate) fn plain(line: &str) -> String {
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
    text.trim().to_owned()
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
}
