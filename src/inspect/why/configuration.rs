//! The webhook configurations of colocate and of others, as `colocate why` reads them.

use jiff::Timestamp;
use serde_json::Value;

use super::installation::{COLOCATE, INSTANCE, NAME, WEBHOOK_NAME};
use crate::insight::{
    Answer, Call, Change, Creation, Labels, LiveMetadata, ManagedFields, Registration, ServiceReference, WebhookEntry,
};

/// The annotation in which Helm records the namespace of a release.
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// A `MutatingWebhookConfiguration`.
pub(super) struct Configuration {
    pub(super) name: String,
    created: Option<Timestamp>,
    changed: Option<Timestamp>,
    labels: Labels,
    annotations: Labels,
    pub(super) entries: Vec<WebhookEntry>,
}

/// The Helm release that a webhook configuration belongs to.
pub(super) struct Release {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) instance: String,
}

impl Configuration {
    /// The Service that API servers call.
    pub(super) fn service(&self) -> Option<&ServiceReference> {
        self.entries.iter().find_map(|entry| entry.client_config.service.as_ref())
    }

    /// The release that it belongs to, if it is of the chart.
    pub(super) fn release(&self) -> Option<Release> {
        let namespace = self.service().map(|service| &service.namespace);
        let namespace = namespace.or_else(|| self.annotations.get(RELEASE_NAMESPACE))?;
        let (name, instance) = (self.labels.get(NAME)?.clone(), self.labels.get(INSTANCE)?.clone());
        crate::engine::dns::is_label(namespace).then(|| Release { namespace: namespace.clone(), name, instance })
    }

    /// Reads a webhook configuration; `None` if it does not have the structure of one.
    pub(super) fn read(object: &Value) -> Option<Self> {
        let metadata = object.pointer("/metadata")?.to_string();
        let metadata: LiveMetadata<'_> = serde_json::from_str(&metadata).ok()?;
        let entries = object.pointer("/webhooks").filter(|webhooks| !webhooks.is_null());
        Some(Self {
            name: metadata.name,
            created: metadata.creation_timestamp,
            changed: changed(&metadata.managed_fields),
            labels: metadata.labels,
            annotations: metadata.annotations,
            entries: entries.map_or_else(|| Some(Vec::new()), |list| serde_json::from_value(list.clone()).ok())?,
        })
    }

    /// Returns true if the chart of colocate created it, or if it has a webhook with a name of the chart.
    pub(super) fn is_colocate(&self) -> bool {
        self.labels.get(NAME).is_some_and(|name| name == COLOCATE)
            || self.entries.iter().any(|entry| entry.name.ends_with(WEBHOOK_NAME))
    }

    /// Returns the registration for the creation of an object. The labels of its Namespace and its own labels were last changed
    /// at these times.
    pub(super) fn registration(
        &self,
        creation: &Creation<'_>,
        namespace_relabeled: Option<Timestamp>,
        relabeled: Option<Timestamp>,
    ) -> Registration {
        let Self { name, created, changed, .. } = self;
        let calls = self.calls(creation);
        let ruled: Vec<_> = calls.iter().filter(|(_, call)| call.rules == Answer::Yes).collect();
        let ignores_failures =
            !ruled.is_empty() && ruled.iter().all(|(entry, _)| entry.failure_policy.as_deref() == Some("Ignore"));
        // A rule depends on no label, and each selector on those of one object.
        let excludes_namespace = ruled.iter().any(|(_, call)| call.namespace != Answer::Yes);
        let excludes_object =
            ruled.iter().any(|(_, call)| call.object != Answer::Yes || call.conditions() != Answer::Yes);
        let changes = [
            (name.clone(), *changed),
            (
                format!("a label of Namespace {}", creation.namespace),
                namespace_relabeled.filter(|_| excludes_namespace),
            ),
            ("a label of the object".to_owned(), relabeled.filter(|_| excludes_object)),
        ];
        Registration {
            configuration: name.clone(),
            created: *created,
            oldest: None,
            changes: changes.into_iter().filter_map(|(what, time)| Some(Change { what, time: time? })).collect(),
            called: called(&calls),
            ignores_failures,
            also_called: Vec::new(),
        }
    }

    /// Returns its creation if API servers call one of its webhooks for the creation of an object, or may call one.
    pub(super) fn if_called(&self, creation: &Creation<'_>) -> Option<(&str, Option<Timestamp>)> {
        let is_called = !matches!(called(&self.calls(creation)), Answer::No(_));
        is_called.then_some((&*self.name, self.created))
    }

    fn calls(&self, creation: &Creation<'_>) -> Vec<(&WebhookEntry, Call)> {
        self.entries.iter().map(|entry| (entry, entry.call(creation))).collect()
    }
}

/// Returns whether API servers call one of these entries. Entries are split by operation and kind: those without a rule for the
/// object say nothing about it.
fn called(calls: &[(&WebhookEntry, Call)]) -> Answer {
    let is_any_ruled = calls.iter().any(|(_, call)| call.rules == Answer::Yes);
    let decisive = calls.iter().filter(|(_, call)| !is_any_ruled || call.rules == Answer::Yes);
    Answer::any(decisive.map(|(_, call)| call.outcome()), "it has no webhooks")
}

/// Finds the configuration of colocate. Of several releases, the one for the namespace is preferred. Then its configured name
/// decides, and then the labels of the chart.
pub(super) fn find(
    configurations: &[Configuration],
    name: &str,
    selects: impl Fn(&WebhookEntry) -> Answer,
) -> Option<usize> {
    let position = |wanted: &dyn Fn(&Configuration) -> bool| configurations.iter().position(wanted);
    let for_namespace = |found: &Configuration| found.entries.iter().any(|entry| selects(entry) == Answer::Yes);
    let is_named = |found: &Configuration| found.name == name;
    position(&|found| is_named(found) && for_namespace(found))
        .or_else(|| position(&|found| found.is_colocate() && for_namespace(found)))
        .or_else(|| position(&is_named))
        .or_else(|| position(&Configuration::is_colocate))
}

/// Returns the last write to a webhook configuration. The `caBundle`, which colocate writes itself, does not count.
fn changed(fields: &ManagedFields) -> Option<Timestamp> {
    fields.last_write(Some(COLOCATE))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A time on one day, as in `02:14:07`.
    fn time(time: &str) -> Option<Timestamp> {
        format!("2026-11-30T{time}Z").parse().ok()
    }

    fn configuration(name: &str, of_chart: bool, namespace: &str) -> Configuration {
        let labels = if of_chart { json!({NAME: COLOCATE}) } else { json!(null) };
        let selector = json!({"matchLabels": {"name": namespace}});
        let object = json!({
            "metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-11-01T00:00:00Z"},
            "webhooks": [{"name": "pods", "namespaceSelector": selector}],
        });
        Configuration::read(&object).unwrap()
    }

    #[test]
    fn the_release_for_the_namespace_precedes_the_configured_name() {
        let all = [
            configuration("a-other", false, "team"),
            configuration("b-colocate", true, "elsewhere"),
            configuration("c-colocate", true, "team"),
            configuration("zz-colocate", false, "elsewhere"),
        ];
        let labels: Labels = [("name".to_owned(), "team".to_owned())].into();
        let find = |all, name| find(all, name, |entry| entry.selects_namespace("team", Some(&labels)));
        assert_eq!(find(&all, "zz-colocate"), Some(2));
        assert_eq!(find(&all, "absent"), Some(2));
        assert_eq!(find(&all, "c-colocate"), Some(2));
        // No release is for the namespace.
        let elsewhere = [&all[1], &all[3]].map(|other| configuration(&other.name, true, "elsewhere"));
        assert_eq!(find(&elsewhere, "zz-colocate"), Some(1));
        assert_eq!(find(&all[..2], "absent"), Some(1));
        assert_eq!(find(&all[..1], "absent"), None);
    }

    #[test]
    fn a_configuration_with_another_structure_is_skipped() {
        for object in [json!({}), json!({"metadata": {"name": "a"}, "webhooks": [{"rules": 1}]})] {
            assert!(Configuration::read(&object).is_none(), "{object}");
        }
        let without = Configuration::read(&json!({"metadata": {"name": "a"}, "webhooks": null})).unwrap();
        assert!(without.entries.is_empty());
    }

    #[test]
    fn entries_without_a_rule_for_the_object_say_nothing_about_it() {
        let rule = |resource: &str| json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource], "operations": ["*"]}]);
        let excluding = json!({"matchLabels": {"a": "b"}});
        let object = json!({
            "metadata": {"name": "zz-colocate"},
            "webhooks": [
                {"name": "workloads", "rules": rule("deployments"), "failurePolicy": "Fail"},
                {"name": "pods", "rules": rule("pods"), "failurePolicy": "Ignore", "objectSelector": excluding},
            ],
        });
        let configuration = Configuration::read(&object).unwrap();
        let (labels, pod) = (Labels::new(), json!({}));
        let registration = |resource| {
            let creation = Creation {
                group: "",
                version: "v1",
                resource,
                kind: "",
                namespace: "team",
                namespace_labels: None,
                labels: &labels,
                object: &pod,
            };
            configuration.registration(&creation, time("02:00:00"), time("03:00:00"))
        };
        let pods = registration("pods");
        let why = "the selector requires `a=b`, and there is no label `a`";
        assert_eq!((pods.called, pods.ignores_failures), (Answer::No(why.to_owned()), true));
        // The labels of the Namespace do not matter.
        assert_eq!(
            pods.changes,
            [Change { what: "a label of the object".to_owned(), time: time("03:00:00").unwrap() }]
        );
        let deployments = registration("deployments");
        assert_eq!((deployments.called, deployments.ignores_failures), (Answer::Yes, false));
        let jobs = registration("jobs");
        assert_eq!(jobs.called.cause(), Some("no rule includes CREATE of jobs in version v1"));
        assert!(!jobs.ignores_failures);
        assert_eq!(jobs.changes, []);
    }
}
