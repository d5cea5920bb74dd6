//! Text whose width nobody can measure here: estimates, shortening, and numbers as labels.

/// About how wide `text` is at `size`, in the same unit. Sans-serif faces differ by a tenth.
pub(super) fn width(text: &str, size: f64) -> f64 {
    size * text.chars().map(em).sum::<f64>()
}

fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | 'I' | ' ' => 0.3,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.88,
        'A'..='Z' | '=' | '+' | '×' | '–' => 0.66,
        '\0'..='\u{2ff}' => 0.57,
        // Greek, Cyrillic and wide scripts: rather too wide than cut off.
        _ => 1.0,
    }
}

/// `text` on one line, without characters XML forbids, cut with an ellipsis to fit `limit`.
pub(super) fn fit(text: &str, size: f64, limit: f64) -> String {
    let clean = clean(text);
    if width(&clean, size) <= limit {
        return clean;
    }
    let mut room = limit - size * 0.9;
    let kept: String = clean
        .chars()
        .take_while(|c| {
            room -= size * em(*c);
            room >= 0.0
        })
        .collect();
    format!("{}…", kept.trim_end())
}

/// `text` with a space for every character that XML 1.0 forbids or that would break the line.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' { ' ' } else { c }).collect()
}

/// `text`, cleaned, for between two tags.
pub(super) fn escape(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A value with about `digits` significant digits: `0.0312`, `1.25`, `1250`, `1.25M`, `1.25e15`.
pub(super) fn number(value: f64, digits: usize) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    let digits = digits.max(1);
    if !(1e-4..1e12).contains(&size) {
        let text = format!("{value:.*e}", digits - 1);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let (scaled, suffix) = match size {
        s if s >= 1e9 => (value / 1e9, "G"),
        s if s >= 1e6 => (value / 1e6, "M"),
        s if s >= 1e5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let whole = scaled.abs().log10().floor() as i32 + 1;
    let decimals = (digits as i32 - whole).clamp(0, 9) as usize;
    format!("{}{suffix}", trimmed(&format!("{scaled:.decimals$}")))
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.03125, "0.0312"),
            (1.25, "1.25"),
            (4096.0, "4096"),
            (250_000.0, "250k"),
            (1.25e6, "1.25M"),
            (-3e9, "-3G"),
            (1e300, "1e300"),
            (2.5e-7, "2.5e-7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value, 3), text);
        }
        assert_eq!(number(f64::NAN, 3), "–");
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        assert_eq!(fit("short", 10.0, 100.0), "short");
        let cut = fit("a rather long name of a series", 10.0, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 62.0, "{cut}");
        assert_eq!(fit("a\nb\0", 10.0, 100.0), "a b ");
        assert_eq!(escape("<a & b>"), "&lt;a &amp; b&gt;");
    }
}
