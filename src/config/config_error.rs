//! An error in a configuration, with its position.

use std::io;
use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", .path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has no content.
    #[error("{file}: the file is empty or has only comments: write {{}} to use the defaults")]
    Empty {
        /// The name of the file.
        file: String,
    },
    /// The text is not a configuration.
    #[error("{location}: {message}")]
    Invalid {
        /// The file, with the line and the column if they are known.
        location: String,
        /// The error, and what to write instead.
        message: String,
    },
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    /// Converts an error of the YAML parser, and puts the position first.
    pub(super) fn found(error: &serde_saphyr::Error, file: &str) -> Self {
        let error = error.without_snippet();
        let location = match error.location() {
            Some(place) => format!("{file}:{}:{}", place.line(), place.column()),
            None => file.to_owned(),
        };
        let message = match error {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
                format!("`{variant}` is not one of {}", expected.join(", "))
            }
            error => message(error),
        };
        Self::Invalid { location, message }
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let distance = |name: &&&str| strsim::damerau_levenshtein(&key.to_lowercase(), &name.to_lowercase());
    let hint = match known.iter().min_by_key(distance) {
        Some(name) if distance(&name) * 2 <= name.len() => format!("; did you mean `{name}`?"),
        Some(_) => format!("; the valid keys here are {}", known.join(", ")),
        None => String::new(),
    };
    format!("unknown key `{key}`{hint}")
}

/// Returns the text of an error without its position, which is put first, and without advice for programmers.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |place| &text[..place]);
    let text = text.split("; use ").next().unwrap_or(text);
    match text {
        text if text.contains("expected sequence start") => "a list is expected here".to_owned(),
        text if text.contains("expected mapping start") => "a mapping of keys and values is expected here".to_owned(),
        text if text.contains("invalid u32") => "a whole number is expected here, such as 64".to_owned(),
        text if text.contains("null into string") => "a string is expected here, but the value is missing".to_owned(),
        text if text.contains("multiple YAML documents") => {
            "a second YAML document begins here: use a single document".to_owned()
        }
        text if text.contains("duplicate mapping key") => {
            format!("{}: use each key once", text.split(',').next().unwrap_or(text))
        }
        text => text.to_owned(),
    }
}
