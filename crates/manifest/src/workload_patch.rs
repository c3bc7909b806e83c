//! Changes of workloads by patches of kustomizations.
//!
//! These patches are not applied, because the lists of a pod template have merge keys. A workload that they change in a way that its
//! decision depends on stays unresolved.

use serde_json::Value;

use super::patches::is_json_patch;
use super::undecided::{CLAIM_TEMPLATES, SOURCES};
use colocate_engine::Policy;

/// The part of a patch that a decision about a workload may depend on.
#[derive(Debug, Default)]
pub(super) struct WorkloadChange {
    /// Whether the patch changes volumes, claim templates or the scheduler.
    of_pods: bool,
    /// The labels and annotations that it changes.
    keys: Vec<Box<str>>,
}

impl WorkloadChange {
    /// Reads a patch; `None` if decisions do not depend on it.
    pub(super) fn of(patch: &Value) -> Option<Self> {
        let mut change = Self::default();
        if is_json_patch(patch) {
            patch.as_array().into_iter().flatten().for_each(|operation| change.add_operation(operation));
        } else if patch["$patch"] != "delete" {
            change.add(patch);
        }
        (change.of_pods || !change.keys.is_empty()).then_some(change)
    }

    /// Returns true if decisions with this policy depend on the change.
    pub(super) fn matters(&self, policy: &Policy) -> bool {
        let opt_out = &policy.opt_out;
        let mut keys = opt_out.annotations.iter().chain(&opt_out.labels);
        self.of_pods || keys.any(|key| self.keys.iter().any(|own| **own == **key))
    }

    /// Adds what a strategic merge patch, or the value of an operation, changes.
    fn add(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.add_field(name, value)),
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            _ => {}
        }
    }

    fn add_field(&mut self, name: &str, value: &Value) {
        match name {
            CLAIM_TEMPLATES | "schedulerName" | "$patch" => self.of_pods = true,
            "volumes" => self.of_pods |= value.as_array().is_none_or(|volumes| volumes.iter().any(may_be_driven)),
            // A mapping that is removed had any of the fields.
            "spec" | "template" | "jobTemplate" if value.is_null() => self.of_pods = true,
            "labels" | "annotations" => {
                self.keys.extend(value.as_object().into_iter().flatten().map(|(key, _)| key.as_str().into()));
            }
            // No decision depends on them.
            "containers" | "initContainers" | "ephemeralContainers" => {}
            _ => self.add(value),
        }
    }

    fn add_operation(&mut self, operation: &Value) {
        let name = operation["op"].as_str().unwrap_or_default();
        if name == "test" {
            return;
        }
        for pointer in [&operation["path"], &operation["from"]].into_iter().filter_map(Value::as_str) {
            let path: Vec<_> =
                pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
            let place = |name: &str| path.iter().position(|part| part == name);
            if let Some(volumes) = place("volumes") {
                // Only a new item leaves the other volumes as they are.
                let is_new = name == "add" && path.len() == volumes + 2;
                self.of_pods |= !is_new || may_be_driven(&operation["value"]);
            } else if let Some(key) = place("labels").or(place("annotations")).and_then(|parent| path.get(parent + 1)) {
                self.keys.push(key.as_str().into());
            } else if name == "add" || name == "replace" {
                match path.last() {
                    Some(last) => self.add_field(last, &operation["value"]),
                    None => self.of_pods = true,
                }
                let is_replaced = matches!(path.last().map(String::as_str), Some("spec" | "template" | "jobTemplate"));
                self.of_pods |= is_replaced || place(CLAIM_TEMPLATES).is_some();
            } else {
                let parents = ["spec", "template", "jobTemplate", "schedulerName"];
                let is_removed = path.last().is_none_or(|last| parents.contains(&last.as_str()));
                self.of_pods |= is_removed || place(CLAIM_TEMPLATES).is_some();
            }
        }
    }
}

/// Returns true if an item of `volumes` in a patch adds or removes a volume that may belong to a driver.
fn may_be_driven(volume: &Value) -> bool {
    let fields = volume.as_object();
    fields.is_none_or(|fields| fields.contains_key("$patch") || SOURCES.iter().any(|name| fields.contains_key(*name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    fn matters(text: &str) -> bool {
        let patch = Manifest::new(text).parse().unwrap()[0].value.clone();
        WorkloadChange::of(&patch).is_some_and(|change| change.matters(&Policy::default()))
    }

    #[test]
    fn a_change_of_what_a_decision_depends_on_is_found() {
        let of_pod = |fields: &str| format!("{{kind: Deployment, spec: {{template: {{spec: {{{fields}}}}}}}}}");
        for text in [
            of_pod("volumes: [{name: v, persistentVolumeClaim: {claimName: a}}]"),
            of_pod("volumes: [{name: v, persistentVolumeClaim: null, emptyDir: {}}]"),
            of_pod("volumes: [{name: v, $patch: delete}]"),
            of_pod("volumes: null"),
            of_pod("schedulerName: stork"),
            of_pod("$patch: replace"),
            "{spec: {template: null}}".to_owned(),
            "{spec: {volumeClaimTemplates: []}}".to_owned(),
            "{spec: {template: {metadata: {labels: {colocate/ignore: 'true'}}}}}".to_owned(),
            "- {op: add, path: /spec/template/spec/volumes/-, value: {csi: {}}}".to_owned(),
            "- {op: remove, path: /spec/template/spec/volumes/0}".to_owned(),
            "- {op: replace, path: /spec/volumes/0/persistentVolumeClaim/claimName, value: a}".to_owned(),
            "- {op: replace, path: /spec/volumeClaimTemplates/0/spec/storageClassName, value: a}".to_owned(),
            "- {op: remove, path: /spec/volumeClaimTemplates/0/spec/storageClassName}".to_owned(),
            "- {op: add, path: /spec/template/spec/schedulerName, value: a}".to_owned(),
            "- {op: remove, path: /spec/template/spec/schedulerName}".to_owned(),
            "- {op: replace, path: /spec/template/spec, value: {containers: []}}".to_owned(),
            "- {op: replace, path: '', value: {}}".to_owned(),
            "- {op: move, from: /spec/volumes, path: /spec/x}".to_owned(),
            "- {op: add, path: /metadata/labels/colocate~1ignore, value: 'true'}".to_owned(),
            "- {op: add, path: /metadata/labels, value: {colocate/ignore: 'true'}}".to_owned(),
        ] {
            assert!(matters(&text), "{text}");
        }
    }

    #[test]
    fn other_changes_do_not_matter() {
        let container = "{name: c, image: x, env: [{name: a, $patch: delete}], volumeMounts: [{name: v}]}";
        for text in [
            &*format!(
                "{{metadata: {{labels: {{a: b}}}}, spec: {{replicas: 3, template: {{spec: {{containers: [{container}]}}}}}}}}"
            ),
            "{spec: {template: {spec: {volumes: [{name: v, emptyDir: {}}, {name: w, configMap: {name: x}}]}}}}",
            "{kind: Deployment, metadata: {name: a}, $patch: delete}",
            "- {op: replace, path: /spec/replicas, value: 3}",
            "- {op: add, path: /spec/template/spec/volumes/-, value: {name: v, emptyDir: {}}}",
            "- {op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: {name: v}}",
            "- {op: add, path: /metadata/annotations/a, value: b}",
            "- {op: test, path: /spec/template/spec/volumes/0, value: {}}",
        ] {
            assert!(!matters(text), "{text}");
        }
    }
}
