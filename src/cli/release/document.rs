//! The plan as one JSON document, which docs/schemas/release.json describes.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Action, Plan};
use crate::engine::Source;
use crate::inspect::{FoundLeftover, NotSeen};

/// The document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    namespace: Option<&'a str>,
    configuration: Value,
    schedulers: &'a BTreeSet<String>,
    templates: Vec<Value>,
    seen: Vec<Value>,
    not_seen: &'a [NotSeen],
}

impl<'a> Document<'a> {
    /// Creates the document of a plan for a namespace, or for all.
    pub(super) fn new(plan: &'a Plan, namespace: Option<&'a str>) -> Self {
        Self {
            api_version: "colocate/v1",
            kind: "Release",
            namespace,
            configuration: plan.config.document(),
            schedulers: &plan.schedulers,
            templates: plan.templates.iter().map(|(action, found)| template(*action, found)).collect(),
            seen: plan.seen.iter().map(|resource| json!({"resource": resource})).collect(),
            not_seen: &plan.not_seen,
        }
    }
}

fn template(action: Action, found: &FoundLeftover) -> Value {
    let leftover = &found.leftover;
    let source = match leftover.source {
        Source::NamesScheduler => "names-scheduler",
        Source::OmitsScheduler => "omits-scheduler",
        Source::Unknown => "unknown",
    };
    let release = leftover.helm_release.as_ref().map(
        |release| json!({"namespace": release.namespace, "name": release.name, "revision": leftover.helm_revision}),
    );
    json!({
        "apiVersion": leftover.api_version,
        "kind": leftover.kind,
        "resource": found.kind.resource.to_string(),
        "namespace": leftover.namespace,
        "name": leftover.name,
        "scheduler": leftover.scheduler,
        "action": action.as_str(),
        "source": source,
        "helmRelease": release,
        "effect": leftover.effect.as_str(),
        "patch": (action != Action::Reject).then(|| leftover.patch()),
    })
}
