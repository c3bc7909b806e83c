//! The cause of the scheduler of a workload's template.

use colocate_engine::{Policy, Reason, Source};
use jiff::Timestamp;

use super::registration::{Exclusion, Registered, Registration};
use super::template::Template;
use super::{Diagnosis, unknown};
use crate::expectation::{Expectation, Outcome};
use crate::verdict::Verdict;

/// The facts about a workload and its template.
pub struct TemplateCase<'a> {
    /// The policy of colocate.
    pub policy: &'a Policy,
    /// The creation of the workload.
    pub created: Option<Timestamp>,
    /// The last write to its template after its creation.
    pub written: Option<Timestamp>,
    /// The expectation of the workload.
    pub expectation: &'a Expectation,
    /// The scheduler that its template names.
    pub template: &'a Template,
    /// The registration of colocate; `None` if it could not be read.
    pub registration: Option<&'a Registration>,
}

impl TemplateCase<'_> {
    /// Finds the cause of the scheduler of a workload's template.
    pub fn diagnose(&self) -> Diagnosis {
        let Self { policy, created, written, expectation, template, registration } = self;
        if let Some(unknown) = unknown(expectation) {
            return unknown;
        }
        if expectation.outcome() == Outcome::AsExpected {
            let names_driver = match expectation.reason {
                Reason::AlreadySet | Reason::OptOutWithoutEffect => true,
                // It keeps any scheduler.
                Reason::NamespaceOptedOut | Reason::OwnerOptedOut => policy.drivers.has_scheduler(&template.scheduler),
                _ => false,
            };
            let leftover = names_driver && template.source == Some(Source::OmitsScheduler);
            return if leftover {
                let text = format!("the template names {}, and its source does not", template.scheduler);
                Diagnosis::new(Verdict::InjectedEarlier, text)
            } else {
                Diagnosis::new(Verdict::AsExpected, expectation.reason.explanation())
            };
        }
        if expectation.reason == Reason::WouldInject {
            let text = format!("in mode: inject, it would have the scheduler {}", expectation.scheduler);
            return Diagnosis::new(Verdict::AuditMode, text);
        }
        let last = (*written).max(*created);
        let text = last.map_or_else(
            || "its writes are not recorded".to_owned(),
            |last| match written {
                Some(_) => format!(
                    "its pod template was last written at {last}, apart from writes that only removed fields, which are not recorded"
                ),
                None => format!("its pod template was last written at {last}"),
            },
        );
        let uncertainty = match registration.zip(last).map(|(registration, last)| registration.at(last)) {
            Some(Registered::Later(later)) => return Diagnosis::new(Verdict::BeforeColocate, text).and([later]),
            Some(Registered::NotKnown(uncertainty)) => Some(uncertainty),
            Some(Registered::Yes) | None => None,
        };
        let exclusion = registration.zip(last).and_then(|(registration, last)| registration.exclusion(last));
        if let Some(Exclusion::Certain(why)) = exclusion {
            return Diagnosis::new(Verdict::NotSent, why);
        }
        let exclusion = exclusion.into_iter().flat_map(Exclusion::into_evidence);
        Diagnosis::new(Verdict::Missed, text).and(uncertainty).and(exclusion)
    }
}
