//! Untrusted text, made safe to print.

/// Replaces control characters other than tabs, because they could end a line or control a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { c } else { visible(c) }).collect()
}

/// Returns at most `max` characters of `text` without control characters, so that it stays one line in a log, an HTTP
/// response, a terminal, or a warning (the API server drops warnings with control characters).
pub fn one_line(text: &str, max: usize) -> String {
    let line = text.chars().map(visible);
    match text.char_indices().nth(max) {
        None => line.collect(),
        Some(_) => line.take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn visible(c: char) -> char {
    if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_long_text_is_truncated() {
        assert_eq!(one_line("a\nb\u{7}\u{1b}[31m\u{85}", 20), "a\u{fffd}b\u{fffd}\u{fffd}[31m\u{fffd}");
        assert_eq!(printable("a\tb\r"), "a\tb\u{fffd}");
        assert_eq!(one_line("a\tb", 20), "a\u{fffd}b");
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äöüß", 3), "äö…");
        assert_eq!(one_line("ab", 0), "…");
    }
}
