//! Failures that concern one file, the cluster, or the whole run.

use super::one_line;
use super::paint::bounded;
use crate::manifest::{ParseError, Position, ReadError, Source};

/// A failure. It makes the exit code 1.
#[derive(Debug)]
pub(super) struct Problem {
    /// The file and the position in it, if it is about one.
    pub(super) place: Option<(String, Position)>,
    /// The error in one line.
    pub(super) what: String,
    /// The line of the file, and a line with a caret below the position.
    excerpt: String,
}

impl Problem {
    /// A document that cannot be parsed.
    pub(super) fn of_document(source: &Source, error: &ParseError) -> Self {
        let place = Some((source.name.clone(), error.position));
        Self { place, what: error.message.clone(), excerpt: format!("{}\n", error.excerpt()) }
    }

    /// A failure that concerns a whole file.
    pub(super) fn of_file(source: &Source, what: String) -> Self {
        let place = Some((source.name.clone(), Position { line: 1, column: 1 }));
        Self { place, what, excerpt: String::new() }
    }

    /// Renders the lines for standard error: `FILE:LINE:COLUMN: ...`, as editors read them.
    pub(super) fn lines(&self) -> String {
        let Self { place, what, excerpt } = self;
        let line = match place {
            Some((file, position)) => format!("{file}:{position}: {what}"),
            None => format!("colocate: {what}"),
        };
        bounded(&line) + "\n" + excerpt
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoText { path, position, what } | ReadError::Pattern { path, position, what } => {
                Self { place: Some((path.display().to_string(), position)), what, excerpt: String::new() }
            }
            error => (&anyhow::Error::from(error)).into(),
        }
    }
}

impl From<&anyhow::Error> for Problem {
    fn from(error: &anyhow::Error) -> Self {
        Self { place: None, what: one_line(error), excerpt: String::new() }
    }
}
