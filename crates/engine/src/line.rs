//! Untrusted text, made safe to print.

/// Replaces unsafe characters other than tabs, because they could end a line, control a terminal, or reorder its text.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { c } else { visible(c) }).collect()
}

/// Replaces unsafe characters in each line, other than tabs. The text may have several lines.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Returns at most `max` characters of `text` without unsafe characters, so that it stays one line in a log, an HTTP
/// response, a terminal, or a warning (the API server drops warnings with control characters).
pub fn one_line(text: &str, max: usize) -> String {
    let line = text.chars().map(visible);
    match text.char_indices().nth(max) {
        None => line.collect(),
        Some(_) => line.take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Returns true for a character that changes more than its own place in a line:
///
/// - a control character (Unicode's category Cc)
/// - a line or paragraph separator
/// - a character of the bidirectional algorithm (Unicode's `Bidi_Control`), which changes the order in which the text around
///   it is displayed
pub fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    ) || c.is_control()
}

fn visible(c: char) -> char {
    if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_long_text_is_truncated() {
        assert_eq!(one_line("a\nb\u{7}\u{1b}[31m\u{85}", 20), "a\u{fffd}b\u{fffd}\u{fffd}[31m\u{fffd}");
        assert_eq!(printable("a\tb\r"), "a\tb\u{fffd}");
        assert_eq!(printable_lines("a\tb\r\nc\u{202e}\n"), "a\tb\u{fffd}\nc\u{fffd}\n");
        assert_eq!(one_line("a\tb", 20), "a\u{fffd}b");
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äöüß", 3), "äö…");
        assert_eq!(one_line("ab", 0), "…");
    }

    #[test]
    fn characters_that_reorder_or_separate_lines_are_replaced() {
        for c in "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{7f}\u{9b}".chars() {
            let text = format!("a{c}b");
            assert_eq!([one_line(&text, 9), printable(&text)], ["a\u{fffd}b"; 2], "{c:?}");
        }
        let right_to_left = "\u{5d0}\u{5d1} \u{627}";
        assert_eq!(one_line(right_to_left, 9), right_to_left, "letters of such scripts are safe");
    }
}
