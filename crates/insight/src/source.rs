//! The source of a workload: the manifest that its user applied.

use serde::Deserialize;
use serde_json::Value;

use super::live_pod::LiveMetadata;

/// The annotation in which `kubectl apply` records the manifest.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: LiveMetadata<'a>,
}

/// Returns whether the source of an object names `schedulerName` in the pod spec at `path`; `None` if no source is recorded.
/// Sources are the manifest of `kubectl apply`, and the fields that managers declare by server-side apply.
///
/// # Errors
/// The JSON is not an object of Kubernetes.
pub fn source_names_scheduler(object: &str, path: &[String]) -> Result<Option<bool>, serde_json::Error> {
    let Object { metadata } = serde_json::from_str(object)?;
    let path: Vec<_> = path.iter().map(String::as_str).chain(["spec", "schedulerName"]).collect();
    let manifest = metadata.annotations.get(LAST_APPLIED).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let in_manifest = manifest.map(|manifest| path.iter().try_fold(&manifest, |value, key| value.get(key)).is_some());
    let applied = metadata.managed_fields.has_apply();
    let in_fields = applied.then(|| metadata.managed_fields.owners(&path).iter().any(|entry| entry.is_apply()));
    Ok(match (in_manifest, in_fields) {
        (None, None) => None,
        (manifest, fields) => Some(manifest == Some(true) || fields == Some(true)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_source_is_read() {
        let manifest = |spec: &Value| json!({"spec": {"template": {"spec": spec}}}).to_string();
        let applied = |spec: &Value| json!([{"manager": "a", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {"f:spec": spec}}}}]);
        let (names, silent) = (json!({"schedulerName": "stork"}), json!({"volumes": []}));
        let (owns, other) = (json!({"f:schedulerName": {}}), json!({"f:volumes": {}}));
        let path = ["spec".to_owned(), "template".to_owned()];
        for (annotation, fields, expected) in [
            (None, None, None),
            (Some(&names), None, Some(true)),
            (Some(&silent), None, Some(false)),
            (None, Some(&owns), Some(true)),
            (None, Some(&other), Some(false)),
            (Some(&silent), Some(&owns), Some(true)),
        ] {
            let annotations = annotation.map(|spec| json!({LAST_APPLIED: manifest(spec)}));
            let metadata = json!({"annotations": annotations, "managedFields": fields.map(applied)});
            let object = json!({"metadata": metadata}).to_string();
            assert_eq!(source_names_scheduler(&object, &path).unwrap(), expected, "{object}");
        }
    }
}
