//! Answers mutating admission reviews, from the bytes of a review to the bytes of its response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SharedConfig;
use crate::claims::{ClaimSource, Deadlines};
use crate::engine::dns::MAX_SUBDOMAIN;
use crate::engine::{
    AdmissionResponse, Decision, Examination, Malformed, Policy, Request, Review, Visibility, examine, one_line,
};
use crate::events::EventRecorder;
use crate::process::metrics::Metrics;
use crate::schedulers::SchedulerRegistry;

/// Decides requests by the policy and the claims of the pod.
pub struct MutateHandler {
    config: SharedConfig,
    claims: Arc<ClaimSource>,
    registry: SchedulerRegistry,
    events: EventRecorder,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for MutateHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MutateHandler").field("config", &self.config).finish_non_exhaustive()
    }
}

impl MutateHandler {
    /// Creates a handler that decides each request by the current `config`.
    pub fn new(
        config: SharedConfig,
        claims: Arc<ClaimSource>,
        registry: SchedulerRegistry,
        events: EventRecorder,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { config, claims, registry, events, metrics }
    }

    /// Answers a review. Its sender waits for `timeout`.
    ///
    /// # Errors
    /// If the body is not a review.
    pub async fn review(&self, body: &[u8], timeout: Duration) -> Result<Vec<u8>, Malformed> {
        let started = Instant::now();
        let config = self.config.now();
        let review = Review::parse(body, &config.policy.workloads)?;
        let request = &review.request;
        let decision = match examine(&config.policy, request) {
            Examination::Decided(decision) => decision,
            Examination::Resolve(pending) => {
                let deadlines = Deadlines::new(timeout, config.wait);
                let owners = self.claims.owners(request, &pending, deadlines, &self.metrics).await;
                pending.decide(owners, |driver| self.registry.presence(driver))
            }
        };
        self.report(&config.policy, request, &decision, started.elapsed());
        self.events.record(request, &decision);
        Ok(AdmissionResponse::from(&decision).encode(&request.uid))
    }

    fn report(&self, policy: &Policy, request: &Request<'_>, decision: &Decision<'_>, took: Duration) {
        let (reason, operation, kind) = (decision.reason.as_str(), request.operation.as_str(), &request.kind);
        let known = policy.workloads.find(&kind.group, &kind.version, &kind.kind).is_some();
        self.metrics.decisions.inc([reason, operation, if known { &kind.kind } else { "other" }]);
        self.metrics.review_duration.observe(took);
        tracing::debug!(
            reason,
            operation,
            // The sender controls these strings. Each log format escapes them.
            kind = one_line(&kind.kind, MAX_SUBDOMAIN),
            namespace = one_line(request.namespace(), MAX_SUBDOMAIN),
            name = one_line(&request.display_name(), MAX_SUBDOMAIN),
            dry_run = request.dry_run,
            scheduler = decision.scheduler.as_deref(),
            claims = decision.owners.describe(&Visibility::default(), request.namespace()),
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "decided"
        );
    }
}
