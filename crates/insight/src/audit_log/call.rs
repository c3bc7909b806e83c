//! The calls of webhooks for one request, which API servers record in annotations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use colocate_engine::{Text, each_element, object, present};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kept;

/// The prefixes of annotations about calls of mutating webhooks, each followed by the round and the index of the call.
pub(super) const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
pub(super) const PATCH: &str = "patch.webhook.admission.k8s.io/";
pub(super) const FAILED_OPEN: &str = "failed-open.mutation.webhook.admission.k8s.io/";

/// The configuration that Stork maintains.
pub(super) const STORK: &str = "stork-webhooks-cfg";

/// The calls of a webhook for one request, in all rounds.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) changed: bool,
    /// Whether the last call was answered, or an earlier one changed the object. An earlier one without a change has not seen what
    /// other webhooks changed later.
    pub(super) answered: bool,
    /// Whether the log has its patch.
    pub(super) has_patch: bool,
    /// The last call whose patch sets `schedulerName`.
    pub(super) set_at: Option<Place>,
}

/// The place of a call in the order of all calls for a request: the round and the index.
pub(super) type Place = (u32, u32);

/// The value of an annotation about a call.
#[derive(Deserialize)]
struct CallAnnotation<'a> {
    #[serde(borrow, default)]
    configuration: Text<'a>,
    #[serde(borrow, default)]
    webhook: Text<'a>,
    #[serde(default)]
    mutated: bool,
    #[serde(borrow, default)]
    patch: Option<&'a RawValue>,
}

/// An operation of a JSON patch.
#[derive(Deserialize)]
struct Operation<'a> {
    #[serde(borrow, default)]
    op: Text<'a>,
    #[serde(borrow, default)]
    path: Text<'a>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

/// A value that may be a spec, or have one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default, deserialize_with = "present")]
    scheduler_name: bool,
    #[serde(default, deserialize_with = "object")]
    spec: Option<InnerSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InnerSpec {
    #[serde(default, deserialize_with = "present")]
    scheduler_name: bool,
}

/// Collects the calls of each webhook for one request, by its configuration and its name. A webhook may be called in several
/// rounds, which are in the order of their keys.
pub(super) fn calls(annotations: &BTreeMap<Text<'_>, Text<'_>>) -> BTreeMap<[String; 2], Calls> {
    let mut calls = BTreeMap::<[String; 2], Calls>::new();
    for (key, value) in annotations {
        if let Some(call) = key.strip_prefix(MUTATION)
            && let Some(read) = CallAnnotation::read(value)
        {
            let failed = annotations.contains_key(&Text::from(Cow::Owned(format!("{FAILED_OPEN}{call}"))));
            let entry = calls.entry(read.key()).or_default();
            entry.changed |= read.mutated;
            entry.answered = !failed || entry.changed;
        } else if let Some(call) = key.strip_prefix(PATCH)
            && let Some(read) = CallAnnotation::read(value)
        {
            let sets = read.patch.is_some_and(sets_scheduler);
            let entry = calls.entry(read.key()).or_default();
            entry.answered = true;
            entry.has_patch = true;
            entry.set_at = entry.set_at.max(sets.then(|| place(call)));
        } else if let Some(call) = key.strip_prefix(FAILED_OPEN) {
            let mutation = annotations.get(&Text::from(Cow::Owned(format!("{MUTATION}{call}"))));
            // If the annotation about the change is absent, the configuration is not known.
            if mutation.and_then(|value| CallAnnotation::read(value)).is_none() {
                calls.entry([String::new(), kept(value)]).or_default();
            }
        }
    }
    calls
}

/// Returns the place in the rest of a key; that of the first call if it has another form.
fn place(call: &str) -> Place {
    let numbers = call.strip_prefix("round_").and_then(|rest| rest.split_once("_index_"));
    let read = |(round, index): (&str, &str)| Some((round.parse().ok()?, index.parse().ok()?));
    numbers.and_then(read).unwrap_or_default()
}

/// Returns true for the webhooks of colocate's chart, and others with its name.
pub(super) fn is_colocate([configuration, webhook]: &[String; 2]) -> bool {
    webhook.split('.').any(|label| label == "colocate")
        || configuration.split(['.', '-']).any(|part| part == "colocate")
}

impl<'a> CallAnnotation<'a> {
    /// Reads a value; `None` if it has another form.
    fn read(value: &'a str) -> Option<Self> {
        serde_json::from_str::<Self>(value).ok().filter(|read| !read.webhook.is_empty())
    }

    fn key(&self) -> [String; 2] {
        [kept(&self.configuration), kept(&self.webhook)]
    }
}

/// Returns true if a JSON patch sets `schedulerName`, by itself or as a part of a larger value. Holds one operation at a time,
/// because a patch of 60 MB takes 1 GB as a tree.
fn sets_scheduler(patch: &RawValue) -> bool {
    let mut sets = false;
    let mut deserializer = serde_json::Deserializer::from_str(patch.get());
    // API servers reject a patch of another form.
    let _ = each_element(&mut deserializer, "an array of operations", |operation: Operation<'_>| {
        let changes = matches!(&*operation.op, "add" | "replace");
        sets |=
            changes && (operation.path.ends_with("/spec/schedulerName") || operation.value.is_some_and(has_scheduler));
    });
    sets
}

/// Returns true if a value has a `schedulerName`, or its spec has one.
fn has_scheduler(value: &RawValue) -> bool {
    let spec = object::<_, Spec>(&mut serde_json::Deserializer::from_str(value.get())).ok().flatten();
    spec.is_some_and(|spec| spec.scheduler_name || spec.spec.is_some_and(|spec| spec.scheduler_name))
}
