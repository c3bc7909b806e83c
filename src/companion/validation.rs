//! What an operator decides about validation.

use super::severity::Severities;

/// How reviews are validated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// What becomes of findings.
    pub enforcement: Enforcement,
    /// How much each rule matters.
    pub severities: Severities,
}

/// What becomes of findings in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// They are told to whoever made the object.
    #[default]
    Warn,
    /// One of severity error denies the object.
    Enforce,
    /// Nothing is looked at.
    Off,
}
