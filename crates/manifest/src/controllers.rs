//! The controllers in manifests, whose pods have the same findings.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::document::{Document, ManifestObject};
use super::file_view::FileView;
use super::known_objects::FileId;
use colocate_companion::is_stork_key;
use colocate_engine::Policy;

/// The objects of manifests that other objects may name as their controller.
#[derive(Debug, Default)]
pub struct Controllers(HashMap<ControllerKey, Vec<KnownController>>);

/// A namespace, kind and name.
type ControllerKey = (Box<str>, Box<str>, Box<str>);

#[derive(Debug)]
struct KnownController {
    file: FileId,
    annotations: Annotations,
}

/// The annotations of a pod or pod template that have a key of Stork.
type Annotations = BTreeMap<Box<str>, Value>;

impl Controllers {
    /// Adds the controllers of a document. `namespace` is the namespace of objects that name none.
    pub fn add(&mut self, file: FileId, document: &Document<'_>, policy: &Policy, namespace: &str) {
        for object in document.objects() {
            // A pod controls nothing, and a file may have a million of them.
            let may_control = !matches!((object.api_version, object.kind), ("v1", "Pod"));
            if may_control && document.duplicate.is_none() {
                let Some(annotations) = annotations(&object, policy) else { continue };
                let name = object.value["metadata"]["name"].as_str().unwrap_or_default();
                let key = (object.namespace_or(namespace).into(), object.kind.into(), name.into());
                self.0.entry(key).or_default().push(KnownController { file, annotations });
            }
        }
    }

    /// Returns true if one of them is the controller of an object in `namespace`, and has the same keys of Stork in its template,
    /// so that it has the same findings. A controller in the folder of another environment does not count.
    pub(super) fn include_that_of(
        &self,
        object: &ManifestObject<'_>,
        policy: &Policy,
        view: &FileView<'_>,
        namespace: &str,
    ) -> bool {
        let owners = object.value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let mut controllers = owners.filter(|owner| owner["controller"] == true).peekable();
        if controllers.peek().is_none() {
            return false;
        }
        let annotations = annotations(object, policy);
        controllers.any(|owner| {
            let field = |name: &str| owner[name].as_str().unwrap_or_default().into();
            let known = self.0.get(&(namespace.into(), field("kind"), field("name")));
            known.into_iter().flatten().any(|known| {
                view.is_of_same_environment(known.file)
                    && annotations.as_ref().is_none_or(|own| *own == known.annotations)
            })
        })
    }
}

/// The annotations of an object's pod or pod template that have a key of Stork; `None` if the object is not a workload.
fn annotations(object: &ManifestObject<'_>, policy: &Policy) -> Option<Annotations> {
    let workload = policy.workloads.find_object(object.api_version, object.kind)?;
    let template = workload.path.iter().fold(object.value, |value, key| &value[key]);
    let annotations = template["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter(|(key, _)| is_stork_key(policy, key));
    Some(annotations.map(|(key, value)| (key.as_str().into(), value.clone())).collect())
}
