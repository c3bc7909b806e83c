//! Durations in Go's syntax, as in Kubernetes: `2s`, `1m30s`, `500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::{Spacing, SpanPrinter};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A duration that is not negative, in the syntax of Go's `time.Duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid duration `{text}`: use Go syntax, for example `2s` or `1m30s`");
        // jiff accepts more than Go does: spaces, whole words, ISO 8601.
        let mut units = text.split(|c: char| c.is_ascii_digit() || c == '.').filter(|unit| !unit.is_empty());
        if !units.all(|unit| ["h", "m", "s", "ms", "us", "µs", "ns"].contains(&unit)) {
            return Err(wrong());
        }
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(duration).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: SpanPrinter = SpanPrinter::new().spacing(Spacing::None);
        f.write_str(&PRINTER.unsigned_duration_to_string(&self.0))
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_parsed_and_printed_unchanged() {
        for text in ["2s", "1m30s", "500ms", "1h", "0s", "1h2m3s"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
        assert_eq!("1.5s".parse(), Ok(GoDuration(Duration::from_millis(1500))));
        assert_eq!("0".parse(), Ok(GoDuration(Duration::ZERO)));
    }

    #[test]
    fn durations_that_go_rejects_are_rejected() {
        for text in ["", "2", "two seconds", "2 s", "PT2S", "-2s", "1:30", "2x", "2sec", "1d"] {
            let error = text.parse::<GoDuration>().unwrap_err();
            assert!(error.starts_with(&format!("invalid duration `{text}`: ")), "{error}");
        }
    }
}
