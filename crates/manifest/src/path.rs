//! Paths into a document.

/// One segment of a path into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The entry with this key.
    Key(&'a str),
    /// The item at this index, from 0.
    Index(usize),
}
