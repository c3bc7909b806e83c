//! The calls of webhooks for one request, which API servers record in annotations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use colocate_engine::Text;
use serde::Deserialize;
use serde_json::Value;

/// The prefixes of annotations about calls of mutating webhooks, each followed by the round and the index of the call.
pub(super) const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
pub(super) const PATCH: &str = "patch.webhook.admission.k8s.io/";
pub(super) const FAILED_OPEN: &str = "failed-open.mutation.webhook.admission.k8s.io/";

/// The configuration that Stork maintains.
pub(super) const STORK: &str = "stork-webhooks-cfg";

/// The calls of a webhook for one request, in all rounds.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) configuration: String,
    pub(super) changed: bool,
    /// Whether one of the calls was answered.
    pub(super) answered: bool,
    /// Whether the log has its patch, and whether that sets `schedulerName`.
    pub(super) sets_scheduler: Option<bool>,
}

/// The value of an annotation about a call.
#[derive(Deserialize)]
struct CallAnnotation<'a> {
    #[serde(borrow, default)]
    configuration: Text<'a>,
    #[serde(borrow, default)]
    webhook: Text<'a>,
    #[serde(default)]
    mutated: bool,
    #[serde(default)]
    patch: Option<Value>,
}

impl Calls {
    pub(super) fn is_colocate(&self, webhook: &str) -> bool {
        is_colocate(&self.configuration, webhook)
    }
}

/// Collects the calls of each webhook for one request. A webhook may be called in several rounds.
pub(super) fn calls(annotations: &BTreeMap<Text<'_>, Text<'_>>) -> BTreeMap<String, Calls> {
    let mut calls = BTreeMap::<String, Calls>::new();
    for (key, value) in annotations {
        if let Some(call) = key.strip_prefix(MUTATION)
            && let Some(read) = CallAnnotation::read(value)
        {
            let failed = annotations.contains_key(&Text::from(Cow::Owned(format!("{FAILED_OPEN}{call}"))));
            let entry = calls.entry(read.webhook.to_string()).or_default();
            entry.configuration = read.configuration.to_string();
            entry.changed |= read.mutated;
            entry.answered |= !failed;
        } else if key.starts_with(PATCH)
            && let Some(read) = CallAnnotation::read(value)
        {
            let sets = read.patch.as_ref().is_some_and(sets_scheduler);
            let entry = calls.entry(read.webhook.to_string()).or_default();
            entry.configuration = read.configuration.to_string();
            entry.answered = true;
            entry.sets_scheduler = Some(entry.sets_scheduler.unwrap_or_default() || sets);
        } else if key.starts_with(FAILED_OPEN) {
            // If the annotation about the change is absent, the configuration is not known.
            calls.entry(value.to_string()).or_default();
        }
    }
    calls
}

/// Returns true for the webhooks of colocate's chart, and others with its name.
pub(super) fn is_colocate(configuration: &str, webhook: &str) -> bool {
    webhook.split('.').any(|label| label == "colocate")
        || configuration.split(['.', '-']).any(|part| part == "colocate")
}

impl<'a> CallAnnotation<'a> {
    /// Reads a value; `None` if it has another form.
    fn read(value: &'a str) -> Option<Self> {
        serde_json::from_str::<Self>(value).ok().filter(|read| !read.webhook.is_empty())
    }
}

/// Returns true if a JSON patch sets `schedulerName`, by itself or as a part of a larger value.
fn sets_scheduler(patch: &Value) -> bool {
    let names = |value: &Value| value.pointer("/schedulerName").or(value.pointer("/spec/schedulerName")).is_some();
    let sets = |operation: &Value| {
        let target = operation["path"].as_str().unwrap_or_default();
        let changes = matches!(operation["op"].as_str(), Some("add" | "replace"));
        changes && (target.ends_with("/spec/schedulerName") || names(&operation["value"]))
    };
    patch.as_array().is_some_and(|operations| operations.iter().any(sets))
}
