//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key that does not exist.
    #[error("{location}: unknown key `{key}`{}", nearest(.key, .known))]
    UnknownKey {
        /// Where.
        location: Location,
        /// The key.
        key: String,
        /// The keys that exist there.
        known: Vec<&'static str>,
    },
    /// Text that is no configuration.
    #[error("{location}: {message}")]
    Invalid {
        /// Where.
        location: Location,
        /// What is wrong.
        message: String,
    },
}

/// A place in a file.
#[derive(Debug)]
pub struct Location {
    file: String,
    line_and_column: Option<(u64, u64)>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_and_column {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

fn nearest(key: &str, known: &[&str]) -> String {
    let distance = |name: &&&str| strsim::damerau_levenshtein(&key.to_lowercase(), &name.to_lowercase());
    match known.iter().min_by_key(distance) {
        Some(name) if distance(&name) * 2 <= name.len() => format!("; did you mean `{name}`?"),
        Some(name) => format!("; the nearest key here is `{name}`, of {}", known.join(", ")),
        None => String::new(),
    }
}

impl Error {
    /// What the YAML reader found, in our words and with the place.
    pub(super) fn found(error: &serde_saphyr::Error, file: &str) -> Self {
        let error = error.without_snippet();
        let location = Location {
            file: file.to_owned(),
            line_and_column: error.location().map(|location| (location.line(), location.column())),
        };
        match error {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                Self::UnknownKey { location, key: field.clone(), known: expected.clone() }
            }
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
                Self::Invalid { location, message: format!("`{variant}` is not one of {}", expected.join(", ")) }
            }
            error => Self::Invalid { location, message: message(error) },
        }
    }

    /// A configuration whose parts do not go together.
    pub(super) fn contradiction(file: &str, message: String) -> Self {
        Self::Invalid { location: Location { file: file.to_owned(), line_and_column: None }, message }
    }
}

/// The text of an error without the place, which stands before it already, and without advice to programmers.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |place| &text[..place]);
    let text = text.split("; use ").next().unwrap_or(text);
    match text {
        text if text.contains("expected sequence start") => "a list is expected here".to_owned(),
        text if text.contains("expected mapping start") => "a mapping of keys and values is expected here".to_owned(),
        text if text.contains("invalid u32") => "a whole number is expected here, such as 64".to_owned(),
        text if text.contains("null into string") => "a text is expected here, and there is none".to_owned(),
        text if text.contains("multiple YAML documents") => {
            "a second document begins here; the file holds one".to_owned()
        }
        text if text.contains("duplicate mapping key") => {
            format!("{}; each key stands once", text.split(',').next().unwrap_or(text))
        }
        text => text.to_owned(),
    }
}

/// A value that has the right type and makes no sense.
#[derive(Debug)]
pub(super) struct Invalid(pub(super) String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
