//! The operator's settings for validation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::severity::Severity;

/// The settings for the validation of reviews.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationPolicy {
    /// The consequence of findings.
    pub enforcement: Enforcement,
    /// The severity of each rule.
    pub severities: Severities,
}

/// The consequence of findings in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Enforcement {
    /// Findings are warnings to the user who sent the object.
    #[default]
    Warn,
    /// A finding of severity error denies the object.
    Enforce,
    /// Objects are not checked.
    Off,
}

/// The operator's setting for one rule: it is off, or its findings have this severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Level {
    Off,
    Info,
    Warning,
    Error,
}

/// The severity of each rule: its default, or the operator's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Severities(BTreeMap<Rule, Level>);

impl Severities {
    /// Makes severities that differ from the defaults for these rules only.
    pub fn new(changed: impl IntoIterator<Item = (Rule, Level)>) -> Self {
        Self(changed.into_iter().collect())
    }

    /// Returns the severity of a rule's findings; `None` if the rule is off.
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
