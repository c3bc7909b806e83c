//! What is not changed, and what to write instead.

use crate::position::Position;

/// Why a manifest is left as it is, though an object in it should get a scheduler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A mapping on the way to the field, or the pod spec, is not there.
    #[error("`{field}` is no mapping that holds something: nothing can be set in it")]
    NoMapping {
        /// Where its nearest parent is.
        at: Position,
        /// The path of the field.
        field: String,
    },
    /// A mapping on the way to the field, or the pod spec, is an alias.
    #[error(
        "`{field}` is an alias: a change here would show wherever the same anchor is used; write it out in \
         place of the alias"
    )]
    Alias {
        /// Where the alias is.
        at: Position,
        /// The path of the field.
        field: String,
    },
    /// A mapping on the way to the field, or the pod spec, has an anchor that is used.
    #[error(
        "`{field}` has an anchor that is used elsewhere: a change here would show there too; write it out \
         in place of the aliases"
    )]
    Anchor {
        /// Where the mapping begins.
        at: Position,
        /// The path of the field.
        field: String,
    },
    /// A field on the way, or `schedulerName` itself, comes from a merge key.
    #[error("a merge key (`<<`) brings `{field}`: write it out where it is meant")]
    Merge {
        /// Where the merge key is.
        at: Position,
        /// The path of the field.
        field: String,
    },
    /// `schedulerName` is a number, a boolean or a collection.
    #[error("`{field}` is no text: write the name of a scheduler")]
    NoText {
        /// Where its value is.
        at: Position,
        /// The path of the field.
        field: String,
    },
    /// `schedulerName` is written as a block scalar, whose end is not exact.
    #[error("`{field}` is written over several lines (`|` or `>`): write it in one line")]
    Block {
        /// Where its value is.
        at: Position,
        /// The path of the field.
        field: String,
    },
    /// The document holds a character that only some readers of YAML take for the end of a line.
    #[error(
        "a character stands here (U+{code:04X}) that kubectl takes for the end of a line and newer readers of \
         YAML do not: take it out, or write the text in double quotes with an escape"
    )]
    LineBreak {
        /// Where the character is.
        at: Position,
        /// The character.
        code: u32,
    },
    /// The changed text would mean something else than the old one with the one field set.
    #[error("`{field}` cannot be set without a change to something else: set it by hand")]
    Unsafe {
        /// Where the change would be.
        at: Position,
        /// The path of the field.
        field: String,
    },
}

impl Refusal {
    /// Where it is.
    pub fn position(&self) -> Position {
        match self {
            Self::NoMapping { at, .. }
            | Self::Alias { at, .. }
            | Self::Anchor { at, .. }
            | Self::Merge { at, .. }
            | Self::NoText { at, .. }
            | Self::Block { at, .. }
            | Self::LineBreak { at, .. }
            | Self::Unsafe { at, .. } => *at,
        }
    }
}
