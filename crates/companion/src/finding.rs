//! Findings in one object.

use super::field_path::FieldPath;
use super::rule::Rule;
use super::severity::Severity;

/// An annotation, label or parameter that does not have the intended effect on Stork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// Its configured severity.
    pub severity: Severity,
    /// The mistake and its consequence.
    pub message: String,
    /// The fix.
    pub remedy: String,
    /// The path in the object.
    pub path: FieldPath,
    /// The part of the last path segment that it is about.
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
    /// Whether findings or unchecked rules were dropped.
    pub cut: bool,
}

/// The most findings that are listed for one object. Only a hostile object has more.
pub(super) const MAX_FINDINGS: usize = 200;

impl ValidationReport {
    /// Drops the findings that `before`, an earlier state of the object, already had: a change is only responsible for new
    /// findings.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        // List indices are ignored: inserting a volume shifts the ones after it.
        let same = |one: &Finding, other: &Finding| {
            (one.rule, &one.message) == (other.rule, &other.message) && one.path.is_like(&other.path)
        };
        self.cut &= !before.cut;
        self.findings.retain(|finding| !before.findings.iter().any(|old| same(finding, old)));
        self.unchecked.retain(|open| !before.unchecked.contains(open));
        self
    }

    /// The highest severity; `None` without findings.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
