//! Objects for which no decision is made, although they have a pod template with claims or a key of Stork.

use std::ops::Range;

use serde_json::Value;

use super::document::{Document, ManifestObject};
use super::patches::is_json_patch;
use colocate_companion::{FieldPath, SubjectKind, is_stork_key};
use colocate_engine::Policy;

/// An object, or a document that is not an object, for which no decision is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The range of the pod template or of the key.
    pub range: Range<usize>,
    /// What it is, why no decision is made, and what to do.
    pub what: String,
}

/// The sources of a pod's volumes that may belong to a driver, including `KubeVirt`'s, which names a claim.
const SOURCES: [&str; 5] = ["persistentVolumeClaim", "ephemeral", "csi", "portworxVolume", "dataVolume"];

impl Document<'_> {
    /// Returns what holds a pod template with claims, or a key of Stork, but is neither of a kind with rules nor of a kind of the
    /// configuration.
    pub fn undecided(&self, policy: &Policy) -> Vec<Undecided> {
        let (root, objects) = (FieldPath::default(), self.objects());
        let is_read = self.is_foreign() || is_json_patch(&self.value);
        let unread = (objects.is_empty() && !is_read).then_some((None, &root, &self.value));
        let objects = objects.iter().map(|object| (Some(object), &object.path, object.value));
        let undecided = unread.into_iter().chain(objects).filter_map(|(object, path, value)| {
            if object.is_some_and(|object| is_decided(object, policy)) {
                return None;
            }
            let mut search = Search { policy, path: Vec::new(), template: None, key: None };
            search.visit(value);
            let found = search.template.as_ref().or(search.key.as_ref())?;
            let place = path.join(found);
            let range = match search.template {
                Some(_) => self.value_span(&place),
                None => self.key_span(&place),
            };
            let what = describe(object, &search);
            Some(Undecided { range: range.unwrap_or(self.range.start..self.range.start), what })
        });
        undecided.collect()
    }
}

/// Returns true if a decision is made for objects of this kind, or if they are copies of other objects.
fn is_decided(object: &ManifestObject<'_>, policy: &Policy) -> bool {
    let is_copy = (object.api_version, object.kind) == ("apps/v1", "ControllerRevision");
    is_copy || SubjectKind::find_object(policy, object.api_version, object.kind).is_some()
}

fn describe(object: Option<&ManifestObject<'_>>, search: &Search<'_, '_>) -> String {
    let who = match object {
        Some(object) => format!("{} {} of {}", object.kind, object.name(), object.api_version),
        None => "this document is not a Kubernetes object, and".to_owned(),
    };
    let Some(template) = &search.template else {
        let key = search.key.as_ref().map(FieldPath::to_string).unwrap_or_default();
        return format!(
            "{who} has a key of Stork at {key}, but objects of this kind are not checked: check it manually"
        );
    };
    let is_openshift = object.is_some_and(|object| object.api_version.starts_with("template.openshift.io/"));
    let in_list = template.to_string().contains('[');
    let remedy = match object {
        Some(_) if is_openshift => "render it first, with `oc process`".to_owned(),
        Some(_) if !in_list => {
            let fields = template.to_string().replace('.', "/");
            format!("add the kind to customWorkloads of the configuration, with the path /{fields}")
        }
        Some(_) => "its pods are decided when they are created".to_owned(),
        None => "make each object in it a document, or an item of a List".to_owned(),
    };
    format!("{who} has a pod template with volumes at {template}, for which no decision is made: {remedy}")
}

/// A search for pod templates and keys of Stork.
struct Search<'p, 'v> {
    policy: &'p Policy,
    /// The path to the current value.
    path: Vec<Step<'v>>,
    /// The first pod template that mounts a volume of a driver, perhaps.
    template: Option<FieldPath>,
    /// The first key of Stork.
    key: Option<FieldPath>,
}

#[derive(Clone, Copy)]
enum Step<'v> {
    Field(&'v str),
    Index(usize),
}

impl<'v> Search<'_, 'v> {
    fn visit(&mut self, value: &'v Value) {
        match value {
            Value::Object(fields) => {
                if self.template.is_none() && mounts_volumes(value) {
                    self.template = Some(self.here());
                }
                for (name, value) in fields {
                    if self.key.is_none() && is_stork_key(self.policy, name) {
                        self.key = Some(self.here().key(name));
                    }
                    self.path.push(Step::Field(name));
                    if self.template.is_none() && name == "template" && gets_claims(fields) {
                        self.template = Some(self.here());
                    }
                    self.visit(value);
                    self.path.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.visit(item);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn here(&self) -> FieldPath {
        self.path.iter().fold(FieldPath::default(), |path, step| match step {
            Step::Field(name) => path.field(name),
            Step::Index(index) => path.index(*index),
        })
    }
}

/// Returns true if a value is a pod template, or the like, that mounts a volume of a driver, perhaps.
fn mounts_volumes(template: &Value) -> bool {
    let volumes = template["spec"]["volumes"].as_array();
    volumes.into_iter().flatten().any(|volume| SOURCES.iter().any(|source| volume[source].is_object()))
}

/// Returns true if the pods of `template`, a field among `fields`, get claims of their own, as in a `StatefulSet`.
fn gets_claims(fields: &serde_json::Map<String, Value>) -> bool {
    let some = |value: Option<&Value>| value.and_then(Value::as_array).is_some_and(|items| !items.is_empty());
    let spec = fields.get("template").map(|template| &template["spec"]);
    some(fields.get("volumeClaimTemplates")) && some(spec.and_then(|spec| spec.get("containers")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use colocate_engine::{Update, Workload, Workloads};

    const SPEC: &str = "{containers: [{name: c}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}";

    /// The text at each range, with the description.
    fn undecided_by(policy: &Policy, text: &str) -> Vec<(String, String)> {
        let manifest = Manifest::new(text);
        let documents = manifest.parse().unwrap();
        let undecided = documents.iter().flat_map(|document| document.undecided(policy));
        undecided.map(|Undecided { range, what }| (text[range].to_owned(), what)).collect()
    }

    fn undecided(text: &str) -> Vec<(String, String)> {
        undecided_by(&Policy::default(), text)
    }

    fn object(api_version: &str, kind: &str, spec: &str) -> String {
        format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n")
    }

    #[test]
    fn a_pod_template_of_an_unknown_kind_is_named_with_a_remedy() {
        let template = format!("{{spec: {SPEC}}}");
        let machine = "{spec: {volumes: [{name: v, dataVolume: {name: data}}]}}";
        let set = "{spec: {containers: [{name: c}]}}";
        let field = |template: &str| format!("{{template: {template}}}");
        for (kind, api_version, spec, template) in [
            ("DeploymentConfig", "apps.openshift.io/v1", field(&template), template.as_str()),
            ("VirtualMachine", "kubevirt.io/v1", field(machine), machine),
            ("Service", "serving.knative.dev/v1", field(&template), &template),
            (
                "Set",
                "example.com/v1",
                format!("{{template: {set}, volumeClaimTemplates: [{{metadata: {{name: d}}}}]}}"),
                set,
            ),
        ] {
            let what = format!(
                "{kind} a of {api_version} has a pod template with volumes at spec.template, for which no decision is \
                 made: add the kind to customWorkloads of the configuration, with the path /spec/template"
            );
            assert_eq!(undecided(&object(api_version, kind, &spec)), [(template.to_owned(), what)]);
        }
        let list = object("example.com/v1", "Cluster", &format!("{{groups: [{{template: {template}}}]}}"));
        let (_, what) = &undecided(&list)[0];
        assert!(what.contains("spec.groups[0].template") && what.ends_with("decided when they are created"), "{what}");
    }

    #[test]
    fn objects_that_are_not_read_as_such_are_named() {
        let json = r#"{"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"csi": {}}]}}"#;
        let found = undecided(&format!("[{json}]"));
        assert_eq!(found[0].0, json);
        assert!(
            found[0].1.starts_with("this document is not a Kubernetes object, and has a pod template"),
            "{found:?}"
        );
        assert!(found[0].1.ends_with("make each object in it a document, or an item of a List"), "{found:?}");
        let template =
            format!("apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {{name: t}}\nobjects: [{json}]\n");
        assert!(undecided(&template)[0].1.ends_with("render it first, with `oc process`"));
    }

    #[test]
    fn a_key_of_stork_is_named_unless_it_has_another_purpose() {
        let with = |key: &str| object("example.com/v1", "Database", &format!("{{annotations: {{{key}: \"x\"}}}}"));
        let key = "stork.libopenstorage.org/preferLocalNodeonly";
        let found = undecided(&with(key));
        assert_eq!(found[0].0, key);
        assert!(found[0].1.contains("has a key of Stork at spec.annotations[stork.libopenstorage.org/"), "{found:?}");
        assert_eq!(undecided(&format!("podAnnotations: {{{key}: \"true\"}}\n")).len(), 1);
        assert_eq!(undecided(&with("stork.libopenstorage.org/migrationName")), []);
        assert_eq!(undecided(&with("preferLocalNodeOnly")), []);
    }

    #[test]
    fn nothing_is_undecided_if_no_claim_or_a_known_kind_is_concerned() {
        let empty = "{template: {spec: {containers: [{name: c}], volumes: [{name: v, emptyDir: {}}]}}}";
        let template = format!("{{template: {{spec: {SPEC}}}}}");
        for text in [
            object("apps.openshift.io/v1", "DeploymentConfig", empty),
            object("apps/v1", "Deployment", &template),
            object("extensions/v1beta1", "Deployment", &template),
            format!("apiVersion: apps/v1\nkind: ControllerRevision\ndata: {{spec: {template}}}\n"),
            "a: {{ b }}\nspec: {template: {spec: {volumes: [{csi: {}}]}}}\n".to_owned(),
            "a: 1\n".to_owned(),
        ] {
            assert_eq!(undecided(&text), [], "{text}");
        }
        let rollout = Workload {
            group: "argoproj.io".to_owned(),
            version: "v1alpha1".to_owned(),
            kind: "Rollout".to_owned(),
            path: vec!["spec".to_owned(), "template".to_owned()],
            update: Update::Allowed,
            custom: true,
        };
        let policy = Policy { workloads: Workloads::new([rollout]), ..Policy::default() };
        let text = object("argoproj.io/v1alpha1", "Rollout", &template);
        assert_eq!((undecided_by(&policy, &text), undecided(&text).len()), (Vec::new(), 1));
    }
}
