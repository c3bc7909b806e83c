//! The reasons why an edit is refused, with the fix for each.

use std::fmt;

use colocate_companion::FieldPath;

use crate::file_view::PossibleChange;
use crate::position::Position;

/// The reason why an object that should get a scheduler is not changed in its manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct EditRefusal {
    /// The position of the obstacle.
    pub position: Position,
    /// The path of the field that cannot be changed.
    pub field: String,
    /// The obstacle.
    pub obstacle: Obstacle,
}

/// An obstacle to an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The pod spec, or a mapping that leads to it, is missing or empty.
    NoMapping,
    /// The pod spec, or a mapping that leads to it, is an alias.
    Alias,
    /// The pod spec, or a mapping that leads to it, has an anchor that is used.
    Anchor,
    /// `schedulerName`, or a field that leads to it, comes from a merge key.
    Merge,
    /// `schedulerName` is a number, a boolean or a collection.
    NotText,
    /// `schedulerName` is a block scalar, whose end position is not known exactly.
    Block,
    /// The document is encrypted with SOPS.
    Encrypted,
    /// The document has a character that ends a line for some YAML parsers only.
    LineBreak(char),
    /// The edit would change more than this field.
    SideEffect,
    /// It is not known whether the object's Namespace opts out. The text is the reason.
    Namespace(String),
    /// A kustomization may change what the decision depends on.
    Kustomization(PossibleChange),
}

impl EditRefusal {
    pub(crate) fn new(obstacle: Obstacle, position: Position, path: &FieldPath) -> Self {
        Self { position, field: path.to_string(), obstacle }
    }
}

impl fmt::Display for EditRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.obstacle {
            Obstacle::NoMapping => "is not a mapping with entries: write its fields here",
            Obstacle::Alias => {
                "is an alias, so a change would also apply wherever its anchor is used: replace the alias with its value"
            }
            Obstacle::Anchor => {
                "has an anchor that is used elsewhere, so a change would also apply there: replace the aliases with \
                 their value"
            }
            Obstacle::Merge => "comes from a merge key (`<<`): set it here",
            Obstacle::NotText => "is not a string: use the name of a scheduler",
            Obstacle::Block => "is a block scalar (`|` or `>`): write it on one line",
            Obstacle::Encrypted => {
                "is SOPS' checksum of the document, which a change would make invalid: set schedulerName with `sops edit`"
            }
            Obstacle::LineBreak(c) => {
                let code = u32::from(*c);
                return write!(
                    f,
                    "the character U+{code:04X} ends a line for kubectl, but not for newer YAML parsers: remove it, or \
                     escape it in double quotes"
                );
            }
            Obstacle::Namespace(text) => return write!(f, "{text}"),
            Obstacle::Kustomization(PossibleChange { cause, advice }) => {
                return write!(f, "{cause} may change what the decision depends on: {advice}");
            }
            Obstacle::SideEffect => "cannot be set without changing something else: set it manually",
        };
        write!(f, "`{}` {what}", self.field)
    }
}
