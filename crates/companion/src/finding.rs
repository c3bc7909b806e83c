//! Findings in one object.

use super::field_path::FieldPath;
use super::rule::Rule;
use super::severity::Severity;

/// An annotation, label or parameter that Stork will not read as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// Its severity by the configuration.
    pub severity: Severity,
    /// The mistake and its consequence.
    pub message: String,
    /// The text to write instead.
    pub remedy: String,
    /// The path in the object.
    pub path: FieldPath,
    /// The end of the path that it is about.
    pub part: Part,
}

/// A key of a map, or its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// A rule that could not be checked because a fact is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The rule.
    pub rule: Rule,
    /// The severity that a finding would have.
    pub severity: Severity,
    /// The fact that is not known.
    pub why: String,
    /// The path that the rule is about.
    pub path: FieldPath,
}

/// The findings in one object, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationReport {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The rules that could not be checked.
    pub unchecked: Vec<Unchecked>,
    /// Whether there are more of either than are listed.
    pub cut: bool,
}

/// The most findings of one object that are listed. No one reads more, and only a hostile object has them.
pub(super) const MOST: usize = 200;

impl ValidationReport {
    /// Drops the findings that `before`, an earlier state of the object, had already: a change is responsible only for
    /// what it brings.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        // An index in a list does not identify an item: a volume inserted before it moves it.
        let same = |one: &Finding, other: &Finding| {
            (one.rule, &one.message) == (other.rule, &other.message) && one.path.is_like(&other.path)
        };
        self.cut &= !before.cut;
        self.findings.retain(|finding| !before.findings.iter().any(|old| same(finding, old)));
        self.unchecked.retain(|open| !before.unchecked.contains(open));
        self
    }

    /// The greatest severity; `None` without findings.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
