//! The cause of a scheduler, with links to the documentation of its verdict and its reason.

use crate::engine::DEFAULT_SCHEDULER;
use crate::insight::{Diagnosis, Expectation, Verdict};
use crate::inspect::why::report::{Cause, Fix};

/// The page that explains every reason and verdict.
const DOCUMENTATION: &str = "docs/reasons.md";

pub(super) fn cause(diagnosis: Diagnosis, expectation: &Expectation, scheduler: &str, fix: Option<Fix>) -> Cause {
    let Diagnosis { verdict, evidence } = diagnosis;
    let expected = match verdict {
        Verdict::Unknown | Verdict::Ended => None,
        verdict if verdict.is_expected() => Some(scheduler.to_owned()),
        Verdict::OptedOutLater | Verdict::InjectedEarlier => Some(DEFAULT_SCHEDULER.to_owned()),
        _ => Some(expectation.scheduler.to_string()),
    };
    Cause {
        verdict,
        explanation: verdict.explanation(),
        documentation: format!("{DOCUMENTATION}#verdict-{verdict}"),
        scheduler: scheduler.to_owned(),
        expected_scheduler: expected,
        reason: expectation.reason.as_str(),
        reason_documentation: format!("{DOCUMENTATION}#reason-{}", expectation.reason),
        evidence,
        warnings: expectation.warnings.iter().map(ToString::to_string).collect(),
        fix,
    }
}
