//! The only change that the engine makes.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};

/// Sets `schedulerName` in the pod spec of the template at `path` (object keys from the root).
///
/// It is a single `add` of one field, which replaces an existing value. It applies to every template whose `spec` is an
/// object, and applying it again changes nothing. Anything more (a `test`, a `replace`, a second operation) can fail, and
/// the API server treats a failed patch as an error even under `failurePolicy: Ignore`.
pub(crate) fn set_scheduler(path: &[String], scheduler: &str) -> Patch {
    let tokens = path.iter().map(String::as_str).chain(["spec", "schedulerName"]);
    Patch(vec![PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(tokens),
        value: serde_json::Value::from(scheduler),
    })])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_patch_is_one_add_with_an_escaped_path() {
        let patch = set_scheduler(&["spec".into(), "a/b~c".into()], "stork");
        assert_eq!(
            serde_json::to_value(&patch).unwrap(),
            json!([{"op": "add", "path": "/spec/a~1b~0c/spec/schedulerName", "value": "stork"}])
        );
    }
}
