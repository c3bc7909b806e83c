//! Answers validating admission reviews, from the bytes of a review to the bytes of its response.

use std::sync::Arc;
use std::time::Duration;

use super::{RequestConfig, SharedConfig};
use crate::claims::{ClaimSource, Deadlines};
use crate::companion::{
    Enforcement, Facts, Screening, Severity, Strategies, Subject, ValidationReport, ValidationRequest, denial, warnings,
};
use crate::engine::dns::MAX_SUBDOMAIN;
use crate::engine::{AdmissionResponse, AuditAnnotations, Malformed, Policy, Warning, one_line};
use crate::process::metrics::Metrics;

/// Validates the annotations of objects.
pub struct ValidateHandler {
    config: SharedConfig,
    claims: Arc<ClaimSource>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for ValidateHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidateHandler").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The answer to a review.
#[derive(Debug, Default)]
struct ValidateAnswer {
    denied: Option<String>,
    warnings: Vec<Warning>,
    /// The ids of the rules with findings.
    findings: String,
    /// The ids of the rules that could not be checked.
    unchecked: String,
}

impl ValidateHandler {
    /// Creates a handler that validates each object by the current `config`.
    pub fn new(config: SharedConfig, claims: Arc<ClaimSource>, metrics: Arc<Metrics>) -> Self {
        Self { config, claims, metrics }
    }

    /// Answers a review. Its sender waits for `timeout`.
    ///
    /// # Errors
    /// If the body is not a review, or the object does not have the structure of its kind.
    pub async fn review(&self, body: &[u8], timeout: Duration) -> Result<Vec<u8>, Malformed> {
        let config = self.config.now();
        let review = ValidationRequest::parse(body)?;
        let answer = if config.validation.enforcement == Enforcement::Off {
            self.metrics.validations.inc(["off"]);
            ValidateAnswer::default()
        } else {
            match review.screen(&config.policy)? {
                Screening::Skipped(why) => {
                    self.metrics.validations.inc([why]);
                    ValidateAnswer::default()
                }
                Screening::Checked { new, old } => {
                    let report = self
                        .report(
                            &config,
                            review.namespace(),
                            &new,
                            old.as_deref(),
                            Deadlines::new(timeout, Duration::ZERO),
                        )
                        .await;
                    self.judge(config.validation.enforcement, &review, &report)
                }
            }
        };
        Ok(answer.response().encode(&review.uid))
    }

    /// Returns the findings that the old object did not have.
    async fn report(
        &self,
        config: &RequestConfig,
        namespace: &str,
        new: &Subject<'_>,
        old: Option<&Subject<'_>>,
        deadlines: Deadlines,
    ) -> ValidationReport {
        let (policy, severities) = (&config.policy, &config.validation.severities);
        if new.is_silent(policy) {
            return ValidationReport::default();
        }
        let facts = self.facts(namespace, new, policy, deadlines).await;
        let report = new.check(policy, severities, &facts);
        match old {
            Some(old) if report != ValidationReport::default() => {
                let before =
                    Facts { claims: self.claims.mounted(namespace, &old.claims(), policy, deadlines).await, ..facts };
                report.since(&old.check(policy, severities, &before))
            }
            _ => report,
        }
    }

    async fn facts(&self, namespace: &str, subject: &Subject<'_>, policy: &Policy, deadlines: Deadlines) -> Facts {
        let names: Vec<_> = subject.strategy_names().collect();
        let strategies = if names.is_empty() {
            Strategies::default()
        } else {
            self.claims.placement_strategies(&names, deadlines).await
        };
        let claims = self.claims.mounted(namespace, &subject.claims(), policy, deadlines).await;
        // The webhook configuration excludes Namespaces that opt out. A new class has no claims, and its parameters are
        // immutable.
        Facts { claims, class_access: None, strategies, namespace_opted_out: false }
    }

    fn judge(
        &self,
        enforcement: Enforcement,
        review: &ValidationRequest<'_>,
        report: &ValidationReport,
    ) -> ValidateAnswer {
        for finding in &report.findings {
            self.metrics.findings.inc([finding.rule.id(), finding.severity.as_str()]);
        }
        let denied = if enforcement == Enforcement::Enforce { denial(report) } else { None };
        let warnings = if denied.is_some() { Vec::new() } else { warnings(report) };
        let result = match report.worst() {
            _ if denied.is_some() => "denied",
            Some(Severity::Error | Severity::Warning) => "warned",
            Some(Severity::Info) | None => "clean",
        };
        self.metrics.validations.inc([result]);
        let findings = ids(report.findings.iter().map(|finding| finding.rule.id()));
        let unchecked = ids(report.unchecked.iter().map(|open| open.rule.id()));
        if !(findings.is_empty() && unchecked.is_empty()) {
            tracing::debug!(
                findings,
                unchecked,
                denied = denied.is_some(),
                operation = review.operation.as_str(),
                kind = one_line(&review.kind.kind, MAX_SUBDOMAIN),
                namespace = one_line(review.namespace(), MAX_SUBDOMAIN),
                name = one_line(review.name(), MAX_SUBDOMAIN),
                "validated"
            );
        }
        ValidateAnswer { denied, warnings, findings, unchecked }
    }
}

/// Joins the ids in order, without duplicates.
fn ids(rules: impl Iterator<Item = &'static str>) -> String {
    let mut ids: Vec<_> = rules.collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(" ")
}

impl ValidateAnswer {
    fn response(&self) -> AdmissionResponse<'_> {
        let annotations =
            AuditAnnotations { findings: &self.findings, unchecked: &self.unchecked, ..AuditAnnotations::default() };
        let has_any = !(self.findings.is_empty() && self.unchecked.is_empty());
        AdmissionResponse {
            denied: self.denied.as_deref(),
            warnings: &self.warnings,
            audit_annotations: has_any.then_some(annotations),
            ..AdmissionResponse::default()
        }
    }
}
