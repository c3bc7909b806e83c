//! A live object: its identity, its controller, and whether it has ended.

use std::collections::HashMap;

use serde::Deserialize;

use crate::engine::{Text, object};
use crate::insight::{Controller, Labels, controller};

/// The fields of a live object that are read in addition to those that the decision depends on.
#[derive(Deserialize)]
pub(in crate::inspect) struct Live<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    pub(in crate::inspect) metadata: Option<LiveMetadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(in crate::inspect) status: Option<LiveStatus<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::inspect) struct LiveMetadata<'a> {
    #[serde(borrow, default)]
    pub(in crate::inspect) name: Text<'a>,
    #[serde(borrow, default)]
    pub(in crate::inspect) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(in crate::inspect) uid: Text<'a>,
    /// Set while it is being deleted.
    #[serde(borrow, default)]
    pub(in crate::inspect) deletion_timestamp: Option<Text<'a>>,
    #[serde(default)]
    pub(in crate::inspect) labels: Option<Labels>,
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    pub(in crate::inspect) controller: Option<Controller<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::inspect) struct LiveStatus<'a> {
    /// The phase of a pod.
    #[serde(borrow, default)]
    pub(in crate::inspect) phase: Option<Text<'a>>,
    /// The conditions of a pod or a Job.
    #[serde(borrow, default)]
    conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
}

impl LiveMetadata<'_> {
    /// The kind and the name of the topmost controller that is known.
    pub(in crate::inspect) fn top_controller(
        &self,
        controllers: &HashMap<Box<str>, (Box<str>, Box<str>)>,
    ) -> Option<(Box<str>, Box<str>)> {
        let controller = self.controller.as_ref()?;
        if let Some(above) = controllers.get(&*controller.uid) {
            return Some(above.clone());
        }
        // A Deployment names its ReplicaSets after itself and the hash in this label.
        let hash = self.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
        let deployment = hash
            .filter(|_| controller.group() == "apps" && *controller.kind == *"ReplicaSet")
            .and_then(|hash| controller.name.strip_suffix(&**hash)?.strip_suffix('-'));
        Some(match deployment {
            Some(name) => ("Deployment".into(), name.into()),
            None => ((*controller.kind).into(), (*controller.name).into()),
        })
    }
}

impl LiveStatus<'_> {
    /// Returns true for a Job that creates no more pods.
    pub(in crate::inspect) fn job_has_ended(&self) -> bool {
        self.has(&["Complete", "Failed"])
    }

    /// Returns true for a pod that is ready.
    pub(in crate::inspect) fn is_ready(&self) -> bool {
        self.has(&["Ready"])
    }

    /// Returns true if one of these conditions is true.
    fn has(&self, kinds: &[&str]) -> bool {
        let is_true = |condition: &Condition<'_>| kinds.contains(&&*condition.kind) && *condition.status == *"True";
        self.conditions.iter().flatten().any(is_true)
    }
}
