//! Objects for which no decision is made, although they have pods with claims or a key of Stork.

use std::ops::Range;

use serde_json::Value;

use super::document::{Document, Manifest, ManifestObject};
use super::patches::is_json_patch;
use colocate_companion::{FieldPath, SubjectKind, is_stork_key};
use colocate_engine::Policy;

/// An object, or a document that is not an object, for which no decision is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The range of the pod template, of the volumes or of the key.
    pub range: Range<usize>,
    /// The message: the object, the reason, and the remedy.
    pub what: String,
}

/// The sources of a pod's volumes that may belong to a driver, including `KubeVirt`'s, which names a claim.
pub(super) const SOURCES: [&str; 5] = ["persistentVolumeClaim", "ephemeral", "csi", "portworxVolume", "dataVolume"];

/// The field of a `StatefulSet`, and of many other kinds, with the claims that each pod gets.
pub(super) const CLAIM_TEMPLATES: &str = "volumeClaimTemplates";

impl Document<'_> {
    /// Returns the objects that have a pod template with claims, or a key of Stork, but whose kind is neither built in nor
    /// configured.
    pub fn undecided(&self, policy: &Policy) -> Vec<Undecided> {
        let others = if is_json_patch(&self.value) { Vec::new() } else { self.other_values() };
        let others = others.into_iter().map(|(path, value)| (Subject::Other(path), value));
        let objects = self.objects().into_iter().filter(|object| !is_decided(object, policy));
        let objects =
            objects.map(|object| (object.value, Subject::Object(object))).map(|(value, subject)| (subject, value));
        let in_patches = self.patches_with_volumes();
        let undecided = objects.chain(others).filter_map(|(subject, value)| {
            let mut search = Search { policy, path: Vec::new(), template: None, volumes: None, key: None };
            search.visit(value);
            let found = search.found()?;
            let place = subject.path().join(found.path());
            let range = match &found {
                Found::Key(_) => self.key_span(&place),
                Found::Template(_) | Found::Volumes(_) => self.value_span(&place),
            };
            let what = describe(&subject, &found);
            Some(Undecided { range: range.unwrap_or(self.range.start..self.range.start), what })
        });
        let mut undecided: Vec<_> = undecided.chain(in_patches).collect();
        undecided.sort_by_key(|found| found.range.start);
        undecided
    }
}

impl Document<'_> {
    /// Returns the patches that add volumes: JSON patches, and those that are written in a kustomization. Other patches in files
    /// of their own are objects.
    fn patches_with_volumes(&self) -> Vec<Undecided> {
        let undecided = |who: &str, place: &FieldPath| {
            let range = self.value_span(place).unwrap_or(self.range.start..self.range.start);
            let remedy = "run kustomize first: kubectl kustomize FOLDER | colocate mutate -";
            Undecided { range, what: format!("{who} adds volumes of pods, for which no decision is made: {remedy}") }
        };
        if is_json_patch(&self.value) {
            let adds = adds_volumes(&self.value);
            return adds.then(|| undecided("this JSON patch", &FieldPath::default())).into_iter().collect();
        }
        let mut found = Vec::new();
        for object in self.objects().iter().filter(|object| object.api_version.starts_with("kustomize.config.k8s.io/"))
        {
            for (path, text) in inline_patches(object.value) {
                let patch = Manifest::new(text);
                if patch.documents().flatten().any(|document| adds_volumes(&document.value)) {
                    found.push(undecided(&format!("the patch at {path}"), &object.path.join(&path)));
                }
            }
        }
        found
    }
}

/// Returns the patches that are written in a kustomization. An item that is the path of a file is a string, too, but does not
/// contain a patch.
fn inline_patches(kustomization: &Value) -> Vec<(FieldPath, &str)> {
    let mut patches = Vec::new();
    for field in ["patches", "patchesJson6902", "patchesStrategicMerge"] {
        for (index, item) in kustomization[field].as_array().into_iter().flatten().enumerate() {
            let path = FieldPath::of([field]).index(index);
            match item {
                Value::String(text) => patches.push((path, text.as_str())),
                item => patches.extend(item["patch"].as_str().map(|text| (path.field("patch"), text))),
            }
        }
    }
    patches
}

/// Returns true if a patch adds volumes that may belong to a driver.
fn adds_volumes(patch: &Value) -> bool {
    if !is_json_patch(patch) {
        return has_volumes(patch);
    }
    let mut added = patch.as_array().into_iter().flatten().filter(|operation| operation["op"] != "test");
    added.any(|operation| {
        let pointer = operation["path"].as_str().unwrap_or_default();
        let mut names = pointer.rsplit('/');
        // `/spec/volumes`, or an item of it.
        let in_volumes = match names.next() {
            Some("volumes") => true,
            Some(index) if index == "-" || index.parse::<usize>().is_ok() => names.next() == Some("volumes"),
            _ => false,
        };
        let value = &operation["value"];
        let volumes = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        // The value may be a whole template, or its `spec`.
        let of_spec =
            pointer.ends_with("/spec") && value["volumes"].as_array().is_some_and(|volumes| may_be_driven(volumes));
        of_spec || has_volumes(value) || (in_volumes && may_be_driven(volumes))
    })
}

/// Returns true if a pod template in a value may mount a volume of a driver.
fn has_volumes(value: &Value) -> bool {
    let inner = match value {
        Value::Object(fields) => fields.values().any(has_volumes),
        Value::Array(items) => items.iter().any(has_volumes),
        _ => false,
    };
    inner || mounts_volumes(value)
}

/// A value that may be undecided.
enum Subject<'d> {
    Object(ManifestObject<'d>),
    /// A document or an item of a list that is not an object, by its path.
    Other(FieldPath),
}

impl Found {
    fn path(&self) -> &FieldPath {
        match self {
            Self::Template(path) | Self::Volumes(path) | Self::Key(path) => path,
        }
    }
}

impl Subject<'_> {
    fn path(&self) -> &FieldPath {
        match self {
            Self::Object(object) => &object.path,
            Self::Other(path) => path,
        }
    }
}

/// Returns true if a decision is made for objects of this kind, or if they are copies of other objects.
fn is_decided(object: &ManifestObject<'_>, policy: &Policy) -> bool {
    let is_copy = (object.api_version, object.kind) == ("apps/v1", "ControllerRevision");
    is_copy || SubjectKind::find_object(policy, object.api_version, object.kind).is_some()
}

fn describe(subject: &Subject<'_>, found: &Found) -> String {
    let (who, object) = match subject {
        Subject::Object(object) => (format!("{} of {}", object.title(), object.api_version), Some(object)),
        Subject::Other(path) if path.segments().is_empty() => {
            ("this document is not a Kubernetes object, and".to_owned(), None)
        }
        Subject::Other(path) => (format!("{path} is not a Kubernetes object, and"), None),
    };
    let is_openshift = object.is_some_and(|object| object.api_version.starts_with("template.openshift.io/"));
    let remedy = match (subject, found) {
        (_, Found::Key(key)) => {
            return format!(
                "{who} has a key of Stork at {key}, but objects of this kind are not checked: check it manually"
            );
        }
        (Subject::Other(path), _) if path.segments().is_empty() => {
            "make each object in it a document, or an item of a List".to_owned()
        }
        (Subject::Other(_), _) => "make each object in it an item of a List, with apiVersion and kind".to_owned(),
        _ if is_openshift => "render it first, with `oc process`".to_owned(),
        (_, Found::Template(path)) if !path.to_string().contains('[') => {
            let fields = path.to_string().replace('.', "/");
            format!("add the kind to customWorkloads of the configuration, with the path /{fields}")
        }
        _ => "the webhook sets the scheduler of its pods when they are created".to_owned(),
    };
    let (what, path) = match found {
        Found::Template(path) => ("a pod template with volumes", path),
        Found::Volumes(path) | Found::Key(path) => ("volumes of pods", path),
    };
    format!("{who} has {what} at {path}, for which no decision is made: {remedy}")
}

/// The reason to report an undecided value.
enum Found {
    /// A pod template that may mount a volume of a driver.
    Template(FieldPath),
    /// Volumes or claim templates of pods whose template is elsewhere.
    Volumes(FieldPath),
    /// A key of Stork.
    Key(FieldPath),
}

/// A search for pod templates, volumes and keys of Stork.
struct Search<'p, 'v> {
    policy: &'p Policy,
    /// The path to the current value.
    path: Vec<Step<'v>>,
    /// The first pod template that may mount a volume of a driver.
    template: Option<FieldPath>,
    /// The first volumes or claim templates that are not in or next to a pod template.
    volumes: Option<FieldPath>,
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
                if mounts_volumes(value) {
                    // The value itself is not a template, but it may use its volumes in several templates.
                    if self.path.is_empty() {
                        self.volumes = Some(FieldPath::default().field("spec").field("volumes"));
                    } else if self.template.is_none() {
                        self.template = Some(self.here());
                    }
                }
                for (name, value) in fields {
                    if self.key.is_none() && is_stork_key(self.policy, name) {
                        self.key = Some(self.here().key(name));
                    }
                    self.path.push(Step::Field(name));
                    if self.template.is_none() && name == "template" && gets_claims(fields) {
                        self.template = Some(self.here());
                    }
                    if self.volumes.is_none() && name == CLAIM_TEMPLATES && has_items(Some(value)) {
                        self.volumes = Some(self.here());
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

    fn found(self) -> Option<Found> {
        let Self { template, volumes, key, .. } = self;
        template.map(Found::Template).or(volumes.map(Found::Volumes)).or(key.map(Found::Key))
    }

    fn here(&self) -> FieldPath {
        self.path.iter().fold(FieldPath::default(), |path, step| match step {
            Step::Field(name) => path.field(name),
            Step::Index(index) => path.index(*index),
        })
    }
}

/// Returns true if a value has the fields of a pod template and may mount a volume of a driver.
fn mounts_volumes(template: &Value) -> bool {
    template["spec"]["volumes"].as_array().is_some_and(|volumes| may_be_driven(volumes))
}

/// Returns true if one of these volumes may belong to a driver.
fn may_be_driven(volumes: &[Value]) -> bool {
    volumes.iter().any(|volume| SOURCES.iter().any(|source| volume[source].is_object()))
}

/// Returns true if the pods of `template`, a field among `fields`, get claims of their own, as in a `StatefulSet`.
fn gets_claims(fields: &serde_json::Map<String, Value>) -> bool {
    let spec = fields.get("template").map(|template| &template["spec"]);
    has_items(fields.get(CLAIM_TEMPLATES)) && has_items(spec.and_then(|spec| spec.get("containers")))
}

fn has_items(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_some_and(|items| !items.is_empty())
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
        assert!(
            what.contains("spec.groups[0].template")
                && what.ends_with(": the webhook sets the scheduler of its pods when they are created"),
            "{what}"
        );
    }

    #[test]
    fn volumes_that_several_templates_use_are_named() {
        let volumes = "[{name: v, persistentVolumeClaim: {claimName: data}}]";
        let claims = "[{metadata: {name: d}, spec: {storageClassName: px}}]";
        for (name, list) in [("volumes", volumes), ("volumeClaimTemplates", claims)] {
            let spec = format!("{{{name}: {list}, templates: [{{name: m, container: {{image: x}}}}]}}");
            let what = format!(
                "Workflow a of argoproj.io/v1alpha1 has volumes of pods at spec.{name}, for which no decision is made: the webhook sets the scheduler of its pods when they are created"
            );
            assert_eq!(undecided(&object("argoproj.io/v1alpha1", "Workflow", &spec)), [(list.to_owned(), what)]);
        }
        assert_eq!(undecided(&object("example.com/v1", "Set", "{volumeClaimTemplates: []}")), []);
    }

    #[test]
    fn a_patch_that_adds_volumes_is_named() {
        let volume = "{name: v, persistentVolumeClaim: {claimName: data}}";
        let operation = |path: &str, value: &str| format!("[{{op: add, path: {path}, value: {value}}}]");
        let pod = format!("{{containers: [], volumes: [{volume}]}}");
        let strategic = format!("{{kind: Deployment, spec: {{template: {{spec: {pod}}}}}}}");
        let adding = [
            operation("/spec/template/spec/volumes", &format!("[{volume}]")),
            operation("/spec/template/spec/volumes/-", volume),
            operation("/spec/template/spec/volumes/0", volume),
            operation("/spec/template/spec", &pod),
            operation("/spec/template", &format!("{{spec: {pod}}}")),
            strategic,
        ];
        let others = [
            operation("/spec/template/spec/volumes/-", "{name: v, emptyDir: {}}"),
            operation("/spec/other/-", volume),
            operation("/spec/template/spec/volumes/-", "").replace("add", "remove"),
            "volumes.yaml".to_owned(),
        ];
        let kustomization = |patch: &str| {
            let quoted = Value::from(patch).to_string();
            let api_version = "kustomize.config.k8s.io/v1beta1";
            let text = format!("apiVersion: {api_version}\nkind: Kustomization\npatches: [{{patch: {quoted}}}]\n");
            (quoted, text)
        };
        let remedy = "adds volumes of pods, for which no decision is made: run kustomize first: kubectl kustomize FOLDER | \
                      colocate mutate -";
        for patch in &adding {
            let (quoted, text) = kustomization(patch);
            assert_eq!(undecided(&text), [(quoted, format!("the patch at patches[0].patch {remedy}"))]);
            if patch.starts_with('[') {
                assert_eq!(undecided(patch), [(patch.clone(), format!("this JSON patch {remedy}"))]);
            }
        }
        for patch in &others {
            assert_eq!(undecided(&kustomization(patch).1), [], "{patch}");
            assert_eq!(undecided(patch), [], "{patch}");
        }
    }

    #[test]
    fn items_of_a_list_that_are_not_objects_are_named() {
        let pod = "spec: {volumes: [{csi: {}}]}";
        let text = format!(
            "apiVersion: v1\nkind: List\nitems: [null, {{kind: Pod, {pod}}}, [{{kind: Pod, {pod}}}], {{a: 1}}]\n"
        );
        let found = undecided(&text);
        let at = |place: &str, what: &str| {
            format!(
                "{place} is not a Kubernetes object, and has {what}, for which no decision is made: make each object in it \
                 an item of a List, with apiVersion and kind"
            )
        };
        let expected = [
            ("[{csi: {}}]".to_owned(), at("items[1]", "volumes of pods at spec.volumes")),
            (format!("{{kind: Pod, {pod}}}"), at("items[2]", "a pod template with volumes at [0]")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn pods_in_json_arrays_and_openshift_templates_are_named() {
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
    fn objects_without_claims_or_of_known_kinds_are_not_named() {
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
