//! What was found in one object.

use super::field_path::FieldPath;
use super::rule::Rule;
use super::severity::Severity;

/// One thing that Stork will not read as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: Rule,
    /// How much it matters here.
    pub severity: Severity,
    /// What is, and what follows from it.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
    /// Where in the object.
    pub path: FieldPath,
    /// Which end of the path it is about.
    pub part: Part,
}

/// A key of a map, or what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// A rule that could not be checked, for want of something that is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The rule.
    pub rule: Rule,
    /// The severity that a finding would have.
    pub severity: Severity,
    /// What is not known.
    pub why: String,
    /// What the rule is about.
    pub path: FieldPath,
}

/// All that was found in one object, in the order of its places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationReport {
    /// What was found.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub unchecked: Vec<Unchecked>,
    /// Whether there is more of the one or the other than is listed here.
    pub cut: bool,
}

/// As many findings of one object are listed; a person reads the first few, and an object with more was made to have them.
pub(super) const MOST: usize = 200;

impl ValidationReport {
    /// Without what `before`, an earlier state of the object, had already: a change that does not touch what a rule is about
    /// is none of its business.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        // A place in a list says nothing of what stands there: a volume before it moves it.
        let same = |one: &Finding, other: &Finding| {
            (one.rule, &one.message) == (other.rule, &other.message) && one.path.is_like(&other.path)
        };
        self.cut &= !before.cut;
        self.findings.retain(|finding| !before.findings.iter().any(|old| same(finding, old)));
        self.unchecked.retain(|open| !before.unchecked.contains(open));
        self
    }

    /// The severity of what matters most; `None` where nothing was found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
