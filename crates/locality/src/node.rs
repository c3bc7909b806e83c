//! The nodes of a cluster, and whether a pod could be placed on one now.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use colocate_engine::object;
use serde::Deserialize;

use super::node_selector::nullable;
use super::pod_demand::PodDemand;
use super::quantity::Resources;

/// A node, as far as the placement of pods depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The name.
    pub name: Box<str>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// The taints.
    pub taints: Vec<Taint>,
    /// The resources that pods may request in total; `None` if the node does not report them.
    pub allocatable: Option<Resources>,
}

/// A taint of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(deserialize_with = "nullable")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// The nodes, with what the pods on each of them request.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    nodes: HashMap<Box<str>, (Node, Resources)>,
    knows_requests: bool,
}

/// The reason why a pod cannot be placed on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The node does not exist.
    Absent,
    /// It is cordoned.
    Cordoned,
    /// It has a taint that the pod does not tolerate.
    Tainted(Box<str>),
    /// The pod requests more of a resource than is left.
    Full(Box<str>),
}

/// The taint that a cordoned node has, and that stands for `spec.unschedulable`.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default, deserialize_with = "object")]
    spec: Option<Spec>,
    #[serde(default, deserialize_with = "object")]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(deserialize_with = "nullable")]
    unschedulable: bool,
    #[serde(deserialize_with = "nullable")]
    taints: Vec<Taint>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    allocatable: Option<Resources>,
}

impl Node {
    /// Reads a Node from its JSON.
    ///
    /// # Errors
    /// A field that is read has another type than in Kubernetes.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let Object { metadata: Metadata { name, labels }, spec, status } = serde_json::from_str(json)?;
        let Spec { unschedulable, taints } = spec.unwrap_or_default();
        Ok(Self { name, labels, unschedulable, taints, allocatable: status.and_then(|status| status.allocatable) })
    }
}

impl Nodes {
    /// Creates an empty collection. `knows_requests` is true if the requests of all pods in the cluster will be added; otherwise no
    /// node is considered full.
    pub fn new(knows_requests: bool) -> Self {
        Self { nodes: HashMap::new(), knows_requests }
    }

    /// Adds a node without pods.
    pub fn insert(&mut self, node: Node) {
        self.nodes.insert(node.name.clone(), (node, Resources::default()));
    }

    /// Adds what a pod on a node requests. A pod that has ended requests nothing.
    pub fn reserve(&mut self, node: &str, demand: &PodDemand) {
        if let Some((_, requested)) = self.nodes.get_mut(node) {
            requested.add(&demand.requests);
        }
    }

    /// Takes away what a pod on a node requests.
    pub fn release(&mut self, node: &str, demand: &PodDemand) {
        if let Some((_, requested)) = self.nodes.get_mut(node) {
            requested.subtract(&demand.requests);
        }
    }

    /// The nodes.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().map(|(node, _)| node)
    }

    /// Finds a node.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name).map(|(node, _)| node)
    }

    /// Returns the reason why a pod cannot be placed on a node. The pod's own choice of nodes is not considered.
    pub fn unavailable(&self, name: &str, demand: &PodDemand) -> Option<Unavailable> {
        let Some((node, requested)) = self.nodes.get(name) else { return Some(Unavailable::Absent) };
        let cordon = Taint { key: UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), value: String::new() };
        if node.unschedulable && !demand.tolerates(&cordon) {
            return Some(Unavailable::Cordoned);
        }
        let mut taints = node.taints.iter().filter(|taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute"));
        if let Some(taint) = taints.find(|taint| !demand.tolerates(taint)) {
            return Some(Unavailable::Tainted(taint.to_string().into()));
        }
        let allocatable = node.allocatable.as_ref().filter(|_| self.knows_requests)?;
        let lacks = |(resource, amount): &(&str, i128)| {
            *amount > 0 && amount.saturating_add(requested.get(resource)) > allocatable.get(resource)
        };
        demand.requests.iter().find(lacks).map(|(resource, _)| Unavailable::Full(resource.into()))
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, effect } = self;
        if value.is_empty() { write!(f, "{key}:{effect}") } else { write!(f, "{key}={value}:{effect}") }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("does not exist"),
            Self::Cordoned => f.write_str("is cordoned"),
            Self::Tainted(taint) => write!(f, "has the taint {taint}"),
            Self::Full(resource) => write!(f, "has insufficient {resource}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn nodes(spec: &Value, allocatable: &Value) -> Nodes {
        let node = json!({"metadata": {"name": "n"}, "spec": spec, "status": {"allocatable": allocatable}});
        let mut nodes = Nodes::new(true);
        nodes.insert(Node::parse(&node.to_string()).unwrap());
        nodes
    }

    fn demand(spec: &Value) -> PodDemand {
        PodDemand::parse(&json!({ "spec": spec }).to_string()).unwrap()
    }

    fn why(nodes: &Nodes, pod: &PodDemand) -> Option<String> {
        nodes.unavailable("n", pod).map(|why| why.to_string())
    }

    #[test]
    fn a_node_is_unavailable_by_its_cordon_and_taints() {
        let pod = demand(&json!({}));
        let tolerant = demand(&json!({"tolerations": [{"operator": "Exists"}]}));
        let taint = |effect: &str| json!({"taints": [{"key": "k", "value": "v", "effect": effect}]});
        for (spec, expected) in [
            (json!({}), None),
            (json!(null), None),
            (json!({"unschedulable": true}), Some("is cordoned")),
            (taint("NoSchedule"), Some("has the taint k=v:NoSchedule")),
            (taint("NoExecute"), Some("has the taint k=v:NoExecute")),
            (taint("PreferNoSchedule"), None),
        ] {
            let nodes = nodes(&spec, &json!({"pods": "9"}));
            assert_eq!(why(&nodes, &pod).as_deref(), expected, "{spec}");
            assert_eq!(why(&nodes, &tolerant), None, "{spec}");
        }
        assert_eq!(Nodes::default().unavailable("n", &pod), Some(Unavailable::Absent));
    }

    #[test]
    fn a_node_is_full_when_the_requests_exceed_what_is_left() {
        let allocatable = json!({"cpu": "2", "pods": "3"});
        let pod = |cpu: &str| demand(&json!({"containers": [{"resources": {"requests": {"cpu": cpu}}}]}));
        let mut nodes = nodes(&json!({}), &allocatable);
        nodes.reserve("n", &pod("1500m"));
        assert_eq!(why(&nodes, &pod("500m")), None);
        assert_eq!(why(&nodes, &pod("501m")).as_deref(), Some("has insufficient cpu"));
        nodes.release("n", &pod("1500m"));
        assert_eq!(why(&nodes, &pod("2")), None);
        for _ in 0..3 {
            nodes.reserve("n", &pod("0"));
        }
        assert_eq!(why(&nodes, &pod("0")).as_deref(), Some("has insufficient pods"));
        // Without the pods of other namespaces, no node is considered full.
        nodes.knows_requests = false;
        assert_eq!(why(&nodes, &pod("9")), None);
    }
}
