//! Objects that do not match the schema of their kind, as a user may send or a custom resource may contain them.

use serde_json::{Value, json};

use super::kind::Kind;
use super::shape::{Shape, volume};

/// Built-in kinds with missing, null, or empty parts.
pub(crate) fn built_in(name: &str) -> Vec<(Kind, Value)> {
    let mut all = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_custom()) {
        let good = kind.object(name, &json!({}), Shape::default().template());
        let at = kind.pointer();
        for (pointer, value) in [
            ("/spec".to_owned(), Value::Null),
            ("/spec".to_owned(), json!({})),
            (at.to_owned(), Value::Null),
            (at.to_owned(), json!({})),
            (format!("{at}/spec"), Value::Null),
            (format!("{at}/spec"), json!({})),
            (format!("{at}/spec/volumes"), Value::Null),
            (format!("{at}/spec/volumes"), json!([null])),
            (format!("{at}/spec/volumes"), json!([{}])),
            (format!("{at}/spec/volumes"), json!([{"name": "a", "csi": {}}, {"name": "b", "ephemeral": {}}])),
            (format!("{at}/metadata"), json!({"annotations": null, "labels": {"app": name}})),
            ("/metadata".to_owned(), json!({"name": name, "annotations": null, "ownerReferences": null})),
            ("/spec/jobTemplate".to_owned(), Value::Null),
            ("/spec/volumeClaimTemplates".to_owned(), json!([{}])),
        ] {
            let mut object = good.clone();
            if let Some(place) = object.pointer_mut(&pointer).filter(|_| !pointer.is_empty()) {
                *place = value;
                all.push((kind, object));
            }
        }
    }
    all
}

/// Contents of a custom resource, without its metadata.
pub(crate) fn custom() -> Vec<Value> {
    let claim = || volume("persistentVolumeClaim", &json!({"claimName": "data"}));
    let template = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    let mut all = vec![
        json!({}),
        json!({"spec": null}),
        json!({"spec": "text"}),
        json!({"spec": 7}),
        json!({"spec": []}),
        json!({"spec": {"template": null}}),
        json!({"spec": {"template": "text"}}),
        json!({"spec": {"template": []}}),
        json!({"spec": {"template": {"metadata": []}}}),
        json!({"spec": {"template": {"metadata": {"annotations": ["text"]}, "spec": {"volumes": [claim()]}}}}),
        json!({"spec": {"template": {"metadata": {"annotations": {"a": 7}}, "spec": {"volumes": [claim()]}}}}),
        template(Value::Null),
        template(json!("text")),
        template(json!({"volumes": {}})),
        template(json!({"volumes": ["text", null, 7]})),
        template(json!({"volumes": [{"persistentVolumeClaim": "text"}, claim()]})),
        template(json!({"volumes": [claim()], "schedulerName": 7})),
        template(json!({"volumes": [claim()], "schedulerName": null})),
        template(json!({"volumes": [claim()], "nodeName": {}})),
        template(json!({"volumes": [claim()]})),
        template(json!({"volumes": [claim()], "schedulerName": "stork"})),
    ];
    // The same for a path whose keys need escaping.
    all.push(json!({"spec": {"a/b": {"~c": {"if": {"spec": {"volumes": [claim()]}}}}}}));
    all.push(json!({"spec": {"a/b": {"~c": "text"}}}));
    all
}
