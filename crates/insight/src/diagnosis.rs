//! The cause of the scheduler of a live object.
//!
//! Each verdict states its evidence. An object that could not be read makes a verdict weaker, down to `missed` and `unknown`, but
//! never wrong.

mod pod_case;
mod registration;
mod template;
mod template_case;
#[cfg(test)]
mod tests;

use colocate_engine::{Owner, Reason};

use super::expectation::{Expectation, ExpectedClaim, Outcome};
use super::verdict::Verdict;

pub use pod_case::PodCase;
pub use registration::{Change, Ground, Registration};
pub use template::Template;
pub use template_case::TemplateCase;

/// The cause of a live object's scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// The evidence, one sentence each, the decisive one first.
    pub evidence: Vec<String>,
}

impl Diagnosis {
    fn new(verdict: Verdict, evidence: impl Into<String>) -> Self {
        Self { verdict, evidence: vec![evidence.into()] }
    }

    /// Returns the diagnosis for a configuration of colocate that is not known: with another one, the verdict may be another.
    #[must_use]
    pub fn assuming_defaults(self) -> Self {
        let Self { verdict, evidence } = self;
        if verdict == Verdict::Unknown {
            return Self { verdict, evidence };
        }
        let text = format!(
            "the configuration of colocate is not known (pass it with --config); with its defaults, the verdict is {verdict}"
        );
        Self::new(Verdict::Unknown, text).and(evidence)
    }

    /// Returns the diagnosis of an object that has ended, as this clause says.
    #[must_use]
    pub fn after_end(self, end: &str) -> Self {
        let Self { verdict, evidence } = self;
        if verdict.is_expected() {
            return Self { verdict, evidence };
        }
        Self::new(Verdict::Ended, format!("{end}; otherwise, the verdict would be {verdict}")).and(evidence)
    }

    fn and(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }
}

/// Returns the verdict about an object of which a fact is missing.
fn unknown(expectation: &Expectation) -> Option<Diagnosis> {
    if expectation.outcome() != Outcome::Unknown {
        return None;
    }
    let open = expectation.claims.iter().filter(|claim| matches!(claim.owner, Owner::Missing | Owner::Unknown(_)));
    let claims: Vec<_> = open.map(describe).collect();
    let unknown_fact = expectation.unknown_fact.map(|unknown_fact| unknown_fact.explanation().to_owned());
    let mut evidence: Vec<_> = claims.into_iter().chain(unknown_fact).collect();
    if evidence.is_empty() {
        evidence.push(expectation.reason.explanation().to_owned());
    }
    Some(Diagnosis { verdict: Verdict::Unknown, evidence })
}

fn describe(claim: &ExpectedClaim) -> String {
    let label = &claim.label;
    match &claim.owner {
        Owner::Missing => format!("{label} does not exist"),
        _ => format!("the driver of {label} is not known"),
    }
}

/// Returns true if colocate chose the scheduler.
fn is_chosen(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Injected | Reason::InjectedMissing | Reason::WouldInject | Reason::Kept | Reason::WouldKeep
    )
}
