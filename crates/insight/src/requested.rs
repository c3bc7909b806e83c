//! A live pod as its creator requested it.

use serde_json::{Map, Value};

use super::live_pod::LivePod;
use super::managed_fields::ManagedFields;

/// The fields of `metadata` that an API server sets.
const SERVER_FIELDS: [&str; 7] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink"];

/// The length of the suffix that an API server adds to `generateName`.
const SUFFIX: usize = 5;

/// The characters of that suffix.
const SUFFIX_CHARACTERS: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Returns the pod as a webhook sees it at its creation: without what the API server and a scheduler set since, and with this
/// scheduler.
pub fn as_requested(pod: &Value, scheduler: &str) -> Value {
    let mut requested = pod.clone();
    let read = |pointer| pod.pointer(pointer).and_then(Value::as_str);
    let generated = match (read("/metadata/generateName"), read("/metadata/name")) {
        (Some(prefix), Some(name)) => name.strip_prefix(prefix).is_some_and(is_suffix),
        _ => false,
    };
    if let Some(metadata) = members(&mut requested, "/metadata") {
        let is_set_later = |key: &str| SERVER_FIELDS.contains(&key) || (generated && key == "name");
        metadata.retain(|key, _| !is_set_later(key));
    }
    let of_creator = pod
        .pointer("/metadata/managedFields")
        .and_then(|fields| serde_json::from_value::<ManagedFields>(fields.clone()).ok())
        .is_some_and(|fields| !fields.owners(&["spec", "nodeName"]).is_empty());
    if let Some(spec) = members(&mut requested, "/spec") {
        spec.insert("schedulerName".to_owned(), scheduler.into());
        spec.remove("ephemeralContainers");
        if !of_creator {
            spec.remove("nodeName");
        }
    }
    if let Some(pod) = requested.as_object_mut() {
        pod.remove("status");
    }
    requested
}

/// Returns the pod for a creation that is only tried: it gets a new name, so that it does not collide with the live one.
pub fn as_dry_run(pod: &Value, live: &LivePod<'_>, scheduler: &str) -> Value {
    let mut requested = as_requested(pod, scheduler);
    if let Some(metadata) = members(&mut requested, "/metadata") {
        metadata.remove("name");
        metadata.entry("generateName").or_insert_with(|| format!("{}-", live.metadata.name).into());
    }
    requested
}

fn members<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    object.pointer_mut(pointer).and_then(Value::as_object_mut)
}

/// Returns true if an API server may have generated this end of a name. That of a `StatefulSet`'s pod is an ordinal number.
fn is_suffix(end: &str) -> bool {
    end.len() == SUFFIX && end.chars().all(|character| SUFFIX_CHARACTERS.contains(character))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, fields: &Value) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "generateName": "web-5d4-",
                "namespace": "team",
                "uid": "1",
                "resourceVersion": "2",
                "creationTimestamp": "2026-11-30T02:14:07Z",
                "managedFields": [{"manager": "a", "operation": "Update", "fieldsV1": {"f:spec": fields}}],
            },
            "spec": {"schedulerName": "stork", "nodeName": "node-1"},
            "status": {"phase": "Running"},
        })
    }

    #[test]
    fn what_the_cluster_set_is_removed() {
        let metadata = json!({"generateName": "web-5d4-", "namespace": "team"});
        let spec = json!({"schedulerName": "default-scheduler"});
        let expected = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        assert_eq!(as_requested(&pod("web-5d4-x7k2z", &json!({})), "default-scheduler"), expected);
    }

    #[test]
    fn what_the_creator_set_is_kept() {
        let named = as_requested(&pod("web-5d4-0", &json!({"f:nodeName": {}})), "stork");
        assert_eq!(named["metadata"]["name"], "web-5d4-0");
        assert_eq!(named["spec"], json!({"schedulerName": "stork", "nodeName": "node-1"}));
    }

    #[test]
    fn a_dry_run_gets_a_new_name() {
        let mut bare = pod("web", &json!({}));
        bare["metadata"].as_object_mut().unwrap().remove("generateName");
        for (pod, prefix) in [(pod("web-5d4-0", &json!({})), "web-5d4-"), (bare, "web-")] {
            let text = pod.to_string();
            let dry_run = as_dry_run(&pod, &serde_json::from_str(&text).unwrap(), "stork");
            assert_eq!(dry_run["metadata"], json!({"generateName": prefix, "namespace": "team"}));
        }
    }
}
