//! The fix for a pod or a template: advice, a command, and the budgets that it must respect.

use super::Explainer;
use crate::api::ApiError;
use crate::engine::{Reason, amount};
use crate::insight::{Budget, Diagnosis, Expectation, LiveMetadata, LivePod, Registration, Verdict, WrongPod};
use crate::inspect::kinds;
use crate::inspect::why::report::Fix;
use crate::inspect::why::target::TargetKind;

impl Explainer<'_> {
    /// Returns what to do about a pod.
    pub(super) async fn pod_fix(
        &mut self,
        pod: &LivePod<'_>,
        diagnosis: &Diagnosis,
        expectation: &Expectation,
        registration: Option<&Registration>,
    ) -> Result<Option<Fix>, ApiError> {
        let is_away = self.installation.is_away();
        let Some((mut advice, mut is_created_again)) = advice(diagnosis, registration, is_away) else {
            return Ok(None);
        };
        // API servers do not send a new pod to colocate, so it has the scheduler of its template.
        if diagnosis.verdict == Verdict::OptedOutLater && expectation.reason == Reason::NamespaceOptedOut {
            (advice, is_created_again) = ("Create the pod again.".to_owned(), true);
        }
        if !is_created_again {
            return Ok(Some(Fix { advice, command: None, notes: Vec::new(), is_recreation: false }));
        }
        let namespace = self.namespace.clone();
        let hides = "the budgets that an eviction must respect";
        let wrong = WrongPod::of_live(pod, &self.policy.workloads);
        let covers = |budget: &Budget| budget.covers(&wrong);
        let budgets = self.reader.list(kinds::BUDGETS, Some(&namespace), hides, covers).await?.unwrap_or_default();
        let notes = budgets.iter().map(|budget| {
            let disruptions = amount(budget.allowed(), "disruption");
            format!("PodDisruptionBudget {namespace}/{} allows {disruptions} now", budget.metadata.name)
        });
        let notes = notes.collect();
        // The repair plan leaves the pod out for the same reasons.
        if let Some(why) = wrong.keeps(&budgets) {
            let advice = format!("{advice} Do not evict it: {why}.");
            return Ok(Some(Fix { advice, command: None, notes, is_recreation: true }));
        }
        let LiveMetadata { name, uid, .. } = &pod.metadata;
        let command = self.kubectl.evict(&namespace, name, uid);
        Ok(Some(Fix { advice, command: Some(command), notes, is_recreation: true }))
    }

    pub(super) fn template_fix(
        &self,
        kind: TargetKind,
        name: &str,
        diagnosis: &Diagnosis,
        registration: Option<&Registration>,
    ) -> Option<Fix> {
        let (advice, is_created_again) = advice(diagnosis, registration, self.installation.is_away())?;
        let restart = is_created_again && matches!(kind.name, "Deployment" | "StatefulSet" | "DaemonSet");
        let command = restart.then(|| {
            let resource = kind.name.to_ascii_lowercase();
            let (namespace, object) = (format!("--namespace={}", self.namespace), format!("{resource}/{name}"));
            self.kubectl.command([&namespace, "rollout", "restart", &object])
        });
        let advice = if restart { "Restart the rollout of the workload.".to_owned() } else { advice };
        Some(Fix { advice, command, notes: Vec::new(), is_recreation: is_created_again })
    }
}

/// Returns what to do, and whether it is to create the pod again; `None` if nothing is to be done. A new pod would be like the
/// old one if it is not sent to colocate, or if colocate does not answer.
fn advice(diagnosis: &Diagnosis, registration: Option<&Registration>, is_away: bool) -> Option<(String, bool)> {
    let verdict = diagnosis.verdict;
    let is_created_again = verdict.is_fixed_by_recreation();
    if verdict.is_expected() {
        None
    } else if is_created_again && registration.is_some_and(|registration| registration.created.is_none()) {
        Some(("Register the webhook of colocate first, then create the pod again.".to_owned(), false))
    } else if is_created_again && registration.is_some_and(Registration::excludes) {
        Some((Verdict::NotSent.advice().to_owned(), false))
    } else if is_created_again && is_away && registration.is_none_or(|found| found.also_called.is_empty()) {
        let advice = "Make colocate available first: none of its replicas is ready now. Then create the pod again.";
        Some((advice.to_owned(), false))
    } else {
        Some((verdict.advice().to_owned(), is_created_again))
    }
}
