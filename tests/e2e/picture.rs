//! A snapshot of a namespace: the state that a no-op must not change.

use std::collections::BTreeMap;

use colocate_harness::{Namespace, Object};
use serde_json::Value;

const KINDS: &str = "pods,deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,podtemplates,jobs,\
                     cronjobs,controllerrevisions";

/// Every pod and workload, by kind, name and UID. A recreated object counts as another one.
#[derive(Debug, PartialEq)]
pub(crate) struct Picture(BTreeMap<String, Entry>);

/// The fields that a rollout would change.
#[derive(Debug, PartialEq)]
struct Entry {
    generation: u64,
    revisions: Vec<Value>,
    pod_spec: Value,
}

impl Picture {
    pub(crate) fn of(namespace: &Namespace) -> Self {
        let entries = namespace.list(KINDS).into_iter().map(|object| {
            let key = format!("{} {} {}", object.kind(), object.name(), object.uid());
            (key, Entry::of(&object))
        });
        Self(entries.collect())
    }

    /// The same without generations, for use after `kubectl replace`. That command drops the annotations that
    /// controllers have set, which raises the generation of a Deployment.
    pub(crate) fn without_generations(mut self) -> Self {
        for entry in self.0.values_mut() {
            entry.generation = 0;
        }
        self
    }
}

impl Entry {
    fn of(object: &Object) -> Self {
        let fields =
            ["/metadata/annotations/deployment.kubernetes.io~1revision", "/status/updateRevision", "/revision"];
        Self {
            generation: object.generation(),
            revisions: fields.iter().filter_map(|pointer| object.0.pointer(pointer)).cloned().collect(),
            pod_spec: object.template()["spec"].clone(),
        }
    }
}
