//! The controller of a live object.

use colocate_engine::{Text, Workloads, each_element};
use serde::Deserialize;
use serde::de::Deserializer;

/// The owner that controls an object: the entry of `metadata.ownerReferences` with `controller: true`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Controller<'a> {
    /// The group and version, as in `apps/v1`.
    #[serde(borrow, default)]
    pub api_version: Text<'a>,
    /// The kind.
    #[serde(borrow, default)]
    pub kind: Text<'a>,
    /// The name.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// The UID.
    #[serde(borrow, default)]
    pub uid: Text<'a>,
    #[serde(default, rename = "controller")]
    controls: Option<bool>,
}

impl Controller<'_> {
    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Returns the reason why it may not create one of its own pods again after an eviction, with what to do; `None` if it does.
    pub fn loses_evicted_pods(&self, workloads: &Workloads) -> Option<String> {
        let (group, kind) = (self.group(), &*self.kind);
        match (group, kind) {
            ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet") | ("", "ReplicationController") => None,
            ("batch", "Job") => Some(
                "a Job counts an eviction as a failure, and may not create the pod again: let the Job end, or delete it and create \
                 it from its manifest"
                    .to_owned(),
            ),
            _ if workloads.include_custom(group, kind) => None,
            _ => Some(format!(
                "a {kind} may not create the pod again: list the kind in customWorkloads if it does, or else let it end, or delete \
                 it and create it from its manifest"
            )),
        }
    }
}

/// Reads the first owner with `controller: true`. For `#[serde(deserialize_with = "controller")]` on `ownerReferences`.
///
/// # Errors
/// The value is neither an array of owners nor null.
pub fn controller<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Controller<'de>>, D::Error> {
    let mut found = None;
    each_element(deserializer, "an array of owners", |owner: Controller<'de>| {
        if owner.controls == Some(true) {
            found.get_or_insert(owner);
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata<'a> {
        #[serde(borrow, default, deserialize_with = "controller")]
        owner_references: Option<Controller<'a>>,
    }

    #[test]
    fn the_controller_is_the_first_owner_that_controls() {
        let read = |text| serde_json::from_str::<Metadata<'_>>(text).unwrap().owner_references;
        let found = read(
            r#"{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"1"},
            {"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d4","uid":"2","controller":true}]}"#,
        )
        .unwrap();
        assert_eq!((found.group(), &*found.kind, &*found.name, &*found.uid), ("apps", "ReplicaSet", "web-5d4", "2"));
        for none in ["{}", r#"{"ownerReferences":null}"#, r#"{"ownerReferences":[{"controller":false}]}"#] {
            assert_eq!(read(none), None, "{none}");
        }
        let read = |api_version: &'static str, kind: &'static str| Controller {
            api_version: api_version.into(),
            kind: kind.into(),
            ..Controller::default()
        };
        let lost = read("keda.sh/v1alpha1", "ScaledJob").loses_evicted_pods(&Workloads::default());
        assert!(lost.unwrap().starts_with("a ScaledJob may not create the pod again: "));
        assert_eq!(read("apps/v1", "ReplicaSet").loses_evicted_pods(&Workloads::default()), None);
        let core = Controller { api_version: "v1".into(), ..Controller::default() };
        assert_eq!(core.group(), "");
    }
}
