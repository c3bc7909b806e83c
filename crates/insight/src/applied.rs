//! An object as it is after `kubectl apply` of a file: the live object, with the fields of the file, and without
//! those that the file no longer has.

use serde_json::{Map, Value};

/// The annotation in which client-side `kubectl apply` records the file.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The keys by which Kubernetes merges lists of objects, by the field of the list. All other lists are replaced as a whole.
const MERGE_KEYS: [(&str, &str); 10] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
];

/// The field whose objects keep only the keys of the file: a volume has one source.
const RETAINED: &str = "volumes";

/// The fields that hold quantities, which have several spellings: `0.5` and `500m`.
const QUANTITIES: [&str; 6] = ["limits", "requests", "capacity", "overhead", "sizeLimit", "divisor"];

/// The relative difference below which two quantities are equal.
const PRECISION: f64 = 1e-9;

/// The suffixes of quantities.
const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

/// Returns a live object after `kubectl apply` of `file`. Where the two say the same, the spelling of the live object is kept, so
/// that an equal result means no change. The lists of a custom resource are replaced as a whole.
///
/// The fields that an earlier apply set and the file no longer has are removed: those of the annotation of client-side apply, or
/// else those of the only manager that applies server-side.
pub fn apply(live: &Value, file: &Value, custom: bool) -> Value {
    let last = last_applied(live);
    let mut file = file.clone();
    // An apply always writes an annotation, and never removes the map.
    if let Some(metadata) = file["metadata"].as_object_mut() {
        let annotations = metadata.entry("annotations").or_insert(Value::Null);
        if annotations.is_null() {
            *annotations = Map::new().into();
        }
    }
    let merged = Merge { custom }.merge("", Some(live), &file, last.as_ref());
    merged.unwrap_or_default()
}

struct Merge {
    custom: bool,
}

impl Merge {
    /// Merges the value of the field `key`; `None` removes it.
    fn merge(&self, key: &str, live: Option<&Value>, file: &Value, last: Option<&Value>) -> Option<Value> {
        match (live, file) {
            (None, file) => (!is_empty(key, file)).then(|| file.clone()),
            // Files that a program wrote have it in each `metadata`.
            (Some(live), Value::Null) if live.is_null() || key == "creationTimestamp" => Some(live.clone()),
            (Some(_), Value::Null) => None,
            (Some(Value::Object(live)), Value::Object(file)) => {
                Some(self.objects(live, file, last.and_then(Value::as_object)).into())
            }
            (Some(Value::Array(live)), Value::Array(file)) => {
                Some(self.lists(key, live, file, last.and_then(Value::as_array)).into())
            }
            (Some(live), file) => Some(if is_same(key, live, file) { live.clone() } else { file.clone() }),
        }
    }

    fn objects(
        &self,
        live: &Map<String, Value>,
        file: &Map<String, Value>,
        last: Option<&Map<String, Value>>,
    ) -> Map<String, Value> {
        let mut merged = live.clone();
        merged.retain(|key, _| file.contains_key(key) || !last.is_some_and(|last| last.contains_key(key)));
        for (key, value) in file {
            let last = last.and_then(|last| last.get(key));
            match self.merge(key, live.get(key), value, last) {
                Some(value) => drop(merged.insert(key.clone(), value)),
                None => drop(merged.remove(key)),
            }
        }
        merged
    }

    fn lists(&self, key: &str, live: &[Value], file: &[Value], last: Option<&Vec<Value>>) -> Vec<Value> {
        let merge_key = MERGE_KEYS.iter().find(|(field, _)| *field == key && !self.custom).map(|(_, key)| *key);
        let Some(merge_key) = merge_key else {
            // The API server adds the same defaults again.
            let merged: Vec<_> = if live.len() == file.len() {
                let pairs = live.iter().zip(file).enumerate();
                let last = |index: usize| last.filter(|last| last.len() == file.len())?.get(index);
                pairs.filter_map(|(index, (live, file))| self.merge(key, Some(live), file, last(index))).collect()
            } else {
                Vec::new()
            };
            return if merged.len() == file.len() { merged } else { file.to_vec() };
        };
        let find = |list: &[Value], value: &Value| list.iter().position(|other| other[merge_key] == value[merge_key]);
        let of_last = |value: &Value| last.is_some_and(|last| find(last, value).is_some());
        // The items of the file in its order, at the places where the live list has items of the file.
        let mut items = file.iter().map(|item| {
            let last = last.and_then(|last| last.get(find(last, item)?));
            let merged = match find(live, item) {
                Some(index) => self.merge("", live.get(index), item, last).unwrap_or_default(),
                None => item.clone(),
            };
            if key == RETAINED { retained(merged, item) } else { merged }
        });
        let mut merged = Vec::new();
        for item in live {
            if find(file, item).is_some() {
                merged.extend(items.next());
            } else if !of_last(item) {
                merged.push(item.clone());
            }
        }
        merged.extend(items);
        merged
    }
}

/// Removes the keys that the file does not have.
fn retained(mut merged: Value, file: &Value) -> Value {
    if let (Some(merged), Some(file)) = (merged.as_object_mut(), file.as_object()) {
        merged.retain(|key, _| file.contains_key(key));
    }
    merged
}

/// The maps that the API server does not store if they are empty. Other empty objects have a meaning, such as `emptyDir`.
const OMITTED: [&str; 6] = ["annotations", "labels", "matchLabels", "nodeSelector", "limits", "requests"];

/// Returns true for a value of the field `key` that the API server does not store, or stores as a default.
fn is_empty(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty() && OMITTED.contains(&key),
    }
}

/// Returns true if two values of the field `key` mean the same.
fn is_same(key: &str, live: &Value, file: &Value) -> bool {
    live == file
        || {
            let amounts = [live, file].map(quantity);
            // The resource is the key: `limits` has `cpu`.
            let is_quantity = QUANTITIES.contains(&key) || is_resource(key);
            matches!(amounts, [Some(live), Some(file)] if is_quantity && (live - file).abs() <= PRECISION * live.abs().max(file.abs()))
        }
}

/// Returns true for the name of a resource, whose value is a quantity.
fn is_resource(key: &str) -> bool {
    matches!(key, "cpu" | "memory" | "storage" | "ephemeral-storage" | "pods") || key.starts_with("hugepages-")
}

fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Number(number) => return number.as_f64(),
        _ => return None,
    };
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor))).unwrap_or((text, 1.0));
    let number: f64 = number.parse().ok()?;
    Some(number * factor)
}

/// The object as it was applied before.
fn last_applied(live: &Value) -> Option<Value> {
    let annotation =
        live.pointer("/metadata/annotations").and_then(|annotations| annotations.get(LAST_APPLIED)?.as_str());
    if let Some(text) = annotation {
        return serde_json::from_str(text).ok();
    }
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let applied =
        |entry: &&Value| entry["operation"] == "Apply" && entry["subresource"].as_str().is_none_or(str::is_empty);
    let mut entries = entries.into_iter().flatten().filter(applied);
    // Of several managers, one may keep what the file of another no longer has.
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Some(owned(live, entry["fieldsV1"].as_object()?)),
        _ => None,
    }
}

/// The part of a live value that consists of these fields.
fn owned(live: &Value, fields: &Map<String, Value>) -> Value {
    let part = |live: &Value, fields: &Value| match fields.as_object() {
        Some(fields) if fields.keys().any(|key| key != ".") => owned(live, fields),
        _ => live.clone(),
    };
    match live {
        Value::Object(live) => {
            let of_key = |(key, fields): (&String, &Value)| {
                let key = key.strip_prefix("f:")?;
                Some((key.to_owned(), part(live.get(key)?, fields)))
            };
            fields.iter().filter_map(of_key).collect::<Map<_, _>>().into()
        }
        Value::Array(live) => {
            let of_item = |(key, fields): (&String, &Value)| {
                if let Some(value) = key.strip_prefix("v:") {
                    return serde_json::from_str(value).ok();
                }
                let keys: Map<String, Value> = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
                let item = live.iter().find(|item| keys.iter().all(|(key, value)| item[key] == *value))?;
                let mut part = part(item, fields);
                if let Some(part) = part.as_object_mut() {
                    part.extend(keys);
                }
                Some(part)
            };
            fields.iter().filter_map(of_item).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A live template with the defaults that an API server adds, as it was applied from [`file`].
    fn live() -> Value {
        json!({
            "metadata": {"annotations": {LAST_APPLIED: file().to_string()}, "uid": "1"},
            "spec": {"template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {
                    "schedulerName": "stork",
                    "restartPolicy": "Always",
                    "securityContext": {},
                    "containers": [{
                        "name": "main", "image": "a:1", "imagePullPolicy": "IfNotPresent",
                        "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "args": ["a", "b"],
                    }],
                    "volumes": [
                        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                        {"name": "config", "configMap": {"name": "config", "defaultMode": 420}},
                    ],
                },
            }},
        })
    }

    fn file() -> Value {
        json!({
            "metadata": {"creationTimestamp": null},
            "spec": {"template": {
                "metadata": {"labels": {"app": "a"}, "annotations": {}},
                "spec": {
                    "hostNetwork": false,
                    "containers": [{
                        "name": "main", "image": "a:1",
                        "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                        "ports": [{"containerPort": 80}],
                        "args": ["a", "b"],
                    }],
                    "volumes": [
                        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                        {"name": "config", "configMap": {"name": "config"}},
                    ],
                },
            }},
        })
    }

    const SPEC: &str = "/spec/template/spec";

    /// Changes the pod spec of the file, applies it, and returns the pod spec.
    fn applied(change: impl FnOnce(&mut Value)) -> Value {
        let mut file = file();
        change(file.pointer_mut(SPEC).unwrap());
        apply(&live(), &file, false).pointer(SPEC).unwrap().clone()
    }

    #[test]
    fn the_same_file_changes_nothing() {
        assert_eq!(apply(&live(), &file(), false)["spec"], live()["spec"]);
    }

    #[test]
    fn what_the_cluster_wrote_stays() {
        let last = json!({"metadata": {"name": "data", "annotations": {}}}).to_string();
        let annotations = json!({LAST_APPLIED: last, "volume.kubernetes.io/storage-provisioner": "a"});
        let live = json!({
            "metadata": {"name": "data", "creationTimestamp": "2026-11-30T00:00:00Z", "annotations": annotations},
            "spec": {"template": {"metadata": {"creationTimestamp": null}}},
        });
        let null = json!({"creationTimestamp": null});
        for metadata in [json!({"name": "data"}), json!({"name": "data", "creationTimestamp": null})] {
            let file = json!({"metadata": metadata, "spec": {"template": {"metadata": &null}}});
            assert_eq!(apply(&live, &file, false), live);
        }
    }

    #[test]
    fn fields_of_the_file_replace_and_others_stay() {
        let spec = applied(|spec| spec["containers"][0]["image"] = "a:2".into());
        assert_eq!(spec["containers"][0]["image"], "a:2");
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(spec["schedulerName"], "stork");
        let spec = applied(|spec| spec["schedulerName"] = "default-scheduler".into());
        assert_eq!(spec["schedulerName"], "default-scheduler");
        let spec = applied(|spec| spec["containers"][0]["resources"]["limits"]["cpu"] = "600m".into());
        assert_eq!(spec["containers"][0]["resources"]["limits"], json!({"cpu": "600m", "memory": "1Gi"}));
        let spec = applied(|spec| spec["containers"][0]["args"] = json!(["b", "a"]));
        assert_eq!(spec["containers"][0]["args"], json!(["b", "a"]));
    }

    #[test]
    fn what_the_file_no_longer_has_is_removed() {
        let spec = applied(|spec| {
            spec["volumes"].as_array_mut().unwrap().remove(0);
            spec["containers"][0].as_object_mut().unwrap().remove("args");
        });
        assert_eq!(spec["volumes"].as_array().unwrap().len(), 1);
        assert!(spec["containers"][0].get("args").is_none());
        // What another writer added stays.
        let mut live = live();
        live.pointer_mut("/spec/template/spec/volumes").unwrap().as_array_mut().unwrap().push(json!({"name": "x"}));
        live.pointer_mut("/spec/template/metadata").unwrap()["annotations"] = json!({"restartedAt": "now"});
        assert_eq!(apply(&live, &file(), false)["spec"], live["spec"]);
    }

    #[test]
    fn a_volume_has_one_source() {
        let spec = applied(|spec| spec["volumes"][0] = json!({"name": "data", "emptyDir": {}}));
        assert_eq!(spec["volumes"][0], json!({"name": "data", "emptyDir": {}}));
        let spec = applied(|spec| spec["volumes"].as_array_mut().unwrap().reverse());
        let names: Vec<_> = spec["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        assert_eq!(names, ["config", "data"]);
    }

    #[test]
    fn the_fields_of_server_side_apply_are_removed_too() {
        let mut live = live();
        let fields = json!({"f:spec": {"f:template": {"f:spec": {
            "f:volumes": {"k:{\"name\":\"data\"}": {".": {}, "f:name": {}, "f:persistentVolumeClaim": {"f:claimName": {}}}},
            "f:containers": {"k:{\"name\":\"main\"}": {"f:args": {}}},
        }}}});
        let entry = json!({"manager": "a", "operation": "Apply", "fieldsV1": fields});
        live["metadata"] = json!({"managedFields": [entry]});
        let mut file = file();
        let spec = file.pointer_mut(SPEC).unwrap();
        spec["volumes"].as_array_mut().unwrap().remove(0);
        spec["containers"][0].as_object_mut().unwrap().remove("args");
        let applied = |live: &Value| apply(live, &file, false).pointer(SPEC).unwrap().clone();
        let spec = applied(&live);
        assert_eq!((spec["volumes"].as_array().unwrap().len(), spec["containers"][0].get("args")), (1, None));
        // With a second manager, it is not certain.
        live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({"manager": "b", "operation": "Apply"}));
        assert_eq!(applied(&live)["volumes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_lists_of_a_custom_resource_are_replaced() {
        let live = json!({"spec": {"volumes": [{"name": "a"}, {"name": "b"}]}});
        let file = json!({"spec": {"volumes": [{"name": "b"}]}});
        assert_eq!(apply(&live, &file, true), file);
        assert_eq!(apply(&live, &file, false), live);
    }
}
