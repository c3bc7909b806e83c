//! The reasons why an edit is not made, with the fix for each.

use std::fmt;

use colocate_companion::FieldPath;

use crate::position::Position;

/// The reason why a manifest stays as it is, though an object in it should get a scheduler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct EditRefusal {
    /// The place of the obstacle.
    pub position: Position,
    /// The path of the field that cannot be changed.
    pub field: String,
    /// The obstacle.
    pub obstacle: Obstacle,
}

/// An obstacle to an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A mapping on the way to the field, or the pod spec, is missing or empty.
    NoMapping,
    /// A mapping on the way to the field, or the pod spec, is an alias.
    Alias,
    /// A mapping on the way to the field, or the pod spec, has an anchor that is used.
    Anchor,
    /// A field on the way, or `schedulerName` itself, comes from a merge key.
    Merge,
    /// `schedulerName` is a number, a boolean or a collection.
    NotText,
    /// `schedulerName` is written as a block scalar, whose end is not exact.
    Block,
    /// The document has a character that ends a line for some YAML readers only.
    LineBreak(char),
    /// The changed text would not be the old one with this one field set.
    SideEffect,
}

impl EditRefusal {
    pub(super) fn new(obstacle: Obstacle, position: Position, path: &FieldPath) -> Self {
        Self { position, field: path.to_string(), obstacle }
    }
}

impl fmt::Display for EditRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.obstacle {
            Obstacle::NoMapping => "is not a mapping with entries, so that nothing can be set in it",
            Obstacle::Alias => {
                "is an alias: a change here would show wherever the same anchor is used; write it out in place of the \
                 alias"
            }
            Obstacle::Anchor => {
                "has an anchor that is used elsewhere: a change here would show there too; write it out in place of \
                 the aliases"
            }
            Obstacle::Merge => "comes from a merge key (`<<`): write it out here",
            Obstacle::NotText => "is not text: write the name of a scheduler",
            Obstacle::Block => "is written over several lines (`|` or `>`): write it in one line",
            Obstacle::LineBreak(c) => {
                let code = u32::from(c);
                return write!(
                    f,
                    "kubectl ends a line at the character U+{code:04X}, and newer YAML readers do not: remove it, or \
                     write the text in double quotes with an escape"
                );
            }
            Obstacle::SideEffect => "cannot be set without a change to something else: set it by hand",
        };
        write!(f, "`{}` {what}", self.field)
    }
}
