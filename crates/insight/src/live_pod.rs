//! A Pod as it exists in a cluster.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::controller::{Controller, controller};
use super::managed_fields::ManagedFields;
use super::selector::Labels;

/// The fields of a Pod that explain its scheduler.
#[derive(Clone, Debug, Deserialize)]
pub struct LivePod<'a> {
    /// The metadata.
    #[serde(borrow)]
    pub metadata: LiveMetadata<'a>,
    /// The specification.
    #[serde(default, deserialize_with = "nullable")]
    pub spec: LiveSpec,
    /// The status.
    #[serde(default, deserialize_with = "nullable")]
    pub status: LiveStatus,
}

/// The metadata of a live object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveMetadata<'a> {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
    /// The time of the creation.
    pub creation_timestamp: Option<Timestamp>,
    /// The time of the deletion, while the object still exists.
    pub deletion_timestamp: Option<Timestamp>,
    /// The labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: Labels,
    /// The annotations.
    #[serde(deserialize_with = "nullable")]
    pub annotations: Labels,
    /// The owner that controls the object.
    #[serde(borrow, rename = "ownerReferences", deserialize_with = "controller")]
    pub controller: Option<Controller<'a>>,
    /// The managers of its fields.
    pub managed_fields: ManagedFields,
}

/// The `spec` of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveSpec {
    /// The scheduler; an API server sets the default if the creator set none.
    pub scheduler_name: String,
    /// The node.
    pub node_name: String,
    /// The volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Value>,
}

/// The `status` of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveStatus {
    /// The phase.
    pub phase: String,
    /// The time at which the kubelet accepted it.
    pub start_time: Option<Timestamp>,
    /// The conditions.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// The statuses of its containers.
    #[serde(deserialize_with = "nullable")]
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// The type, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason, as one word.
    pub reason: String,
    /// The explanation.
    pub message: String,
    /// The time since which it has this status.
    pub last_transition_time: Option<Timestamp>,
    /// The last time at which a Deployment's condition was updated.
    pub last_update_time: Option<Timestamp>,
}

/// The status of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The state.
    #[serde(deserialize_with = "nullable")]
    pub state: ContainerState,
    /// The state before the last restart.
    #[serde(deserialize_with = "nullable")]
    pub last_state: ContainerState,
}

/// The state of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// Its start, if it runs.
    pub running: Option<Running>,
    /// Its end.
    pub terminated: Option<Terminated>,
}

/// The start of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    /// The time.
    pub started_at: Option<Timestamp>,
}

/// The end of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// The time.
    pub finished_at: Option<Timestamp>,
}

impl LivePod<'_> {
    /// Returns the scheduler that it names.
    pub fn scheduler(&self) -> &str {
        match &*self.spec.scheduler_name {
            "" => colocate_engine::DEFAULT_SCHEDULER,
            name => name,
        }
    }

    /// Returns the time at which it was placed on its node: that of its condition `PodScheduled`, its start, or its creation.
    pub fn placed_at(&self) -> Option<Timestamp> {
        let LiveStatus { conditions, start_time, .. } = &self.status;
        let scheduled = conditions.iter().find(|own| own.kind == "PodScheduled" && own.status == "True");
        let scheduled = scheduled.and_then(|condition| condition.last_transition_time);
        scheduled.or(*start_time).or(self.metadata.creation_timestamp)
    }

    /// Returns true if no scheduler has bound it.
    pub fn is_pending(&self) -> bool {
        self.status.phase == "Pending" && self.spec.node_name.is_empty()
    }

    /// Returns a clause about its end, after which no scheduler places it again; `None` if it has not ended.
    pub fn end(&self) -> Option<String> {
        match &*self.status.phase {
            phase @ ("Succeeded" | "Failed") => Some(format!("it has ended (phase {phase})")),
            _ => self.metadata.deletion_timestamp.map(|_| "it is being deleted".to_owned()),
        }
    }
}

impl ContainerStatus {
    /// Returns the time between its last end and its current start.
    pub fn pause(&self) -> Option<(Timestamp, Timestamp)> {
        let end = self.last_state.terminated.as_ref()?.finished_at?;
        Some((end, self.state.running.as_ref()?.started_at?))
    }
}

impl LiveStatus {
    /// Returns a clause about the end of a Job, after which it creates no more pods; `None` if it has not ended.
    pub fn job_end(&self) -> Option<String> {
        let is_true = |kind: &&str| self.condition(kind).is_some_and(|condition| condition.status == "True");
        let ended = ["Complete", "Failed"].into_iter().find(is_true)?;
        Some(format!("it has ended (condition {ended})"))
    }

    /// Returns the condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

/// Reads null like an absent field.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_fields_have_defaults() {
        let pod = json!({
            "metadata": {"name": "a", "labels": null, "ownerReferences": null, "managedFields": null},
            "spec": null,
            "status": {"conditions": null},
        })
        .to_string();
        let pod: LivePod<'_> = serde_json::from_str(&pod).unwrap();
        assert_eq!((pod.scheduler(), pod.is_pending()), ("default-scheduler", false));
        assert_eq!(pod.metadata.controller, None);
        assert!(pod.status.condition("Ready").is_none());
    }

    #[test]
    fn the_controller_is_the_owner_that_controls() {
        let owners = json!([
            {"apiVersion": "v1", "kind": "Node", "name": "n"},
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "controller": true},
        ]);
        let pod = json!({
            "metadata": {"ownerReferences": owners, "creationTimestamp": "2026-11-30T02:14:07Z"},
            "spec": {"schedulerName": "stork"},
            "status": {"phase": "Pending"},
        })
        .to_string();
        let pod: LivePod<'_> = serde_json::from_str(&pod).unwrap();
        let controller = pod.metadata.controller.as_ref().unwrap();
        assert_eq!((controller.group(), &*controller.kind), ("apps", "ReplicaSet"));
        assert_eq!((pod.scheduler(), pod.is_pending()), ("stork", true));
    }
}
