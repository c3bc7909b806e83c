//! Admission warnings: lines that `kubectl` prints below its own output.

use std::fmt;

use serde::{Serialize, Serializer};

use super::line::one_line;
use super::topic::Topic;

/// The prefix of each warning in a response, so that the user can tell where it comes from.
const PREFIX: &str = "colocate: ";

/// If the warnings of a request exceed 4,096 characters in total, the API server truncates those that are longer than this. It then
/// cuts the link, which is last.
const MAX_CHARS: usize = 256;

/// As long as the warnings of a request stay within this limit in total, the API server does not truncate any of them.
const MAX_TOGETHER: usize = 4_096;

/// One line for the user who sent the request: what is wrong, and what to use instead.
///
/// It is displayed as its word and text, and serialized with the prefix `colocate: ` and a link to the documentation of its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    topic: Option<Topic>,
    text: String,
}

impl Warning {
    /// Makes a warning about a topic. Without the link, it has at most 256 characters.
    pub(crate) fn new(topic: impl Into<Topic>, text: impl fmt::Display) -> Self {
        let topic = topic.into();
        let limit = MAX_CHARS - PREFIX.len() - topic.as_str().len() - ": ".len();
        Self { topic: Some(topic), text: one_line(&text.to_string(), limit) }
    }

    /// Makes a warning without a topic, which is not truncated to 256 characters. All warnings of a request together must not exceed 4,096
    /// characters.
    pub fn whole(text: impl fmt::Display) -> Self {
        Self { topic: None, text: one_line(&text.to_string(), MAX_TOGETHER - PREFIX.len()) }
    }

    /// The topic, if any.
    pub fn topic(&self) -> Option<Topic> {
        self.topic
    }

    /// The text without the word of the topic.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The length of the serialized warning, in characters.
    pub fn chars(&self) -> usize {
        self.line().chars().count()
    }

    fn line(&self) -> String {
        let link = self.topic.map(|topic| format!("; see {}", topic.section())).unwrap_or_default();
        format!("{PREFIX}{self}{link}")
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(topic) = self.topic {
            write!(f, "{}: ", topic.as_str())?;
        }
        f.write_str(&self.text)
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.line())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason::Reason;
    use super::*;

    fn line(warning: &Warning) -> String {
        serde_json::from_str(&serde_json::to_string(warning).unwrap()).unwrap()
    }

    #[test]
    fn a_warning_is_one_line_that_ends_with_its_link() {
        let warning = Warning::new(Reason::ClaimMissing, "a\nb\u{7}");
        let expected = "colocate: claim-missing: a\u{fffd}b\u{fffd}; see docs/reasons.md#reason-claim-missing";
        assert_eq!((line(&warning).as_str(), warning.chars()), (expected, expected.chars().count()));
        assert_eq!(warning.to_string(), "claim-missing: a\u{fffd}b\u{fffd}");
        let topic = Topic::Reason(Reason::ClaimMissing);
        assert_eq!((warning.topic(), warning.text()), (Some(topic), "a\u{fffd}b\u{fffd}"));
        let other = line(&Warning::new(Topic::TwoDrivers, "a"));
        assert_eq!(other, "colocate: two-drivers: a; see docs/reasons.md#warning-two-drivers");
    }

    #[test]
    fn a_warning_without_its_link_has_at_most_256_characters() {
        let long = Warning::new(Topic::SchedulerWithoutClaim, "ä".repeat(400));
        let line = line(&long);
        let (shown, anchor) = line.rsplit_once("; see ").unwrap();
        assert_eq!((shown.chars().count(), anchor), (256, "docs/reasons.md#warning-scheduler-without-claim"));
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn a_whole_warning_is_truncated_at_the_total_limit() {
        let whole = Warning::whole("ä".repeat(400));
        assert_eq!((line(&whole).chars().count(), whole.chars()), (410, 410));
        assert_eq!(Warning::whole("ä".repeat(5_000)).chars(), MAX_TOGETHER);
    }
}
