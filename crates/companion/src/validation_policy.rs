//! How an operator configures validation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::severity::Severity;

/// How reviews are validated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationPolicy {
    /// What becomes of findings.
    pub enforcement: Enforcement,
    /// How much each rule matters.
    pub severities: Severities,
}

/// What becomes of findings in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Enforcement {
    /// They are told to whoever made the object.
    #[default]
    Warn,
    /// One of severity error denies the object.
    Enforce,
    /// Nothing is looked at.
    Off,
}

/// The setting of an operator for one rule: it is not checked, or its findings have this severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Level {
    Off,
    Info,
    Warning,
    Error,
}

/// The severity of each rule: its own, or what the operator says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Severities(BTreeMap<Rule, Level>);

impl Severities {
    /// Those that differ from the rules' own.
    pub fn new(changed: impl IntoIterator<Item = (Rule, Level)>) -> Self {
        Self(changed.into_iter().collect())
    }

    /// The severity of a rule's findings; `None` where it is not checked.
    pub fn of(&self, rule: Rule) -> Option<Severity> {
        match self.0.get(&rule) {
            None => Some(rule.severity()),
            Some(Level::Off) => None,
            Some(Level::Info) => Some(Severity::Info),
            Some(Level::Warning) => Some(Severity::Warning),
            Some(Level::Error) => Some(Severity::Error),
        }
    }
}
