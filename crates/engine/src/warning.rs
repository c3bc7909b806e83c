//! Admission warnings: lines that `kubectl` prints below its own output.

use std::fmt;

use serde::{Serialize, Serializer};

use super::line::one_line;

/// Stands before each warning of an answer, so that its reader knows who warns.
const PREFIX: &str = "colocate: ";

/// The API server cuts a longer one when all warnings of a request pass 4,096 characters together.
const MAX_CHARS: usize = 256;

/// The API server cuts no warning while all of a request have no more characters together.
const MAX_TOGETHER: usize = 4_096;

/// One line for the person who sent the request: what is wrong, and what to write instead.
///
/// It is displayed as its word and its text, and serialized as the line of an answer, which names colocate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    word: Option<&'static str>,
    text: String,
}

impl Warning {
    /// Makes a warning about `word`: a [`Reason`](super::Reason)'s, or one of its own kind.
    pub(crate) fn new(word: &'static str, text: impl fmt::Display) -> Self {
        let room = MAX_CHARS - PREFIX.len() - word.len() - ": ".len();
        Self { word: Some(word), text: one_line(&text.to_string(), room) }
    }

    /// Makes a line that stays whole. Together, those of a request may have no more than 4,096 characters.
    pub fn whole(text: impl fmt::Display) -> Self {
        Self { word: None, text: one_line(&text.to_string(), MAX_TOGETHER - PREFIX.len()) }
    }

    /// The stable word that says what it is about, if it has one.
    pub fn word(&self) -> Option<&'static str> {
        self.word
    }

    /// The length of the line in an answer, in characters.
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
    fn it_is_one_line_of_at_most_256_characters() {
        let warning = Warning::new("claim-missing", "a\nb\u{7}");
        assert_eq!(line(&warning), "colocate: claim-missing: a\u{fffd}b\u{fffd}");
        assert_eq!(warning.to_string(), "claim-missing: a\u{fffd}b\u{fffd}");
        let long = Warning::new("x", "ä".repeat(400));
        assert_eq!((line(&long).chars().count(), long.chars()), (256, 256));
        assert!(line(&long).ends_with('…'));
    }

    #[test]
    fn a_whole_line_is_cut_only_where_it_alone_passes_the_limit() {
        let whole = Warning::whole("ä".repeat(400));
        assert_eq!((line(&whole).chars().count(), whole.chars()), (410, 410));
        assert_eq!(Warning::whole("ä".repeat(5_000)).chars(), MAX_TOGETHER);
    }
}
