//! Entries of webhook configurations, and whether an API server calls them for the creation of an object.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::match_condition::{MatchCondition, Variables};
use super::selector::{LabelSelector, Labels};

/// An entry of `webhooks` in a `MutatingWebhookConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookEntry {
    /// The name.
    pub name: String,
    /// The `failurePolicy`: `Ignore` or `Fail`.
    pub failure_policy: Option<String>,
    /// Whether the webhook is called again after another one changed the object: `Never` or `IfNeeded`.
    pub reinvocation_policy: Option<String>,
    /// The address of the webhook.
    pub client_config: ClientConfig,
    match_policy: Option<String>,
    rules: Option<Vec<Rule>>,
    namespace_selector: Option<LabelSelector>,
    object_selector: Option<LabelSelector>,
    match_conditions: Option<Vec<MatchCondition>>,
}

/// The address of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// The URL, if it is not a Service.
    pub url: Option<String>,
    /// The Service, if it is not a URL.
    pub service: Option<ServiceReference>,
}

/// A Service that a webhook is reached at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceReference {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// An entry of `rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    api_groups: Option<Vec<String>>,
    api_versions: Option<Vec<String>>,
    resources: Option<Vec<String>>,
    operations: Option<Vec<String>>,
    scope: Option<String>,
}

/// The creation of an object in a namespace.
pub struct Creation<'a> {
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The version.
    pub version: &'a str,
    /// The resource: `pods`.
    pub resource: &'a str,
    /// The kind: `Pod`.
    pub kind: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The labels of the Namespace; `None` if they cannot be read.
    pub namespace_labels: Option<&'a Labels>,
    /// The labels of the object.
    pub labels: &'a Labels,
    /// The object as it was requested.
    pub object: &'a Value,
}

/// The parts of the question whether an API server calls a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whether a rule includes the request.
    pub rules: Answer,
    /// Whether `namespaceSelector` selects the Namespace.
    pub namespace: Answer,
    /// Whether `objectSelector` selects the object.
    pub object: Answer,
    /// The answer of each match condition, in their order.
    pub conditions: Vec<Answer>,
}

impl WebhookEntry {
    /// Evaluates whether an API server calls the webhook for this creation.
    pub fn call(&self, creation: &Creation<'_>) -> Call {
        let Creation { group, version, resource, .. } = creation;
        let named = if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
        let rules = || self.rules.iter().flatten().filter(|rule| rule.includes_resource(creation));
        // `Equivalent` is the default: an API server converts the object to another version that it serves.
        let is_equivalent = self.match_policy.as_deref() != Some("Exact");
        let rules = if rules().any(|rule| rule.includes_version(creation)) {
            Answer::Yes
        } else if is_equivalent && rules().next().is_some() {
            Answer::NotEvaluated(format!(
                "a rule includes CREATE of {named} in another version than {version}, to which API servers convert it if they serve \
                 that version"
            ))
        } else {
            Answer::No(format!("no rule includes CREATE of {named} in version {version}"))
        };
        let namespace = self.selects_namespace(creation.namespace, creation.namespace_labels);
        let object = self.object_selector.as_ref().map_or(Answer::Yes, |selector| selector.selects(creation.labels));
        let conditions = self.match_conditions.as_deref().unwrap_or_default();
        let conditions = if conditions.is_empty() {
            Vec::new()
        } else {
            let variables = Variables::of_creation(creation.object, &creation.request());
            conditions.iter().map(|condition| condition.evaluate(&variables)).collect()
        };
        Call { rules, namespace, object, conditions }
    }
}

/// A part of a webhook that excludes an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excluding<'w> {
    /// The label of the Namespace with this key, which is absent or has another value.
    NamespaceLabel(&'w str),
    /// The label of the object with this key, which is absent or has another value.
    ObjectLabel(&'w str),
    /// A match condition that reads only what never changes.
    FixedCondition,
    /// The match condition of this name, which reads what may have changed since.
    Condition(&'w str),
}

impl WebhookEntry {
    /// Returns the parts that exclude an object, apart from its rules. `call` is the answer about it.
    pub fn excluding(&self, creation: &Creation<'_>, call: &Call) -> Vec<Excluding<'_>> {
        let labels = creation.namespace_labels;
        let of_namespace =
            self.namespace_selector.iter().zip(labels).flat_map(|(selector, labels)| selector.unmet(labels));
        let of_object = self.object_selector.iter().flat_map(|selector| selector.unmet(creation.labels));
        let conditions = self.match_conditions.iter().flatten().zip(&call.conditions);
        let conditions = conditions.filter(|(_, answer)| matches!(answer, Answer::No(_))).map(|(condition, _)| {
            if condition.reads_fixed_fields() {
                Excluding::FixedCondition
            } else {
                Excluding::Condition(&condition.name)
            }
        });
        let labels = of_namespace.map(Excluding::NamespaceLabel).chain(of_object.map(Excluding::ObjectLabel));
        labels.chain(conditions).collect()
    }

    /// Returns the keys of the labels that its `namespaceSelector` and its `objectSelector` read.
    pub fn read_labels(&self) -> [Vec<&str>; 2] {
        [&self.namespace_selector, &self.object_selector]
            .map(|selector| selector.iter().flat_map(LabelSelector::keys).collect())
    }

    /// Evaluates whether the `namespaceSelector` selects a Namespace with these labels.
    pub fn selects_namespace(&self, name: &str, labels: Option<&Labels>) -> Answer {
        match (&self.namespace_selector, labels) {
            (None, _) => Answer::Yes,
            (Some(selector), _) if *selector == LabelSelector::default() => Answer::Yes,
            (Some(selector), Some(labels)) => selector.selects(labels),
            (Some(_), None) => Answer::NotEvaluated(format!("the labels of Namespace {name} could not be read")),
        }
    }
}

impl Rule {
    /// Returns true if it includes the creation in some version.
    fn includes_resource(&self, creation: &Creation<'_>) -> bool {
        // `pods/*` includes the resource `pods` only with a subresource, and `*/*` everything.
        let resource =
            self.resources.iter().flatten().any(|entry| entry == "*" || entry == "*/*" || entry == creation.resource);
        resource
            && has(self.api_groups.as_ref(), creation.group)
            && has(self.operations.as_ref(), "CREATE")
            && self.scope.as_deref().is_none_or(|scope| ["*", "Namespaced", ""].contains(&scope))
    }

    fn includes_version(&self, creation: &Creation<'_>) -> bool {
        has(self.api_versions.as_ref(), creation.version)
    }
}

/// Returns true if a list of a rule has this entry, or includes all.
fn has(list: Option<&Vec<String>>, wanted: &str) -> bool {
    list.into_iter().flatten().any(|entry| entry == "*" || entry == wanted)
}

impl Creation<'_> {
    /// The variable `request` of match conditions, as far as it is known.
    fn request(&self) -> Value {
        let Self { group, version, resource, kind, namespace, object, .. } = self;
        let kind = json!({"group": group, "version": version, "kind": kind});
        let resource = json!({"group": group, "version": version, "resource": resource});
        let mut request = json!({
            "kind": kind,
            "requestKind": kind,
            "resource": resource,
            "requestResource": resource,
            "namespace": namespace,
            "operation": "CREATE",
            "dryRun": false,
        });
        if let Some(name) = object.pointer("/metadata/name") {
            request["name"] = name.clone();
        }
        request
    }
}

impl Call {
    /// Returns whether the webhook is called.
    pub fn outcome(&self) -> Answer {
        let first = [&self.rules, &self.namespace, &self.object];
        Answer::all(first.into_iter().chain(&self.conditions).cloned())
    }

    /// Returns the answer of all match conditions together.
    pub fn conditions(&self) -> Answer {
        Answer::all(self.conditions.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &Value) -> WebhookEntry {
        serde_json::from_value(fields.clone()).unwrap()
    }

    fn call(fields: &Value, object: &Value, namespace_labels: Option<&Labels>) -> Call {
        let labels = Labels::from([("tier".to_owned(), "db".to_owned())]);
        entry(fields).call(&Creation {
            group: "",
            version: "v1",
            resource: "pods",
            kind: "Pod",
            namespace: "team",
            namespace_labels,
            labels: &labels,
            object,
        })
    }

    fn rule(fields: &Value) -> Value {
        let mut rule =
            json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]});
        rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["*"], "operations": ["*"]}, rule]})
    }

    #[test]
    fn rules_include_what_kubernetes_includes() {
        for (fields, expected) in [
            (json!({}), true),
            (json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}), true),
            (json!({"resources": ["*/*"]}), true),
            (json!({"resources": ["pods/*"]}), false),
            (json!({"resources": ["pods/status", "deployments"]}), false),
            (json!({"operations": ["UPDATE", "DELETE"]}), false),
            (json!({"apiGroups": ["apps"]}), false),
            (json!({"apiVersions": ["v2"]}), false),
            (json!({"scope": "Namespaced"}), true),
            (json!({"scope": "*"}), true),
            (json!({"scope": "Cluster"}), false),
        ] {
            let call = call(&rule(&fields), &json!({}), None);
            assert_eq!(call.rules == Answer::Yes, expected, "{fields}");
            assert_eq!(call.outcome() == Answer::Yes, expected, "{fields}");
        }
        let call = call(&json!({}), &json!({}), None);
        assert_eq!(call.outcome().cause(), Some("no rule includes CREATE of pods in version v1"));
    }

    #[test]
    fn a_rule_for_another_version_is_decisive_only_if_it_must_be_equal() {
        let rules = |policy: Option<&str>, fields: &Value| {
            let mut entry = rule(fields);
            entry["matchPolicy"] = json!(policy);
            call(&entry, &json!({}), None).rules
        };
        let other = json!({"apiVersions": ["v2"]});
        assert!(matches!(rules(None, &other), Answer::NotEvaluated(_)));
        assert!(
            matches!(rules(Some("Equivalent"), &other), Answer::NotEvaluated(why) if why.contains("another version than v1"))
        );
        assert!(matches!(rules(Some("Exact"), &other), Answer::No(_)));
        assert_eq!(rules(Some("Exact"), &json!({"apiVersions": ["v2", "v1"]})), Answer::Yes);
        let elsewhere = json!({"apiVersions": ["v2"], "operations": ["UPDATE"]});
        assert!(matches!(rules(None, &elsewhere), Answer::No(_)));
    }

    #[test]
    fn selectors_and_conditions_are_answered_separately() {
        let mut fields = rule(&json!({}));
        fields["namespaceSelector"] = json!({"matchLabels": {"env": "prod"}});
        fields["objectSelector"] = json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]});
        fields["matchConditions"] = json!([
            {"name": "a", "expression": "request.resource.resource == 'pods' && request.name == 'x'"},
            {"name": "b", "expression": "request.userInfo.username == 'y'"},
        ]);
        let prod = Labels::from([("env".to_owned(), "prod".to_owned())]);
        let named = json!({"metadata": {"name": "x"}});
        let answers = call(&fields, &named, Some(&prod));
        assert_eq!(answers.namespace, Answer::Yes);
        assert_eq!(answers.object.cause(), Some("the selector requires `!tier`, and the label is `tier=db`"));
        assert_eq!(answers.conditions[0], Answer::Yes);
        let unknown = Answer::NotEvaluated("the match condition `b` uses `request.userInfo`".to_owned());
        assert_eq!((&answers.conditions[1], answers.conditions()), (&unknown, unknown.clone()));
        assert_eq!(answers.outcome(), answers.object);
        // The labels of the Namespace cannot be read, and an object without a name has no `request.name`.
        let answers = call(&fields, &json!({"metadata": {"generateName": "x-"}}), None);
        assert_eq!(answers.namespace.cause(), Some("the labels of Namespace team could not be read"));
        assert_eq!(answers.conditions[0].cause(), Some("the match condition `a` reads `name`, which does not exist"));
        let answers = call(&fields, &named, Some(&Labels::new()));
        let cause = "the selector requires `env=prod`, and there is no label `env`";
        assert_eq!(answers.outcome(), Answer::No(cause.to_owned()));
    }

    #[test]
    fn an_empty_namespace_selector_needs_no_labels() {
        let mut fields = rule(&json!({}));
        fields["namespaceSelector"] = json!({});
        assert_eq!(call(&fields, &json!({}), None).outcome(), Answer::Yes);
    }
}
