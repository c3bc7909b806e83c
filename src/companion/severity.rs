//! How much a finding matters, and what an operator makes of that.

use std::collections::BTreeMap;
use std::fmt;

use super::rule::Rule;

/// How much a finding matters. Those that matter more are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know; never an admission warning.
    Info,
    /// It may well not do what was meant.
    Warning,
    /// It does not do what was meant; where findings are enforced, it is denied.
    Error,
}

impl Severity {
    /// Every severity, from the one that matters most.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operator says of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is not checked.
    Off,
    /// Its findings are of this severity.
    As(Severity),
}

/// The severity of each rule: its own, or what the operator says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
            Some(Level::As(severity)) => Some(*severity),
        }
    }
}
