//! The rows of webhooks: whether each is called for an object.

use super::Explainer;
use crate::insight::{Answer, Creation};
use crate::inspect::why::report::{PartAnswer, WebhookRow};

impl Explainer<'_> {
    /// Returns the rows of all webhooks with a rule for the object, and one of colocate in any case.
    pub(super) fn webhook_rows(&self, creation: &Creation<'_>) -> Vec<WebhookRow> {
        let mut rows = Vec::new();
        for (index, configuration) in self.configurations.iter().flatten().enumerate() {
            let is_own = self.own == Some(index);
            let colocate = is_own || configuration.is_colocate();
            let calls: Vec<_> = configuration.entries.iter().map(|entry| (entry, entry.call(creation))).collect();
            let has_rule = calls.iter().any(|(_, call)| call.rules == Answer::Yes);
            let shown = calls
                .iter()
                .enumerate()
                .filter(|(number, (_, call))| call.rules == Answer::Yes || (is_own && !has_rule && *number == 0));
            rows.extend(shown.map(|(_, (entry, call))| WebhookRow {
                configuration: configuration.name.clone(),
                webhook: entry.name.clone(),
                colocate,
                called: PartAnswer::from(&call.outcome()),
                rules: PartAnswer::from(&call.rules),
                namespace: PartAnswer::from(&call.namespace),
                object: PartAnswer::from(&call.object),
                conditions: PartAnswer::from(&call.conditions()),
                conditions_true: call.conditions.iter().filter(|answer| **answer == Answer::Yes).count(),
                conditions_total: call.conditions.len(),
                failure_policy: entry.failure_policy.clone().unwrap_or_else(|| "Fail".to_owned()),
                reinvocation_policy: entry.reinvocation_policy.clone().unwrap_or_else(|| "Never".to_owned()),
            }));
        }
        rows
    }
}
