//! The demands of a pod on its node.

use std::collections::BTreeMap;
use std::sync::Arc;

use colocate_engine::object;
use serde::Deserialize;

use super::node::{Node, Taint};
use super::node_selector::{NodeSelector, nullable};
use super::quantity::Resources;

/// The demands of a pod on its node, in its own fields and in those of its volumes. Constraints between pods (pod affinity, topology
/// spread) are not included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDemand {
    /// The resources that it requests, and one of the node's `pods`.
    pub requests: Resources,
    node_selector: BTreeMap<String, String>,
    affinity: Option<NodeSelector>,
    tolerations: Vec<Toleration>,
    /// The node affinities of its volumes.
    volume_affinities: Vec<Arc<NodeSelector>>,
    /// Whether a volume is not known, which may exclude any node.
    pub has_unknown_volume: bool,
    /// Whether a `DaemonSet` controls the pod. Its controller pins each pod to a node by node affinity.
    pub(crate) is_of_daemon_set: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Toleration {
    #[serde(deserialize_with = "nullable")]
    key: String,
    #[serde(deserialize_with = "nullable")]
    operator: String,
    #[serde(deserialize_with = "nullable")]
    value: String,
    #[serde(deserialize_with = "nullable")]
    effect: String,
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default, deserialize_with = "object")]
    metadata: Option<Metadata>,
    #[serde(default, deserialize_with = "object")]
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    #[serde(deserialize_with = "nullable")]
    owner_references: Vec<OwnerReference>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnerReference {
    #[serde(deserialize_with = "nullable")]
    api_version: String,
    #[serde(deserialize_with = "nullable")]
    kind: String,
    #[serde(deserialize_with = "nullable")]
    controller: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(deserialize_with = "nullable")]
    node_selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "object")]
    affinity: Option<Affinity>,
    #[serde(deserialize_with = "nullable")]
    tolerations: Vec<Toleration>,
    #[serde(deserialize_with = "nullable")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "nullable")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "object")]
    resources: Option<Requirements>,
    overhead: Option<Resources>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    #[serde(deserialize_with = "object")]
    node_affinity: Option<NodeAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    restart_policy: Option<String>,
    #[serde(deserialize_with = "object")]
    resources: Option<Requirements>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirements {
    requests: Option<Resources>,
}

impl PodDemand {
    /// Reads a Pod from its JSON. Its volumes are still to be added.
    ///
    /// # Errors
    /// A field that is read has another type than in Kubernetes.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let pod: Pod = serde_json::from_str(json)?;
        let spec = pod.spec.unwrap_or_default();
        let owners = pod.metadata.unwrap_or_default().owner_references;
        let is_of_daemon_set = owners.iter().any(OwnerReference::is_daemon_set);
        let requests = spec.requests().with_one("pods");
        let Spec { node_selector, affinity, tolerations, .. } = spec;
        let affinity = affinity.and_then(|affinity| affinity.node_affinity);
        let affinity = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution);
        Ok(Self { requests, node_selector, affinity, tolerations, is_of_daemon_set, ..Self::default() })
    }

    /// Adds the node affinity of a volume.
    pub fn add_volume(&mut self, affinity: &Arc<NodeSelector>) {
        if !self.volume_affinities.contains(affinity) {
            self.volume_affinities.push(affinity.clone());
        }
    }

    /// Returns true if the pod's `nodeSelector`, its required node affinity and its volumes allow a node.
    pub fn allows(&self, node: &Node) -> bool {
        self.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && self.affinity.as_ref().is_none_or(|affinity| affinity.selects(node))
            && self.volume_affinities.iter().all(|affinity| affinity.selects(node))
    }

    /// Returns true if the pod tolerates a taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.covers(taint))
    }
}

impl OwnerReference {
    /// Returns true for a controlling `DaemonSet` of the group `apps`, in any version.
    fn is_daemon_set(&self) -> bool {
        self.controller && self.kind == "DaemonSet" && self.api_version.starts_with("apps/")
    }
}

impl Toleration {
    /// Source: `ToleratesTaint` in `k8s.io/api/core/v1/toleration.go`.
    fn covers(&self, taint: &Taint) -> bool {
        let Self { key, operator, value, effect } = self;
        let same_value = match &**operator {
            "Exists" => true,
            "" | "Equal" => *value == taint.value,
            _ => false,
        };
        (effect.is_empty() || *effect == taint.effect) && (key.is_empty() || *key == taint.key) && same_value
    }
}

impl Spec {
    /// Returns the largest requests of the pod at any time.
    ///
    /// Source: `PodRequests` in `k8s.io/component-helpers/resource`. Init containers run one after the other, next to the sidecars
    /// that were started before. Requests of the pod as a whole replace those of its containers.
    fn requests(&self) -> Resources {
        let mut running = Resources::default();
        for container in &self.containers {
            running.add(container.requests());
        }
        let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
        for container in &self.init_containers {
            if container.restart_policy.as_deref() == Some("Always") {
                running.add(container.requests());
                sidecars.add(container.requests());
            } else {
                let mut sum = sidecars.clone();
                sum.add(container.requests());
                starting.max(&sum);
            }
        }
        running.max(&starting);
        if let Some(requests) = self.resources.as_ref().and_then(|resources| resources.requests.clone()) {
            running.replace(requests);
        }
        if let Some(overhead) = &self.overhead {
            running.add(overhead);
        }
        running
    }
}

impl Container {
    fn requests(&self) -> &Resources {
        const NONE: &Resources = &Resources::NONE;
        self.resources.as_ref().and_then(|resources| resources.requests.as_ref()).unwrap_or(NONE)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn demand(spec: &Value) -> PodDemand {
        PodDemand::parse(&json!({ "spec": spec }).to_string()).unwrap()
    }

    fn cpu(spec: &Value) -> i128 {
        demand(spec).requests.get("cpu") / 1_000_000
    }

    #[test]
    fn requests_are_those_of_kube_scheduler() {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        let (app, both) = (container("300m"), [container("300m"), container("200m")]);
        assert_eq!(cpu(&json!({})), 0);
        assert_eq!(cpu(&json!({"containers": both})), 500);
        assert_eq!(cpu(&json!({"containers": [app], "initContainers": [container("1")]})), 1000);
        assert_eq!(cpu(&json!({"containers": [app], "initContainers": [sidecar("100m"), container("50m")]})), 400);
        assert_eq!(cpu(&json!({"containers": [app], "initContainers": [sidecar("100m"), container("350m")]})), 450);
        assert_eq!(cpu(&json!({"containers": [app], "initContainers": [container("350m"), sidecar("100m")]})), 400);
        assert_eq!(cpu(&json!({"containers": [app], "overhead": {"cpu": "10m"}})), 310);
        assert_eq!(cpu(&json!({"containers": [app], "resources": {"requests": {"cpu": "2"}}})), 2000);
        assert_eq!(demand(&json!({})).requests.get("pods"), 1_000_000_000);
    }

    #[test]
    fn a_pod_may_select_and_tolerate() {
        let labels = [("disk".to_owned(), "ssd".to_owned())].into();
        let node = Node { name: "n1".into(), labels, ..Node::default() };
        let required = |name: &str| {
            let field = json!({"key": "metadata.name", "operator": "In", "values": [name]});
            let terms = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
        };
        for (spec, expected) in [
            (json!({}), true),
            (json!({"nodeSelector": {"disk": "ssd"}}), true),
            (json!({"nodeSelector": {"disk": "hdd"}}), false),
            (required("n1"), true),
            (required("n2"), false),
        ] {
            assert_eq!(demand(&spec).allows(&node), expected, "{spec}");
        }

        let taint = Taint { key: "k".to_owned(), value: "v".to_owned(), effect: "NoSchedule".to_owned() };
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "operator": "Exists", "effect": "NoSchedule"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "w"}), false),
            (json!({"key": "k", "value": "v", "effect": "NoExecute"}), false),
            (json!({"key": "j", "operator": "Exists"}), false),
            (json!({"key": "k", "operator": "Lt", "value": "v"}), false),
        ] {
            let pod = demand(&json!({ "tolerations": [toleration] }));
            assert_eq!(pod.tolerates(&taint), expected, "{toleration}");
        }
    }
}
