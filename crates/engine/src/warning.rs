//! Admission warnings: what a person sees below the output of `kubectl`.

use std::fmt;

use serde::Serialize;

use super::line::one_line;

/// The API server cuts a longer one when all warnings of a request pass 4,096 characters together.
const MAX_CHARS: usize = 256;

/// What all warnings of a request may have together, before any is cut.
const MAX_TOGETHER: usize = 4_096;

/// One line for the person who sent the request: what is, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning(String);

impl Warning {
    /// A warning that begins with `word`: a [`Reason`](super::Reason)'s, or one of its own kind.
    pub(crate) fn new(word: &str, text: impl fmt::Display) -> Self {
        Self(one_line(&format!("colocate: {word}: {text}"), MAX_CHARS))
    }

    /// A line that stays whole. Together, those of a request may have no more than 4,096 characters.
    pub fn whole(text: impl fmt::Display) -> Self {
        Self(one_line(&format!("colocate: {text}"), MAX_TOGETHER))
    }

    /// How long it is, in characters.
    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }

    /// The line.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl AsRef<str> for Warning {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_of_at_most_256_characters() {
        let warning = Warning::new("claim-missing", "a\nb\u{7}").into_string();
        assert_eq!(warning, "colocate: claim-missing: a\u{fffd}b\u{fffd}");
        let long = Warning::new("x", "ä".repeat(400)).into_string();
        assert_eq!(long.chars().count(), 256);
        assert!(long.ends_with('…'));
    }
}
