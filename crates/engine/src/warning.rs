//! Admission warnings: lines that `kubectl` prints below its own output.

use std::fmt;

use serde::{Serialize, Serializer};

use super::line::one_line;

/// The prefix of each warning in a response, so that the user can tell where it comes from.
const PREFIX: &str = "colocate: ";

/// If the warnings of a request exceed 4,096 characters in total, the API server truncates those that are longer than this.
const MAX_CHARS: usize = 256;

/// As long as the warnings of a request stay within this limit in total, the API server does not truncate any of them.
const MAX_TOGETHER: usize = 4_096;

/// One line for the user who sent the request: what is wrong, and what to use instead.
///
/// It is displayed as its word and text, and serialized with the prefix `colocate: `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    word: Option<&'static str>,
    text: String,
}

impl Warning {
    /// Makes a warning with `word`: that of a [`Reason`](super::Reason), or a word of its own.
    pub(crate) fn new(word: &'static str, text: impl fmt::Display) -> Self {
        let limit = MAX_CHARS - PREFIX.len() - word.len() - ": ".len();
        Self { word: Some(word), text: one_line(&text.to_string(), limit) }
    }

    /// Makes a warning that is not truncated to 256 characters. All warnings of a request together must not exceed 4,096
    /// characters.
    pub fn whole(text: impl fmt::Display) -> Self {
        Self { word: None, text: one_line(&text.to_string(), MAX_TOGETHER - PREFIX.len()) }
    }

    /// The stable word for its subject, if any.
    pub fn word(&self) -> Option<&'static str> {
        self.word
    }

    /// The text without the word.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The length of the serialized warning, in characters.
    pub fn chars(&self) -> usize {
        let word = self.word.map_or(0, |word| word.len() + ": ".len());
        PREFIX.len() + word + self.text.chars().count()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(word) = self.word {
            write!(f, "{word}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{PREFIX}{self}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(warning: &Warning) -> String {
        serde_json::from_str(&serde_json::to_string(warning).unwrap()).unwrap()
    }

    #[test]
    fn a_warning_is_one_line_of_at_most_256_characters() {
        let warning = Warning::new("claim-missing", "a\nb\u{7}");
        assert_eq!(line(&warning), "colocate: claim-missing: a\u{fffd}b\u{fffd}");
        assert_eq!(warning.to_string(), "claim-missing: a\u{fffd}b\u{fffd}");
        assert_eq!((warning.word(), warning.text()), (Some("claim-missing"), "a\u{fffd}b\u{fffd}"));
        let long = Warning::new("x", "ä".repeat(400));
        assert_eq!((line(&long).chars().count(), long.chars()), (256, 256));
        assert!(line(&long).ends_with('…'));
    }

    #[test]
    fn a_whole_warning_is_truncated_at_the_total_limit() {
        let whole = Warning::whole("ä".repeat(400));
        assert_eq!((line(&whole).chars().count(), whole.chars()), (410, 410));
        assert_eq!(Warning::whole("ä".repeat(5_000)).chars(), MAX_TOGETHER);
    }
}
