//! The webhook configurations of colocate and of others, as `colocate why` reads them.

use jiff::Timestamp;
use serde_json::Value;

use super::installation::{COLOCATE, INSTANCE, NAME, WEBHOOK_NAME};
use crate::insight::{
    Answer, Call, Change, Creation, Excluding, Ground, Labels, LiveMetadata, ManagedFields, Registration,
    ServiceReference, Trace, WebhookEntry,
};

/// The annotation in which Helm records the namespace of a release.
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The label of each Namespace with its name.
const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";

/// A `MutatingWebhookConfiguration`.
pub(super) struct Configuration {
    pub(super) name: String,
    created: Option<Timestamp>,
    generation: Option<u64>,
    fields: ManagedFields,
    labels: Labels,
    annotations: Labels,
    pub(super) entries: Vec<WebhookEntry>,
}

/// The last changes of what decides whether an object is sent.
pub(super) struct Traces<'a> {
    /// The managers of the fields of its Namespace; `None` if they could not be read.
    pub(super) namespace: Option<&'a ManagedFields>,
    /// The managers of its fields.
    pub(super) object: &'a ManagedFields,
    /// The creation of a pod, which is sent only then.
    pub(super) created: Option<Timestamp>,
}

impl Traces<'_> {
    /// Returns the last change of a label of the Namespace, if it is recorded.
    pub(super) fn of_namespace(&self, namespace: &str, key: &str) -> Option<Change> {
        let trace = self.namespace.map(|fields| fields.trace(&["metadata", "labels", key], None));
        let what = || format!("label `{key}` of Namespace {namespace}");
        // API servers set this one, and keep it.
        trace.filter(|_| key != NAME_OF_NAMESPACE).and_then(|trace| change(trace, what))
    }

    /// Returns the last change of a label or an annotation of the object after its creation, if it is recorded.
    pub(super) fn of_object(&self, field: &str, key: &str) -> Option<Change> {
        let singular = field.strip_suffix('s').unwrap_or(field);
        change(self.object.trace(&["metadata", field, key], self.created), || {
            format!("{singular} `{key}` of the object")
        })
    }

    /// Returns whether a part of a webhook has excluded the object since it was written.
    fn ground(&self, creation: &Creation<'_>, excluding: &Excluding<'_>) -> Ground {
        let removed = |key: &str, what: &str| {
            Ground::Untraced(format!("label `{key}` may have been removed from {what}, which leaves no time"))
        };
        let unrecorded =
            |key: &str, what: &str| Ground::Untraced(format!("since when {what} has label `{key}` is not recorded"));
        match *excluding {
            Excluding::NamespaceLabel(NAME_OF_NAMESPACE) => Ground::Fixed,
            Excluding::NamespaceLabel(key) => {
                let what = format!("Namespace {}", creation.namespace);
                if creation.namespace_labels.is_none_or(|labels| !labels.contains_key(key)) {
                    removed(key, &what)
                } else {
                    self.of_namespace(creation.namespace, key).map_or_else(|| unrecorded(key, &what), Ground::Changed)
                }
            }
            Excluding::ObjectLabel(key) if !creation.labels.contains_key(key) => removed(key, "the object"),
            Excluding::ObjectLabel(key) => match self.object.trace(&["metadata", "labels", key], self.created) {
                Trace::Creation => Ground::Fixed,
                Trace::At(time) => Ground::Changed(Change { what: format!("label `{key}` of the object"), time }),
                Trace::Unrecorded => unrecorded(key, "the object"),
            },
            // A change of a pod's `spec` has a time. That of a workload is a write, after which it is sent again.
            Excluding::FixedCondition => match self.created.map(|_| self.object.trace(&["spec"], self.created)) {
                None | Some(Trace::Creation) => Ground::Fixed,
                Some(Trace::At(time)) => Ground::Changed(Change { what: "the spec of the object".to_owned(), time }),
                Some(Trace::Unrecorded) => Ground::Untraced("it has no managedFields".to_owned()),
            },
            Excluding::Condition(name) => Ground::Untraced(format!(
                "the match condition `{name}` may read a label or an annotation that was removed, which leaves no time"
            )),
        }
    }
}

fn change(trace: Trace, what: impl Fn() -> String) -> Option<Change> {
    match trace {
        Trace::At(time) => Some(Change { what: what(), time }),
        Trace::Creation | Trace::Unrecorded => None,
    }
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
            generation: object.pointer("/metadata/generation").and_then(Value::as_u64),
            fields: metadata.managed_fields,
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

    /// Returns the registration for the creation of an object.
    pub(super) fn registration(&self, creation: &Creation<'_>, traces: &Traces<'_>) -> Registration {
        let Self { name, created, .. } = self;
        let calls = self.calls(creation);
        let ruled: Vec<_> = calls.iter().filter(|(_, call)| call.rules == Answer::Yes).collect();
        let ignores_failures =
            !ruled.is_empty() && ruled.iter().all(|(entry, _)| entry.failure_policy.as_deref() == Some("Ignore"));
        let called = called(&calls);
        let is_excluded = matches!(called, Answer::No(_));
        let mut grounds: Vec<Vec<_>> = Vec::new();
        let mut inputs = Vec::new();
        for (entry, call) in &ruled {
            let ground = |excluding| traces.ground(creation, &excluding);
            grounds.extend(is_excluded.then(|| entry.excluding(creation, call).into_iter().map(ground).collect()));
            let [of_namespace, of_object] = entry.read_labels();
            inputs.extend(of_namespace.into_iter().filter_map(|key| traces.of_namespace(creation.namespace, key)));
            inputs.extend(of_object.into_iter().filter_map(|key| traces.of_object("labels", key)));
        }
        if is_excluded {
            grounds.extend(self.removal(ruled.is_empty()).map(|removal| vec![removal]));
        }
        let changed = changed(&self.fields).map(|time| Change { what: name.clone(), time });
        Registration {
            configuration: name.clone(),
            created: *created,
            oldest: None,
            changes: changed.into_iter().collect(),
            inputs,
            grounds,
            called,
            ignores_failures,
            also_called: Vec::new(),
        }
    }

    /// Returns what may have been removed from it without a trace. The chart has one webhook for the creation of each kind, so
    /// another one may have been removed only if there is none now.
    fn removal(&self, has_no_rule: bool) -> Option<Ground> {
        let Self { name, generation, fields, .. } = self;
        let writers = fields.owners(&["webhooks"]);
        let is_by_colocate = writers.iter().any(|entry| entry.manager == COLOCATE && entry.operation == "Update");
        let is_by_others = writers.iter().any(|entry| entry.manager != COLOCATE);
        // Each change has a new generation: the creation has the first, and the first `caBundle` of colocate has another.
        let known = 1 + u64::from(is_by_colocate && is_by_others);
        if generation.is_some_and(|generation| generation <= known) {
            None
        } else if fields.is_empty() {
            Some(Ground::Untraced(format!("{name} may have changed, because it has no managedFields")))
        } else {
            has_no_rule
                .then(|| Ground::Untraced(format!("a rule may have been removed from {name}, which leaves no time")))
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
            let fields = ManagedFields::default();
            configuration.registration(&creation, &Traces { namespace: None, object: &fields, created: None })
        };
        let pods = registration("pods");
        let why = "the selector requires `a=b`, and there is no label `a`";
        assert_eq!((pods.called, pods.ignores_failures), (Answer::No(why.to_owned()), true));
        let removed = "label `a` may have been removed from the object, which leaves no time";
        assert_eq!(pods.grounds[0], [Ground::Untraced(removed.to_owned())]);
        let deployments = registration("deployments");
        assert_eq!((deployments.called, deployments.ignores_failures), (Answer::Yes, false));
        let jobs = registration("jobs");
        assert_eq!(jobs.called.cause(), Some("no rule includes CREATE of jobs in version v1"));
        assert!(!jobs.ignores_failures);
        assert_eq!(jobs.grounds.len(), 1);
    }

    #[test]
    fn what_may_have_been_removed_is_no_certain_exclusion() {
        let entry = |manager: &str, time: &str, fields: serde_json::Value| json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields});
        let time: Timestamp = "2026-11-30T02:00:00Z".parse().unwrap();
        let written = |keys: &[&str]| {
            let labels: serde_json::Map<_, _> = keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
            let fields = json!({"f:metadata": {"f:labels": labels}});
            serde_json::from_value::<ManagedFields>(json!([entry("a", &time.to_string(), fields)])).unwrap()
        };
        let labels: Labels = [("off", "true"), (NAME_OF_NAMESPACE, "team"), ("unowned", "x")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let namespace = written(&["off", NAME_OF_NAMESPACE]);
        let grounds = |selector: serde_json::Value, generation: u64, writers: &[&str], resource: &str| {
            let writers: Vec<_> =
                writers.iter().map(|name| entry(name, &time.to_string(), json!({"f:webhooks": {}}))).collect();
            let rules = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["pods"], "operations": ["*"]}]);
            let object = json!({
                "metadata": {"name": "zz-colocate", "generation": generation, "managedFields": writers},
                "webhooks": [{"name": "pods", "rules": rules, "namespaceSelector": selector}],
            });
            let (own, pod) = (Labels::new(), json!({}));
            let creation = Creation {
                group: "",
                version: "v1",
                resource,
                kind: "",
                namespace: "team",
                namespace_labels: Some(&labels),
                labels: &own,
                object: &pod,
            };
            let traces = Traces { namespace: Some(&namespace), object: &ManagedFields::default(), created: None };
            Configuration::read(&object).unwrap().registration(&creation, &traces).grounds
        };
        let untraced = |why: &str| Ground::Untraced(why.to_owned());
        let selector = |key: &str| json!({"matchLabels": {key: "other"}});
        let by_helm = |key: &str| grounds(selector(key), 7, &["helm", COLOCATE], "pods");
        let removed = "label `on` may have been removed from Namespace team, which leaves no time";
        assert_eq!(by_helm("on"), [[untraced(removed)]]);
        assert_eq!(
            by_helm("off"),
            [[Ground::Changed(Change { what: "label `off` of Namespace team".to_owned(), time })]]
        );
        assert_eq!(by_helm("unowned"), [[untraced("since when Namespace team has label `unowned` is not recorded")]]);
        assert_eq!(by_helm(NAME_OF_NAMESPACE), [[Ground::Fixed]]);
        // Only a rule can have been removed, which has a generation of its own.
        let no_rule = |generation, writers: &[&str]| grounds(json!({}), generation, writers, "jobs");
        let removed = [[untraced("a rule may have been removed from zz-colocate, which leaves no time")]];
        assert!(no_rule(1, &["helm"]).is_empty() && no_rule(2, &["helm", COLOCATE]).is_empty());
        assert_eq!(no_rule(2, &["helm"]), removed);
        assert_eq!(no_rule(3, &["helm", COLOCATE]), removed);
        let unknown = "zz-colocate may have changed, because it has no managedFields";
        assert_eq!(grounds(selector(NAME_OF_NAMESPACE), 2, &[], "pods")[1], [untraced(unknown)]);
    }
}
