//! The adapter `extender`: Stork's own answers, as kube-scheduler asks for them.
//!
//! Source: `pkg/extender/extender.go` of `libopenstorage/stork`, and `k8s.io/kube-scheduler/extender/v1` for the types, which have
//! no JSON tags. Go encodes the field names unchanged, and decodes them case-insensitively.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::gap::Gap;
use super::node_selector::nullable;
use super::replicas::{Replica, Replicas};

/// The score of a node for each volume of which it has a replica (`nodePriorityScore`). A node in the same rack gets half of it, one in
/// the same zone a quarter, and one whose storage is down a quarter.
const REPLICA_SCORE: i64 = 100;

/// The scores of nodes for a pod: a `HostPriorityList`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeScores(BTreeMap<Box<str>, i64>);

/// `HostPriority`. Older versions of Kubernetes wrote these names in lower case, and Go reads both.
#[derive(Deserialize)]
struct HostPriority {
    #[serde(rename = "Host", alias = "host")]
    host: Box<str>,
    #[serde(rename = "Score", alias = "score", default)]
    score: i64,
}

/// The nodes that pass the filter of an extender: an `ExtenderFilterResult`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterResult {
    /// The nodes that the pod may run on.
    pub passed: BTreeSet<Box<str>>,
    /// The messages about rejected nodes, if the extender returned any.
    pub failed: BTreeMap<Box<str>, String>,
    /// The error message, if the extender failed.
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawFilterResult {
    #[serde(default, alias = "nodes")]
    nodes: Option<NodeList>,
    #[serde(default, alias = "nodeNames", deserialize_with = "nullable")]
    node_names: Vec<Box<str>>,
    #[serde(default, alias = "failedNodes", deserialize_with = "nullable")]
    failed_nodes: BTreeMap<Box<str>, String>,
    #[serde(default, alias = "failedAndUnresolvableNodes", deserialize_with = "nullable")]
    failed_and_unresolvable_nodes: BTreeMap<Box<str>, String>,
    #[serde(default, alias = "error", deserialize_with = "nullable")]
    error: String,
}

#[derive(Deserialize)]
struct NodeList {
    #[serde(default, deserialize_with = "nullable")]
    items: Vec<NodeObject>,
}

#[derive(Deserialize)]
struct NodeObject {
    metadata: NodeMetadata,
}

#[derive(Deserialize)]
struct NodeMetadata {
    name: Box<str>,
}

/// The prefix of the annotations that Stork reads.
const STORK_PREFIX: &str = "stork.libopenstorage.org/";

/// The fields of a pod's metadata that an extender gets, without the annotations.
const METADATA: [&str; 6] = ["name", "generateName", "namespace", "uid", "labels", "ownerReferences"];

/// The fields of a pod's `spec` that an extender gets, without the containers and the volumes.
const SPEC: [&str; 8] = [
    "schedulerName",
    "nodeName",
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "priorityClassName",
    "priority",
];

/// The fields of a container that an extender gets.
const CONTAINER: [&str; 2] = ["name", "resources"];

/// The fields of a volume that an extender gets: those that name the data of a storage system.
const VOLUME: [&str; 4] = ["name", "persistentVolumeClaim", "ephemeral", "portworxVolume"];

/// Creates the body of `POST /filter` and `POST /prioritize` (`ExtenderArgs`) for a pod and nodes.
///
/// A `ConfigMap` in the cluster may choose the Service, so it gets only the fields of the pod by which a scheduler places it. Commands,
/// arguments, environment variables, probes and most annotations are left out, because they may have secrets.
pub fn extender_request(pod: &Value, nodes: &[Value]) -> Value {
    json!({ "Pod": for_extender(pod), "Nodes": { "items": nodes }, "NodeNames": null })
}

/// Reduces a pod to the fields that an extender gets.
fn for_extender(pod: &Value) -> Value {
    let mut metadata = reduced(&pod["metadata"], &METADATA);
    if let Some(annotations) = pod["metadata"]["annotations"].as_object() {
        let of_stork = annotations.iter().filter(|(key, _)| key.starts_with(STORK_PREFIX));
        metadata["annotations"] = of_stork.map(|(key, value)| (key.clone(), value.clone())).collect();
    }
    let mut spec = reduced(&pod["spec"], &SPEC);
    for (list, fields) in [("containers", &CONTAINER[..]), ("initContainers", &CONTAINER), ("volumes", &VOLUME)] {
        if let Some(items) = pod["spec"][list].as_array() {
            spec[list] = items.iter().map(|item| reduced(item, fields)).collect();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Copies the named fields of an object.
fn reduced(object: &Value, fields: &[&str]) -> Value {
    let found = fields.iter().filter_map(|field| Some(((*field).to_owned(), object.get(field)?.clone())));
    Value::Object(found.collect())
}

impl FilterResult {
    /// Reads the response of `POST /filter`.
    ///
    /// # Errors
    /// The response does not have the structure of a result.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        // A list would be read as the fields in their order.
        let object: serde_json::Map<String, Value> = serde_json::from_str(json)?;
        let raw: RawFilterResult = serde_json::from_value(Value::Object(object))?;
        let nodes = raw.nodes.into_iter().flat_map(|list| list.items).map(|node| node.metadata.name);
        let passed = nodes.chain(raw.node_names).collect();
        let mut failed = raw.failed_nodes;
        failed.extend(raw.failed_and_unresolvable_nodes);
        Ok(Self { passed, failed, error: Some(raw.error).filter(|error| !error.is_empty()) })
    }
}

impl NodeScores {
    /// The score of a node.
    pub fn of(&self, node: &str) -> Option<i64> {
        self.0.get(node).copied()
    }

    /// Reads the response of `POST /prioritize`.
    ///
    /// # Errors
    /// The response is not a list of hosts with scores.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let list: Vec<HostPriority> = serde_json::from_str(json)?;
        Ok(Self(list.into_iter().map(|HostPriority { host, score }| (host, score)).collect()))
    }

    /// The nodes with their scores.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(node, score)| (&**node, *score))
    }

    /// Returns the nodes with a replica of each of the pod's volumes that Stork scores; `scored` is the number of these volumes, and
    /// `filter` has the nodes that pass.
    ///
    /// The score of a node is a sum over the volumes. Only the full sum proves a replica of each: a smaller one may come from some of
    /// the volumes, or from replicas in the same rack or zone. If no node has the full sum, Stork may not know the volume. Stork still
    /// scores a node whose storage is offline, but its filter rejects the node. The filter can also reject a node for another reason,
    /// so a replica on a rejected node is unknown.
    ///
    /// # Errors
    /// No node that passes has the full sum.
    pub fn replicas(&self, scored: u32, filter: &FilterResult) -> Result<Replicas, Gap> {
        let mut replicas = Replicas::default();
        for (node, _) in self.iter().filter(|(_, score)| *score >= REPLICA_SCORE * i64::from(scored.max(1))) {
            if filter.passed.contains(node) {
                replicas.add(node.into(), Replica { healthy: true, created: None });
            } else {
                replicas.gap = Some(Gap::Scores);
            }
        }
        if scored > 1 {
            replicas.gap = Some(Gap::Scores);
        }
        if replicas.healthy().next().is_none() { Err(Gap::Scores) } else { Ok(replicas) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(json: &Value) -> NodeScores {
        NodeScores::parse(&json.to_string()).unwrap()
    }

    /// Lets these nodes through.
    fn passing(nodes: &[&str]) -> FilterResult {
        FilterResult { passed: nodes.iter().map(|node| (*node).into()).collect(), ..FilterResult::default() }
    }

    #[test]
    fn a_single_volume_is_where_the_score_is_full() {
        let all = passing(&["a", "b", "c"]);
        let list = json!([{"Host": "a", "Score": 100}, {"Host": "b", "Score": 50}, {"host": "c", "score": 25}]);
        let replicas = scores(&list).replicas(1, &all).unwrap();
        assert_eq!([replicas.is_on("a"), replicas.is_on("b"), replicas.is_on("c")], [Ok(true), Ok(false), Ok(false)]);
        // Hyperconvergence is disabled, or Stork does not recognize the volume.
        assert_eq!(scores(&json!([{"Host": "a", "Score": 5}])).replicas(1, &all), Err(Gap::Scores));
        assert_eq!(scores(&json!([])).replicas(1, &all), Err(Gap::Scores));
    }

    #[test]
    fn a_replica_on_a_node_that_is_refused_is_not_known() {
        let list =
            scores(&json!([{"Host": "a", "Score": 100}, {"Host": "b", "Score": 100}, {"Host": "c", "Score": 5}]));
        let replicas = list.replicas(1, &passing(&["b", "c"])).unwrap();
        let on = ["a", "b", "c"].map(|node| replicas.is_on(node));
        assert_eq!(on, [Err(&Gap::Scores), Ok(true), Err(&Gap::Scores)]);
        assert_eq!(list.replicas(1, &passing(&["c"])), Err(Gap::Scores));
    }

    #[test]
    fn of_several_volumes_only_a_full_sum_is_known() {
        let list = json!([{"Host": "a", "Score": 200}, {"Host": "b", "Score": 100}]);
        let replicas = scores(&list).replicas(2, &passing(&["a", "b"])).unwrap();
        assert_eq!([replicas.is_on("a"), replicas.is_on("b")], [Ok(true), Err(&Gap::Scores)]);
    }

    #[test]
    fn a_filter_names_the_nodes_that_pass_and_those_that_do_not() {
        let node = |name: &str| json!({"metadata": {"name": name}});
        let result = json!({
            "Nodes": {"metadata": {}, "items": [node("a"), node("b")]},
            "NodeNames": null,
            "FailedNodes": {"c": "no replica"},
            "FailedAndUnresolvableNodes": {"d": "offline"},
            "Error": "",
        });
        let result = FilterResult::parse(&result.to_string()).unwrap();
        assert_eq!(result.passed, ["a".into(), "b".into()].into());
        let failed: Vec<_> = result.failed.iter().map(|(node, why)| (&**node, &**why)).collect();
        assert_eq!((failed, result.error), (vec![("c", "no replica"), ("d", "offline")], None));
        let names = FilterResult::parse(r#"{"nodeNames": ["a"], "error": "no nodes"}"#).unwrap();
        assert_eq!((names.passed.len(), names.error.as_deref()), (1, Some("no nodes")));
        assert_eq!(FilterResult::parse("{}").unwrap(), FilterResult::default());
        for wrong in ["", "[]", "No nodes with volume replica available", r#"{"Nodes": {"items": [1]}}"#] {
            assert!(FilterResult::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_response_of_another_type_is_an_error() {
        for wrong in ["", "{}", "Waiting for PVC to be bound", r#"[{"Score":1}]"#, r#"[{"Host":"a","Score":"1"}]"#] {
            assert!(NodeScores::parse(wrong).is_err(), "{wrong}");
        }
        let request = extender_request(&json!({"metadata": {}}), &[json!({"metadata": {"name": "a"}})]);
        assert_eq!(request["Nodes"]["items"][0]["metadata"]["name"], "a");
    }

    #[test]
    fn an_extender_gets_no_secret_of_a_pod() {
        const SECRET: &str = "hunter2";
        let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}});
        let volumes = json!([claim, {"name": "x", "csi": {"driver": "d", "volumeAttributes": {"password": SECRET}}}]);
        let probe = json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "Authorization", "value": SECRET}]}});
        let container = json!({
            "name": "db", "image": SECRET, "command": [SECRET], "args": [SECRET], "livenessProbe": probe,
            "env": [{"name": "PASSWORD", "value": SECRET}], "resources": {"requests": {"cpu": "1"}},
        });
        let prefer = "stork.libopenstorage.org/preferLocalNodeOnly";
        let pod = json!({
            "metadata": {
                "name": "a", "namespace": "db", "uid": "1", "labels": {"app": "db"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": SECRET, prefer: "true"},
            },
            "spec": {
                "schedulerName": "stork", "nodeSelector": {"disk": "ssd"}, "volumes": volumes,
                "containers": [container], "initContainers": [container], "hostAliases": [{"hostnames": [SECRET]}],
            },
        });
        let request = extender_request(&pod, &[]);
        assert!(!request.to_string().contains(SECRET), "{request:#}");
        let container = json!({"name": "db", "resources": {"requests": {"cpu": "1"}}});
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "a", "namespace": "db", "uid": "1", "labels": {"app": "db"}, "annotations": {prefer: "true"},
            },
            "spec": {
                "schedulerName": "stork", "nodeSelector": {"disk": "ssd"}, "volumes": [claim, {"name": "x"}],
                "containers": [container], "initContainers": [container],
            },
        });
        assert_eq!(request["Pod"], expected);
    }
}
