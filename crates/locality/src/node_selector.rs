//! Node selectors, evaluated as kube-scheduler does.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::node::Node;

/// A `NodeSelector` of `v1`: the node affinity of a volume, or the required one of a pod.
///
/// Source: `k8s.io/component-helpers/scheduling/corev1/nodeaffinity`. A term without requirements selects nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    #[serde(deserialize_with = "nullable")]
    node_selector_terms: Vec<Term>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "nullable")]
    match_expressions: Vec<Requirement>,
    #[serde(deserialize_with = "nullable")]
    match_fields: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(deserialize_with = "nullable")]
    values: Vec<String>,
}

impl NodeSelector {
    /// Returns true if a node is selected.
    pub fn selects(&self, node: &Node) -> bool {
        self.node_selector_terms.iter().any(|term| term.selects(node))
    }
}

impl Term {
    fn selects(&self, node: &Node) -> bool {
        let Self { match_expressions, match_fields } = self;
        let is_empty = match_expressions.is_empty() && match_fields.is_empty();
        let name = |key: &str| (key == "metadata.name").then_some(&*node.name);
        !is_empty
            && match_expressions.iter().all(|requirement| requirement.is_met_by(label(&node.labels, &requirement.key)))
            && match_fields.iter().all(|requirement| requirement.is_met_by(name(&requirement.key)))
    }
}

impl Requirement {
    fn is_met_by(&self, found: Option<&str>) -> bool {
        let is_listed = || found.is_some_and(|found| self.values.iter().any(|value| value == found));
        let compare = |is_met: fn(&i64, &i64) -> bool| {
            let [value] = &self.values[..] else { return false };
            let found = found.and_then(|found| found.parse().ok());
            found.zip(value.parse().ok()).is_some_and(|(found, value)| is_met(&found, &value))
        };
        match &*self.operator {
            "In" => is_listed(),
            // A label that is absent has none of the values.
            "NotIn" => !is_listed(),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            "Gt" => compare(i64::gt),
            "Lt" => compare(i64::lt),
            _ => false,
        }
    }
}

fn label<'a>(labels: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    labels.get(key).map(String::as_str)
}

/// Reads null like an absent field.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selects(terms: &Value) -> bool {
        let selector: NodeSelector = serde_json::from_value(json!({ "nodeSelectorTerms": terms })).unwrap();
        let labels = [("zone", "a"), ("cores", "16")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        selector.selects(&Node { name: "n1".into(), labels: labels.into(), ..Node::default() })
    }

    #[test]
    fn operators_are_those_of_kubernetes() {
        for (key, operator, values, expected) in [
            ("zone", "In", json!(["a", "b"]), true),
            ("zone", "In", json!(["b"]), false),
            ("none", "In", json!(["b"]), false),
            ("zone", "NotIn", json!(["b"]), true),
            ("zone", "NotIn", json!(["a"]), false),
            ("none", "NotIn", json!(["a"]), true),
            ("zone", "Exists", json!(null), true),
            ("none", "Exists", json!([]), false),
            ("none", "DoesNotExist", json!([]), true),
            ("zone", "DoesNotExist", json!([]), false),
            ("cores", "Gt", json!(["8"]), true),
            ("cores", "Gt", json!(["16"]), false),
            ("cores", "Lt", json!(["17"]), true),
            ("zone", "Gt", json!(["1"]), false),
            ("zone", "Near", json!(["a"]), false),
        ] {
            let expression = json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]);
            assert_eq!(selects(&expression), expected, "{key} {operator} {values}");
        }
    }

    #[test]
    fn terms_are_alternatives_and_requirements_are_not() {
        let zone = |value: &str| json!({"key": "zone", "operator": "In", "values": [value]});
        let name = |value: &str| json!({"key": "metadata.name", "operator": "In", "values": [value]});
        assert!(selects(&json!([{"matchExpressions": [zone("b")]}, {"matchFields": [name("n1")]}])));
        assert!(!selects(&json!([{"matchExpressions": [zone("a")], "matchFields": [name("n2")]}])));
        assert!(!selects(&json!([{}])) && !selects(&json!([])) && !selects(&json!(null)));
    }
}
